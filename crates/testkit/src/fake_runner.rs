//! A runner for tests of hosts: does what a script says, and remembers what came.
//!
//! Knows nothing of the real runner: it speaks in messages and bytes.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outrigger_a6::error::{self, Code};
use outrigger_a6::{ConfToken, RpcType, http_req_call, http_resp_call, prepare_conf};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::{Answer, Step};
use crate::limits::{IN_FLIGHT_BYTES, PATIENCE};
use crate::{FrameStream, OwnedFrame, frame};

/// A runner that does what a test says.
///
/// By itself it behaves well: it gives tokens and changes nothing. Each type of
/// frame can be given another [`Answer`]: once by [`next`](Self::next), for good
/// by [`always`](Self::always).
///
/// ```
/// # use outrigger_a6::RpcType;
/// # use outrigger_a6::error::Code;
/// # use outrigger_testkit::{Answer, FakeRunner};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let runner = FakeRunner::start()?;
/// runner.next(RpcType::HttpReqCall, Answer::error(Code::ConfTokenNotFound));
/// // … a host under test calls at `runner.path()` …
/// assert!(runner.received().is_empty());
/// # Ok(())
/// # }
/// ```
///
/// Dropped or [stopped](Self::stop), it closes all connections and removes its
/// socket, as if its process had been killed and cleaned up after.
#[derive(Debug)]
pub struct FakeRunner {
    path: PathBuf,
    script: Arc<Script>,
    accepting: JoinHandle<()>,
    in_memory: Mutex<JoinSet<()>>,
    _folder: Option<TempDir>,
}

/// A frame that a host sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// On which connection, counted from 0 in the order they were accepted.
    pub connection: usize,
    /// The frame.
    pub frame: OwnedFrame,
}

/// What has happened so far.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The frames that came, in order.
    pub received: Vec<Received>,
    /// How many connections were accepted.
    pub connections: usize,
    /// How many of them are open.
    pub open_connections: usize,
}

impl FakeRunner {
    /// A runner that listens on a socket in a folder of its own.
    ///
    /// # Errors
    /// What the system says.
    pub fn start() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut runner = Self::start_at(folder.path().join("runner.sock"))?;
        runner._folder = Some(folder);
        Ok(runner)
    }

    /// A runner that listens on this path, which must be free.
    ///
    /// # Errors
    /// What the system says.
    pub fn start_at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let listener = UnixListener::bind(&path)?;
        let script = Arc::new(Script::default());
        let accepting = tokio::spawn(accept_all(listener, Arc::clone(&script)));
        Ok(Self {
            path,
            script,
            accepting,
            in_memory: Mutex::default(),
            _folder: None,
        })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A further connection to it, in memory: for tests in simulated time, which
    /// would jump ahead while a socket is waited for.
    pub fn connect_in_memory(&self) -> DuplexStream {
        let (theirs, ours) = tokio::io::duplex(IN_FLIGHT_BYTES);
        self.in_memory()
            .spawn(serve(ours, Arc::clone(&self.script)));
        theirs
    }

    /// How the next frame of this type is answered, behind those that were
    /// given before.
    pub fn next(&self, ty: RpcType, answer: Answer) -> &Self {
        self.script
            .answers_to(ty, |answers| answers.next.push_back(answer));
        self
    }

    /// How all frames of this type are answered that no answer of
    /// [`next`](Self::next) is left for.
    pub fn always(&self, ty: RpcType, answer: Answer) -> &Self {
        self.script
            .answers_to(ty, |answers| answers.always = answer);
        self
    }

    /// Forgets all tokens, as a runner does that has restarted. Counts on with
    /// the next number.
    pub fn forget_tokens(&self) {
        self.script.tokens().by_key.clear();
        self.script.tokens().known.clear();
    }

    /// The frames that came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.script.history.borrow().received.clone()
    }

    /// The frames of this type that came, in order.
    pub fn received_of(&self, ty: RpcType) -> Vec<OwnedFrame> {
        let history = self.script.history.borrow();
        let of_type = history
            .received
            .iter()
            .filter(|received| received.frame.ty == ty);
        of_type.map(|received| received.frame.clone()).collect()
    }

    /// What has happened so far.
    pub fn history(&self) -> History {
        self.script.history.borrow().clone()
    }

    /// Waits until something has happened.
    ///
    /// # Panics
    /// Where it does not within 10 seconds of tokio's clock, which runs ahead
    /// where it is paused.
    pub async fn wait_until(&self, happened: impl FnMut(&History) -> bool) {
        let mut history = self.script.history.subscribe();
        let waited = tokio::time::timeout(PATIENCE, history.wait_for(happened)).await;
        if waited.is_err() {
            panic!("it did not happen; this did: {:#?}", self.history());
        }
    }

    /// Closes all connections, stops listening and removes the socket.
    pub async fn stop(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        self.in_memory().abort_all();
        let mut history = self.script.history.subscribe();
        let _ = history
            .wait_for(|history| history.open_connections == 0)
            .await;
    }

    fn in_memory(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.in_memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FakeRunner {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What all connections share.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<HashMap<RpcType, Answers>>,
    tokens: Mutex<Tokens>,
    history: watch::Sender<History>,
}

/// How frames of one type are answered.
#[derive(Debug)]
struct Answers {
    next: VecDeque<Answer>,
    always: Answer,
}

impl Answers {
    /// What a runner that works does: nothing about answers to its questions.
    fn new(ty: RpcType) -> Self {
        let always = if ty == RpcType::ExtraInfo {
            Answer::new()
        } else {
            Answer::sane()
        };
        Self {
            next: VecDeque::new(),
            always,
        }
    }
}

#[derive(Debug, Default)]
struct Tokens {
    last: u32,
    by_key: HashMap<Vec<u8>, u32>,
    known: Vec<u32>,
}

impl Script {
    fn answers_to<T>(&self, ty: RpcType, change: impl FnOnce(&mut Answers) -> T) -> T {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        change(answers.entry(ty).or_insert_with(|| Answers::new(ty)))
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to do about a frame of this type.
    fn answer(&self, ty: RpcType) -> Answer {
        self.answers_to(ty, |answers| {
            answers
                .next
                .pop_front()
                .unwrap_or_else(|| answers.always.clone())
        })
    }

    fn record(&self, connection: usize, frame: OwnedFrame) {
        self.history
            .send_modify(|history| history.received.push(Received { connection, frame }));
    }

    /// What a runner that works would say.
    fn reply(&self, received: &OwnedFrame) -> Vec<u8> {
        let reply = match received.ty {
            RpcType::PrepareConf => received.decode().ok().map(|request| self.prepare(request)),
            RpcType::HttpReqCall => received.decode().ok().map(|request| self.request(request)),
            RpcType::HttpRespCall => received
                .decode()
                .ok()
                .map(|response| self.response(response)),
            RpcType::Error | RpcType::ExtraInfo => None,
        };
        reply.unwrap_or_else(|| failure(Code::BadRequest))
    }

    fn prepare(&self, request: prepare_conf::Request<'_>) -> Vec<u8> {
        let mut tokens = self.tokens();
        let token = match tokens.by_key.get(request.key) {
            Some(token) => *token,
            None => {
                tokens.last += 1;
                let token = tokens.last;
                tokens.by_key.insert(request.key.to_vec(), token);
                tokens.known.push(token);
                token
            }
        };
        frame(&prepare_conf::Response {
            conf_token: ConfToken(token),
        })
    }

    fn request(&self, request: http_req_call::Request<'_>) -> Vec<u8> {
        if self.tokens().known.contains(&request.conf_token.0) {
            frame(&http_req_call::Response {
                id: request.id,
                action: None,
            })
        } else {
            failure(Code::ConfTokenNotFound)
        }
    }

    fn response(&self, response: http_resp_call::Request<'_>) -> Vec<u8> {
        if self.tokens().known.contains(&response.conf_token.0) {
            frame(&http_resp_call::Response {
                id: response.id,
                ..Default::default()
            })
        } else {
            failure(Code::ConfTokenNotFound)
        }
    }
}

fn failure(code: Code) -> Vec<u8> {
    frame(&error::Response { code })
}

async fn accept_all(listener: UnixListener, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&script)));
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, script: Arc<Script>) {
    let open = Open::new(script);
    let mut connection = Connection {
        frames: FrameStream::new(stream),
        open: &open,
        byte_by_byte: false,
    };
    // A test asks what was received, not how the connection ended.
    let _ = connection.run().await;
}

/// Counts a connection while it is open.
struct Open {
    script: Arc<Script>,
    number: usize,
}

impl Open {
    fn new(script: Arc<Script>) -> Self {
        let mut number = 0;
        script.history.send_modify(|history| {
            number = history.connections;
            history.connections += 1;
            history.open_connections += 1;
        });
        Self { script, number }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.script
            .history
            .send_modify(|history| history.open_connections -= 1);
    }
}

/// Whether a connection goes on after an answer.
enum Next {
    Frame,
    Close,
}

struct Connection<'a> {
    frames: FrameStream,
    open: &'a Open,
    byte_by_byte: bool,
}

impl Connection<'_> {
    async fn run(&mut self) -> io::Result<()> {
        while let Some(frame) = self.receive().await? {
            let answer = self.open.script.answer(frame.ty);
            self.byte_by_byte = false;
            for step in answer.steps {
                if let Next::Close = self.take(step, &frame).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, step: Step, frame: &OwnedFrame) -> io::Result<Next> {
        match step {
            Step::Send(bytes) => self.send(&bytes).await?,
            Step::Reply => self.send(&self.open.script.reply(frame)).await?,
            Step::ReplyWith(reply) => self.send(&reply(frame)).await?,
            Step::ByteByByte => self.byte_by_byte = true,
            Step::WaitFor(gate) => gate.opened().await,
            Step::ReadAnswer => {
                if self.receive().await?.is_none() {
                    return Ok(Next::Close);
                }
            }
            Step::Silence => {
                while self.receive().await?.is_some() {}
                return Ok(Next::Close);
            }
            Step::Close => return Ok(Next::Close),
        }
        Ok(Next::Frame)
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.byte_by_byte {
            self.frames.send_byte_by_byte(bytes).await
        } else {
            self.frames.send_bytes(bytes).await
        }
    }

    /// The next frame, which is recorded.
    async fn receive(&mut self) -> io::Result<Option<OwnedFrame>> {
        let received = self.frames.receive().await?;
        if let Some(frame) = &received {
            self.open.script.record(self.open.number, frame.clone());
        }
        Ok(received)
    }
}
