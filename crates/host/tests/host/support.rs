//! A runner to be scripted, and a host that remembers what it saw.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use outrigger_a6::error::{Code, Response as ErrorResponse};
use outrigger_a6::extra_info::{Info, Request as Ask, Response as Answer};
use outrigger_a6::http_req_call::{self, Action, Stop};
use outrigger_a6::{
    ConfToken, Encode, Encoder, FrameDecoder, RpcType, http_resp_call, prepare_conf,
};
use outrigger_host::{
    Answers, BodyError, CallError, CallOptions, CallStats, Conf, Connections, Event, Observer,
    Runner, Settings, Timeouts,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The runner's end of one connection.
pub(crate) struct Peer {
    pub(crate) stream: UnixStream,
    decoder: FrameDecoder,
}

/// A frame from the host.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) ty: RpcType,
    pub(crate) payload: Vec<u8>,
}

impl Received {
    /// The id of a call.
    pub(crate) fn id(&self) -> u32 {
        self.call().id
    }

    pub(crate) fn call(&self) -> http_req_call::Request<'_> {
        decode(self.ty, &self.payload)
    }

    pub(crate) fn response_call(&self) -> http_resp_call::Request<'_> {
        decode(self.ty, &self.payload)
    }

    pub(crate) fn prepare(&self) -> prepare_conf::Request<'_> {
        decode(self.ty, &self.payload)
    }

    /// The host's answer to a question.
    pub(crate) fn answer(&self) -> Option<Vec<u8>> {
        decode::<Answer<'_>>(self.ty, &self.payload)
            .result
            .map(<[u8]>::to_vec)
    }
}

fn decode<'a, M: outrigger_a6::Decode<'a>>(ty: RpcType, payload: &'a [u8]) -> M {
    outrigger_a6::Frame { ty, payload }
        .decode()
        .expect("the host sends what is right here")
}

impl From<UnixStream> for Peer {
    fn from(stream: UnixStream) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(),
        }
    }
}

impl Peer {
    /// The host's next frame; `None` where it closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        loop {
            let frame = self.decoder.next_frame().expect("the host sends frames");
            if let Some(frame) = frame {
                return Some(Received {
                    ty: frame.ty,
                    payload: frame.payload.to_vec(),
                });
            }
            match self.stream.read_buf(self.decoder.buffer()).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// The host's next frame, which must be there.
    pub(crate) async fn expect(&mut self) -> Received {
        self.next().await.expect("the host sends a frame")
    }

    pub(crate) async fn send(&mut self, message: &impl Encode) {
        self.send_bytes(&bytes_of(message)).await;
    }

    /// The host may have hung up.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn ask(&mut self, info: Info<'_>) -> Option<Vec<u8>> {
        self.send(&Ask(info)).await;
        self.expect().await.answer()
    }

    /// Answers PrepareConf if `frame` is that.
    pub(crate) async fn prepares(&mut self, frame: &Received) -> bool {
        let prepares = frame.ty == RpcType::PrepareConf;
        if prepares {
            self.send(&prepare_conf::Response {
                conf_token: ConfToken(1),
            })
            .await;
        }
        prepares
    }
}

/// A message as a whole frame.
pub(crate) fn bytes_of(message: &impl Encode) -> Vec<u8> {
    Encoder::new()
        .encode(message)
        .expect("test messages are small")
        .to_vec()
}

/// A reply that answers the client with `body`.
pub(crate) fn stop(id: u32, body: &str) -> Vec<u8> {
    let stop = Stop {
        status: 200,
        body: body.as_bytes(),
        ..Stop::default()
    };
    bytes_of(&http_req_call::Response {
        id,
        action: Some(Action::Stop(stop)),
    })
}

pub(crate) fn error(code: Code) -> Vec<u8> {
    bytes_of(&ErrorResponse { code })
}

/// A folder with a runner's socket, and who listens there.
pub(crate) struct FakeRunner {
    dir: TempDir,
    listeners: Vec<JoinHandle<()>>,
    accepted: Arc<AtomicUsize>,
}

impl FakeRunner {
    /// Nobody listens yet.
    pub(crate) fn absent() -> Self {
        let dir = tempfile::tempdir().expect("a folder for a socket");
        Self {
            dir,
            listeners: Vec::new(),
            accepted: Arc::default(),
        }
    }

    /// Runs `script` for each connection; it is told how many were before.
    pub(crate) fn with<F, S>(script: F) -> Self
    where
        F: Fn(Peer, usize) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let mut runner = Self::absent();
        runner.listen(script);
        runner
    }

    /// Prepares any configuration, and runs `script` for each call.
    pub(crate) fn calling<F, S>(script: F) -> Self
    where
        F: Fn(Peer, Received) -> S + Send + Sync + 'static,
        S: Future<Output = Peer> + Send + 'static,
    {
        let script = Arc::new(script);
        Self::with(move |mut peer, _| {
            let script = Arc::clone(&script);
            async move {
                while let Some(frame) = peer.next().await {
                    if !peer.prepares(&frame).await {
                        peer = script(peer, frame).await;
                    }
                }
            }
        })
    }

    pub(crate) fn listen<F, S>(&mut self, script: F)
    where
        F: Fn(Peer, usize) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = UnixListener::bind(self.socket()).expect("a socket to listen on");
        let accepted = Arc::clone(&self.accepted);
        self.listeners.push(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let before = accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(script(Peer::from(stream), before));
            }
        }));
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("runner.sock")
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for FakeRunner {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

/// What an honest runner's plugins have: tokens from 1 on, as the Go runner
/// numbers them, and a key for each. Every call is answered with its key.
#[derive(Default)]
pub(crate) struct Plugins {
    keys: Mutex<Vec<String>>,
    calls: AtomicUsize,
    /// How long a call takes.
    delay: Duration,
}

impl Plugins {
    /// Each call takes as long.
    pub(crate) fn taking(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }

    pub(crate) fn prepared(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        for key in &mut *self.keys.lock().unwrap() {
            key.clear();
        }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// The runner's side of a call or of preparing, as bytes to send.
    pub(crate) fn reply(&self, frame: &Received) -> Vec<u8> {
        if frame.ty == RpcType::PrepareConf {
            let mut keys = self.keys.lock().unwrap();
            keys.push(String::from_utf8_lossy(frame.prepare().key).into_owned());
            let conf_token = ConfToken(u32::try_from(keys.len()).unwrap());
            return bytes_of(&prepare_conf::Response { conf_token });
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let call = frame.call();
        let keys = self.keys.lock().unwrap();
        let key = (call.conf_token.0 as usize)
            .checked_sub(1)
            .and_then(|index| keys.get(index));
        match key.filter(|key| !key.is_empty()) {
            Some(key) => stop(call.id, key),
            None => error(Code::ConfTokenNotFound),
        }
    }

    pub(crate) async fn serve(self: Arc<Self>, mut peer: Peer) {
        while let Some(frame) = peer.next().await {
            if frame.ty == RpcType::HttpReqCall && !self.delay.is_zero() {
                tokio::time::sleep(self.delay).await;
            }
            peer.send_bytes(&self.reply(&frame)).await;
        }
    }
}

impl FakeRunner {
    /// A runner as it should be.
    pub(crate) fn honest(plugins: &Arc<Plugins>) -> Self {
        let plugins = Arc::clone(plugins);
        Self::with(move |peer, _| Arc::clone(&plugins).serve(peer))
    }
}

/// Remembers what happened, in words.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<String>>);

impl Observer for Log {
    fn event(&self, runner: &str, event: Event<'_>) {
        assert_eq!(runner, "test");
        self.0.lock().unwrap().push(match event {
            Event::ConnectionOpened { .. } => "opened".to_owned(),
            Event::ConnectionClosed { reason } => format!("closed: {reason}"),
            Event::ProcessChanged { .. } => "process changed".to_owned(),
            Event::ConfPrepared {
                key,
                token,
                renewal,
                ..
            } => {
                format!(
                    "{} {key}: {token}",
                    if renewal { "renewed" } else { "prepared" }
                )
            }
            Event::PrepareFailed { error, .. } => format!("not prepared: {}", error.kind()),
            Event::TokenLost { token, .. } => format!("lost {token}"),
            Event::CallRepeated { error } => format!("repeated: {}", error.kind()),
            Event::CallFailed { error } => format!("failed: {}", error.kind()),
            Event::LogCallDropped { .. } => "log call dropped".to_owned(),
            Event::BreakerChanged { state } => format!("breaker {state}"),
            other => format!("{other:?}"),
        });
    }
}

impl Log {
    /// What happened so far, connections being opened aside.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines
            .iter()
            .filter(|line| *line != "opened")
            .cloned()
            .collect()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|other| *other == line)
            .count()
    }
}

/// One worker and one runner.
pub(crate) struct Host {
    pub(crate) connections: Connections,
    pub(crate) runner: Arc<Runner>,
    pub(crate) log: Arc<Log>,
}

impl Host {
    /// Of a runner that listens.
    pub(crate) fn of(runner: &FakeRunner) -> Self {
        Self::at(&runner.socket())
    }

    pub(crate) fn at(socket: &Path) -> Self {
        let host = Self::with(Timeouts::default());
        host.runner.listening(0, socket.to_owned());
        host
    }

    /// Of a runner that is not available yet.
    pub(crate) fn with(timeouts: Timeouts) -> Self {
        let settings = Settings {
            timeouts,
            conf_lifetime: HOUR,
            ..Settings::default()
        };
        Self::configured(settings)
    }

    /// Of a runner that is not available yet.
    pub(crate) fn configured(settings: Settings) -> Self {
        let log = Arc::new(Log::default());
        Self::observed(settings, Arc::<Log>::clone(&log), log)
    }

    /// One that remembers nothing.
    pub(crate) fn quiet(settings: Settings) -> Self {
        Self::observed(settings, Arc::new(()), Arc::default())
    }

    fn observed(settings: Settings, observer: Arc<dyn Observer>, log: Arc<Log>) -> Self {
        let runner = Runner::new("test", settings, observer);
        Self {
            connections: Connections::new(),
            runner,
            log,
        }
    }

    /// A call, and the body of its Stop (or that it goes on).
    pub(crate) async fn call(&self, conf: &Conf) -> Result<String, CallError> {
        self.call_with(conf, &mut Known::default()).await
    }

    pub(crate) async fn call_with(
        &self,
        conf: &Conf,
        answers: &mut impl Answers,
    ) -> Result<String, CallError> {
        self.call_in(conf, None, answers).await
    }

    pub(crate) async fn call_in(
        &self,
        conf: &Conf,
        time_limit: Option<Duration>,
        answers: &mut impl Answers,
    ) -> Result<String, CallError> {
        let options = CallOptions {
            time_limit,
            ..CallOptions::default()
        };
        self.call_as(conf, &options, answers).await.1
    }

    pub(crate) async fn call_as(
        &self,
        conf: &Conf,
        options: &CallOptions,
        answers: &mut impl Answers,
    ) -> (CallStats, Result<String, CallError>) {
        self.connections
            .request_call(&self.runner, conf, options, request(), answers, shown)
            .await
    }

    /// A call that must not be seen twice.
    pub(crate) async fn call_once(&self, conf: &Conf) -> (CallStats, Result<String, CallError>) {
        let options = CallOptions {
            retry: false,
            ..CallOptions::default()
        };
        self.call_as(conf, &options, &mut Known::default()).await
    }

    /// What a call fails with.
    pub(crate) async fn failure(&self, conf: &Conf) -> CallError {
        self.call(conf).await.expect_err("this call cannot go well")
    }
}

fn request() -> http_req_call::Request<'static> {
    http_req_call::Request {
        src_ip: &[127, 0, 0, 1],
        path: b"/",
        ..Default::default()
    }
}

fn shown(response: http_req_call::Response<'_>) -> String {
    match response.action {
        Some(Action::Stop(stop)) => String::from_utf8_lossy(stop.body).into_owned(),
        Some(Action::Rewrite(_)) => "rewrite".to_owned(),
        None => "go on".to_owned(),
    }
}

/// A configuration with this key.
pub(crate) fn conf(key: &str) -> Arc<Conf> {
    Conf::new(key.to_owned(), vec![("say".to_owned(), "{}".to_owned())])
}

/// What is known about a request and its response.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) vars: Vec<(&'static str, &'static str)>,
    pub(crate) request_body: Option<Bytes>,
    pub(crate) response_body: Option<Bytes>,
}

impl Answers for Known {
    async fn var(&mut self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let (_, value) = self
            .vars
            .iter()
            .find(|(known, _)| known.as_bytes() == name)?;
        Some(value.as_bytes().into())
    }

    async fn request_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        Ok(self.request_body.clone())
    }

    async fn response_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        Ok(self.response_body.clone())
    }
}
