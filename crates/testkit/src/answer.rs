//! What a fake runner does when a frame comes: a list of steps.

use std::fmt;
use std::sync::Arc;

use outrigger_a6::extra_info::{self, Info};
use outrigger_a6::{ConfToken, Encode, error, prepare_conf};
use tokio::sync::watch;

use crate::{OwnedFrame, frame};

/// What a [`FakeRunner`](crate::FakeRunner) does when a frame comes, step by
/// step.
///
/// ```
/// use outrigger_a6::error::Code;
/// use outrigger_a6::extra_info::Info;
/// use outrigger_testkit::{Answer, frame};
///
/// let asks_first = Answer::new().ask(Info::Var(b"remote_addr")).reply();
/// let twice = Answer::new().reply().reply();
/// let dies_in_the_middle = Answer::new().send_bytes([2, 0, 0, 100, 1, 2, 3]).close();
/// let lost_token = Answer::error(Code::ConfTokenNotFound);
/// let slowly = Answer::new().byte_by_byte().reply();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub(crate) steps: Vec<Step>,
}

/// Makes bytes of the frame that came.
type MakeReply = dyn Fn(&OwnedFrame) -> Vec<u8> + Send + Sync;

#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Reply,
    ReplyWith(Arc<MakeReply>),
    ReadAnswer,
    ByteByByte,
    WaitFor(Gate),
    Silence,
    Close,
}

impl Answer {
    /// No step: the frame is taken and nothing is said. The next frame is
    /// answered as if nothing had been.
    pub fn new() -> Self {
        Self::default()
    }

    /// A well-behaved answer; see [`reply`](Self::reply).
    pub fn sane() -> Self {
        Self::new().reply()
    }

    /// This message and nothing else.
    pub fn message(message: &impl Encode) -> Self {
        Self::new().send(message)
    }

    /// This error.
    pub fn error(code: error::Code) -> Self {
        Self::message(&error::Response { code })
    }

    /// This token, whatever was to be prepared.
    pub fn token(token: u32) -> Self {
        Self::message(&prepare_conf::Response {
            conf_token: ConfToken(token),
        })
    }

    /// Sends a message.
    pub fn send(self, message: &impl Encode) -> Self {
        let bytes = frame(message);
        self.send_bytes(bytes)
    }

    /// Sends bytes as they are: rubbish, half a frame, one too many.
    pub fn send_bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    /// Sends what a runner that works would: a token for a configuration, the
    /// same one for the same key; for a call, that nothing changes, or that the
    /// token is unknown.
    pub fn reply(self) -> Self {
        self.step(Step::Reply)
    }

    /// Sends bytes that are made of the frame that came.
    pub fn reply_with(
        self,
        reply: impl Fn(&OwnedFrame) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        self.step(Step::ReplyWith(Arc::new(reply)))
    }

    /// Asks the host, and waits until the next frame came. It is recorded.
    pub fn ask(self, info: Info<'_>) -> Self {
        self.ask_ahead(info).read_answer()
    }

    /// Asks the host without waiting.
    pub fn ask_ahead(self, info: Info<'_>) -> Self {
        self.send(&extra_info::Request(info))
    }

    /// Waits until the next frame came. It is recorded.
    pub fn read_answer(self) -> Self {
        self.step(Step::ReadAnswer)
    }

    /// From here on sends bytes one at a time, and lets the host run after each.
    pub fn byte_by_byte(self) -> Self {
        self.step(Step::ByteByByte)
    }

    /// Goes on when the gate is open. Until then it does not notice a host that
    /// hangs up.
    pub fn wait_for(self, gate: &Gate) -> Self {
        self.step(Step::WaitFor(gate.clone()))
    }

    /// Says nothing more, until the host closes the connection.
    pub fn silence(self) -> Self {
        self.step(Step::Silence)
    }

    /// Closes the connection.
    pub fn close(self) -> Self {
        self.step(Step::Close)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(bytes) => write!(f, "Send({} bytes)", bytes.len()),
            Self::Reply => f.write_str("Reply"),
            Self::ReplyWith(_) => f.write_str("ReplyWith"),
            Self::ReadAnswer => f.write_str("ReadAnswer"),
            Self::ByteByByte => f.write_str("ByteByByte"),
            Self::WaitFor(_) => f.write_str("WaitFor"),
            Self::Silence => f.write_str("Silence"),
            Self::Close => f.write_str("Close"),
        }
    }
}

/// Something that answers wait for, so that a test decides what happens first.
/// Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Opens it, for all who wait and all who come.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub async fn opened(&self) {
        // The gate holds the sender itself, so there is no error.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
