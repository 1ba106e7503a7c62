//! A host for tests of plugins and runners: one configuration, one connection.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use outrigger_a6::error::{self, Code};
use outrigger_a6::{ConfToken, Encode, Entries, Entry, RpcType, extra_info, prepare_conf};
use outrigger_runner::{Runner, Service};
use tokio::net::UnixStream;

use crate::calls::{RequestCall, ResponseCall};
use crate::limits::{CALL_TIME, IN_FLIGHT_BYTES};
use crate::outcome::{Asked, Failure, Outcome};
use crate::{FrameStream, OwnedFrame};

/// A host that sends one runner what a test says.
///
/// ```
/// # use outrigger_runner::{NoConf, Plugin, Request, Result, Runner};
/// # use outrigger_testkit::FakeHost;
/// # use serde_json::json;
/// # struct Hello;
/// # impl Plugin for Hello {
/// #     type Conf = NoConf;
/// #     fn name(&self) -> &str { "hello" }
/// #     async fn request(&self, _: &NoConf, request: &mut Request) -> Result {
/// #         request.stop(200).body("hello\n");
/// #         Ok(())
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut host = FakeHost::new(Runner::new().plugin(Hello)).prepare("hello", json!({}));
/// let answer = host.request("GET", "/x").header("accept", "*/*").send().await.expect_stop();
/// assert_eq!((answer.status, answer.text().as_str()), (200, "hello\n"));
/// # }
/// ```
///
/// The configuration is sent with the first call. It has all plugins that were
/// [prepared](Self::prepare), in that order. A call that gets no answer ends as
/// it would with a real host: after a minute, by tokio's clock.
#[derive(Debug)]
pub struct FakeHost {
    runner: Peer,
    connection: Option<FrameStream>,
    conf: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    key: Vec<u8>,
    token: Option<ConfToken>,
    last_id: u32,
    call_time: Duration,
}

/// Where connections lead to.
#[derive(Debug, Clone)]
enum Peer {
    Service(Service),
    Socket(PathBuf),
}

impl FakeHost {
    /// A host of this runner, over a connection in memory.
    ///
    /// # Panics
    /// Where the runner's plugins do not fit together.
    #[track_caller]
    pub fn new(runner: Runner) -> Self {
        match runner.into_service() {
            Ok(service) => Self::with(Peer::Service(service)),
            Err(error) => panic!("{error}"),
        }
    }

    /// A host of the runner that listens on this unix socket.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self::with(Peer::Socket(socket.into()))
    }

    fn with(runner: Peer) -> Self {
        Self {
            runner,
            connection: None,
            conf: Vec::new(),
            key: b"route#1#ext-plugin-pre-req#1".to_vec(),
            token: None,
            last_id: 0,
            call_time: CALL_TIME,
        }
    }

    /// A host of the same runner with the same configuration and token, but a
    /// connection of its own.
    pub fn another(&self) -> Self {
        Self {
            conf: self.conf.clone(),
            key: self.key.clone(),
            token: self.token,
            call_time: self.call_time,
            ..Self::with(self.runner.clone())
        }
    }

    /// Adds a plugin to the configuration.
    pub fn prepare(self, plugin: &str, conf: serde_json::Value) -> Self {
        self.prepare_raw(plugin, Some(&conf.to_string()))
    }

    /// Adds a plugin with a configuration that need not be JSON, nor be there.
    pub fn prepare_raw(mut self, plugin: &str, conf: Option<&str>) -> Self {
        let conf = conf.map(|conf| conf.as_bytes().to_vec());
        self.conf.push((plugin.as_bytes().to_vec(), conf));
        self.token = None;
        self
    }

    /// Forgets the configuration, so that another one can be prepared.
    pub fn clear_conf(mut self) -> Self {
        self.conf.clear();
        self.token = None;
        self
    }

    /// Changes the key that the configuration has.
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = key.as_ref().to_vec();
        self.token = None;
        self
    }

    /// Changes how long a call may take.
    pub fn call_time(mut self, time: Duration) -> Self {
        self.call_time = time;
        self
    }

    /// A request to be sent to the plugins: with this method and this path,
    /// which is decoded and without a query.
    ///
    /// # Panics
    /// Where the protocol does not have the method.
    #[track_caller]
    pub fn request(&mut self, method: &str, path: impl AsRef<[u8]>) -> RequestCall<'_> {
        RequestCall::new(self, method, path.as_ref())
    }

    /// A response to be sent to the plugins.
    pub fn response(&mut self, status: u16) -> ResponseCall<'_> {
        ResponseCall::new(self, status)
    }

    /// The token of the configuration, which is prepared where it is not yet.
    ///
    /// # Errors
    /// [`Failure`] where the runner refuses it or does not answer.
    pub async fn token(&mut self) -> Result<ConfToken, Failure> {
        match self.token {
            Some(token) => Ok(token),
            None => self.prepare_now().await,
        }
    }

    /// Prepares the configuration, even if it was prepared before.
    ///
    /// # Errors
    /// [`Failure`] where the runner refuses it or does not answer.
    pub async fn prepare_now(&mut self) -> Result<ConfToken, Failure> {
        let conf: Vec<Entry<'_>> = self
            .conf
            .iter()
            .map(|(name, value)| Entry {
                name,
                value: value.as_deref(),
            })
            .collect();
        let message = prepare_conf::Request {
            conf: Entries::from(&conf),
            key: &self.key,
        };
        let bytes = crate::frame(&message);
        let reply = self
            .exchange(&bytes, &Known::default(), &mut Vec::new())
            .await?;
        if let Some(code) = error_code(&reply)? {
            return Err(Failure::Conf(code));
        }
        let token = reply.decode::<prepare_conf::Response>()?.conf_token;
        self.token = Some(token);
        Ok(token)
    }

    /// Uses this token, whatever the runner thinks of it.
    pub fn use_token(&mut self, token: ConfToken) {
        self.token = Some(token);
    }

    /// A number for the next call.
    pub(crate) fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// Sends a call and reads its answer.
    pub(crate) async fn call<T>(
        &mut self,
        call: &impl Encode,
        known: &Known,
        read: impl FnOnce(&OwnedFrame) -> Result<T, Failure>,
    ) -> Outcome<T> {
        let bytes = crate::frame(call);
        let mut asked = Vec::new();
        let result = match self.exchange(&bytes, known, &mut asked).await {
            Err(failure) => Err(failure),
            Ok(reply) => match error_code(&reply) {
                Err(failure) => Err(failure),
                Ok(Some(code)) => Err(Failure::Call(code)),
                Ok(None) => read(&reply),
            },
        };
        Outcome { result, asked }
    }

    /// Sends a frame, answers questions, and returns what is no question.
    async fn exchange(
        &mut self,
        frame: &[u8],
        known: &Known,
        asked: &mut Vec<Asked>,
    ) -> Result<OwnedFrame, Failure> {
        // Put back only where the exchange was clean.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.runner.connect().await?,
        };
        let exchange = async {
            connection.send_bytes(frame).await.map_err(protocol)?;
            loop {
                let reply = connection.receive().await.map_err(protocol)?;
                let reply = reply.ok_or(Failure::HungUp)?;
                if reply.ty != RpcType::ExtraInfo {
                    return Ok(reply);
                }
                let question: extra_info::Request<'_> = reply.decode()?;
                asked.push(question.0.into());
                let result = known.answer(question.0);
                let answer = extra_info::Response { result };
                connection.send(&answer).await.map_err(protocol)?;
            }
        };
        let timed = tokio::time::timeout(self.call_time, exchange).await;
        let reply = timed.unwrap_or(Err(Failure::TimedOut))?;
        self.connection = Some(connection);
        Ok(reply)
    }
}

impl Peer {
    async fn connect(&self) -> io::Result<FrameStream> {
        match self {
            Self::Socket(path) => Ok(FrameStream::new(UnixStream::connect(path).await?)),
            Self::Service(service) => {
                let service = service.clone();
                let (ours, theirs) = tokio::io::duplex(IN_FLIGHT_BYTES);
                tokio::spawn(async move { service.serve_connection(theirs).await });
                Ok(FrameStream::new(ours))
            }
        }
    }
}

/// What a host can tell about a request or response.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) vars: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) request_body: Option<Vec<u8>>,
    pub(crate) response_body: Option<Vec<u8>>,
}

impl Known {
    fn answer(&self, question: extra_info::Info<'_>) -> Option<&[u8]> {
        match question {
            extra_info::Info::Var(name) => {
                let found = self.vars.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| &value[..])
            }
            extra_info::Info::ReqBody => self.request_body.as_deref(),
            extra_info::Info::RespBody => self.response_body.as_deref(),
        }
    }
}

/// The code in an error; `None` where the frame is none.
fn error_code(frame: &OwnedFrame) -> Result<Option<Code>, Failure> {
    match frame.ty {
        RpcType::Error => Ok(Some(frame.decode::<error::Response>()?.code)),
        _ => Ok(None),
    }
}

/// Tells a peer that sends rubbish from one that is gone.
fn protocol(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData => Failure::Protocol(error.to_string()),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::HungUp,
        _ => Failure::Io(error),
    }
}

/// The answer to a request call, which has to carry the call's number.
pub(crate) fn same_id(sent: u32, got: u32) -> Result<(), Failure> {
    if sent == got {
        Ok(())
    } else {
        Err(Failure::Protocol(format!(
            "the answer to call {sent} is for call {got}"
        )))
    }
}
