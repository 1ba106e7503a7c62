//! Why a call failed, and whose fault it was.
//!
//! `Display` is the whole story, for the log. [`CallError::kind`] is a word for
//! metrics and for clients, who learn nothing about the inside.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outrigger_a6::error::Code;
use outrigger_a6::{DecodeError, EncodeError, FrameError, RpcType};

use crate::breaker::Outcome;

/// What was being done with the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waiting for its turn.
    Queue,
    /// Waiting for it to accept a connection.
    Connect,
    /// Having a configuration prepared.
    Prepare,
    /// The call itself.
    Call,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "waiting for its turn",
            Self::Connect => "connecting",
            Self::Prepare => "preparing the configuration",
            Self::Call => "the call",
        })
    }
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overload {
    /// Calls that wait.
    Queue,
    /// Bytes of long frames in memory.
    Buffers,
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "calls that wait for it",
            Self::Buffers => "bytes of long frames in memory",
        })
    }
}

/// Why a call failed. Cloned where one failure ends several calls.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The runner's process is not there.
    #[error("the runner is not running: {why}")]
    NotRunning {
        /// As the control thread put it.
        why: Arc<str>,
    },
    /// The runner's socket does not accept connections.
    #[error("cannot connect to the runner at {}: {source}", socket.display())]
    Connect {
        /// Where the runner should listen.
        socket: Arc<Path>,
        /// The system's answer to the last try.
        source: Arc<io::Error>,
    },
    /// The runner did not do its part in time.
    #[error("the runner took longer than {after:?}: {stage}")]
    Timeout {
        /// What took too long.
        stage: Stage,
        /// The time limit.
        after: Duration,
    },
    /// The runner closed the connection instead of answering.
    #[error("the runner closed the connection: {during}{}", inside(cut.as_ref()))]
    Closed {
        /// What was going on.
        during: Stage,
        /// Where inside an answer, if one had begun.
        cut: Option<FrameError>,
    },
    /// The connection failed in a way that is not the runner's closing it.
    #[error("the connection to the runner failed: {during}: {source}")]
    Io {
        /// What was going on.
        during: Stage,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// The runner's bytes are not frames.
    #[error("the runner does not speak the protocol: {during}: {source}")]
    BadFrame {
        /// What was going on.
        during: Stage,
        /// What is wrong with them.
        source: FrameError,
    },
    /// The payload of a runner's frame is not the message it should be.
    #[error("the runner sent a malformed message: {source}")]
    Malformed {
        /// The message, and what is wrong with it.
        source: DecodeError,
    },
    /// The runner's frame has no place where it came.
    #[error("the runner sent {got} where {expected} was due")]
    WrongType {
        /// What should have come.
        expected: RpcType,
        /// What came.
        got: RpcType,
    },
    /// The runner answered another call.
    #[error("the runner answered call {got} instead of call {expected}")]
    WrongId {
        /// The call's id.
        expected: u32,
        /// The answer's.
        got: u32,
    },
    /// The runner answered with an error.
    #[error("the runner answered {code}: {during}")]
    Refused {
        /// The runner's error.
        code: Code,
        /// What it was about.
        during: Stage,
    },
    /// The runner loses every token it gives.
    #[error("the runner does not know the configuration, although it was prepared {tries} times")]
    TokenLost {
        /// How often the configuration was prepared or found prepared.
        tries: u32,
    },
    /// The runner does not stop asking.
    #[error("the runner asked more than {limit} questions in one call")]
    TooManyQuestions {
        /// How many it may ask.
        limit: usize,
    },
    /// What is to be sent does not fit into a frame: not the runner's fault.
    #[error("cannot be sent to the runner: {source}")]
    TooLarge {
        /// What, and how much.
        source: EncodeError,
    },
    /// The runner has too much to do.
    #[error("the runner is overloaded: no more than {limit} {what} are allowed")]
    Overloaded {
        /// What there is too much of.
        what: Overload,
        /// How much there may be.
        limit: usize,
    },
    /// Calls are not tried at the moment, since they would fail.
    #[error("the circuit breaker is open: {why}")]
    CircuitOpen {
        /// Why that is to be expected.
        why: Arc<str>,
    },
    /// Somebody else's process listens on the runner's socket.
    #[error(
        "the process that listens at {} belongs to user {uid}, who is neither root nor the \
         gateway's own; if that is meant, add {uid} to the runner's allowed_uids",
        socket.display()
    )]
    WrongUser {
        /// The user.
        uid: u32,
        /// Where it listens.
        socket: Arc<Path>,
    },
    /// The body that the runner asked for cannot be had.
    #[error("the body that the runner asked for cannot be had: {0}")]
    Body(#[source] BodyError),
}

impl CallError {
    /// One stable word (or two with a hyphen) for the kind of failure.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotRunning { .. } | Self::Connect { .. } => "unavailable",
            Self::Timeout { .. } => "timeout",
            Self::Closed { .. } | Self::Io { .. } => "closed",
            Self::BadFrame { .. }
            | Self::Malformed { .. }
            | Self::WrongType { .. }
            | Self::WrongId { .. }
            | Self::TooManyQuestions { .. } => "malformed",
            Self::Refused { .. } => "refused",
            Self::TokenLost { .. } => "token-lost",
            Self::TooLarge { .. } => "too-large",
            Self::Overloaded { .. } => "overloaded",
            Self::CircuitOpen { .. } => "circuit-open",
            Self::WrongUser { .. } => "wrong-user",
            Self::Body(_) => "body",
        }
    }
}

/// What a failure tells about the runner.
impl CallError {
    /// For the circuit breaker. A runner's own error is an answer.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Connect { .. }
            | Self::Closed { .. }
            | Self::Io { .. }
            | Self::BadFrame { .. }
            | Self::Malformed { .. }
            | Self::WrongType { .. }
            | Self::WrongId { .. }
            | Self::TokenLost { .. }
            | Self::TooManyQuestions { .. } => Outcome::Bad,
            Self::Timeout { stage, .. } => match stage {
                Stage::Queue => Outcome::Neither,
                Stage::Connect | Stage::Prepare | Stage::Call => Outcome::Bad,
            },
            Self::Refused { .. } => Outcome::Good,
            Self::NotRunning { .. }
            | Self::CircuitOpen { .. }
            | Self::WrongUser { .. }
            | Self::TooLarge { .. }
            | Self::Overloaded { .. }
            | Self::Body(_) => Outcome::Neither,
        }
    }

    /// Whether nobody accepts connections where the runner should listen: it
    /// just ended, or is just starting.
    pub(crate) fn is_nobody_there(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound};

        match self {
            // Reset: it ended before it had accepted the connection.
            Self::Connect { source, .. } => matches!(
                source.kind(),
                NotFound | ConnectionRefused | ConnectionReset
            ),
            Self::NotRunning { .. } => true,
            _ => false,
        }
    }

    /// Whether too many connections wait to be accepted.
    pub(crate) fn is_queue_full(&self) -> bool {
        matches!(self, Self::Connect { source, .. }
            if source.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether somebody is there who did not accept a connection in time.
    pub(crate) fn is_too_busy(&self) -> bool {
        let stage = Stage::Connect;
        self.is_queue_full()
            || matches!(self, Self::Timeout { stage: found, .. } if *found == stage)
    }

    /// Whether the connection ended before the whole answer came.
    pub(crate) fn is_death(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Io { .. })
    }
}

fn inside(cut: Option<&FrameError>) -> String {
    cut.map(|cut| format!(" ({cut})")).unwrap_or_default()
}

/// Why a body cannot be had. Made by the caller, from its own error.
#[derive(Clone)]
pub struct BodyError(Arc<dyn Error + Send + Sync>);

impl BodyError {
    /// Wraps the caller's error, to be found again with
    /// [`downcast_ref`](Self::downcast_ref).
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// The caller's error, where it is an `E`.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_story_is_told() {
        let cut = FrameError::Truncated { have: 3, need: 4 };
        let error = CallError::Closed {
            during: Stage::Prepare,
            cut: Some(cut),
        };
        let story = "the runner closed the connection: preparing the configuration (the peer \
                     closed the connection after 3 of a frame's 4 bytes)";
        assert_eq!(error.to_string(), story);

        let source = Arc::new(io::Error::from_raw_os_error(13));
        let error = CallError::Connect {
            socket: Path::new("/run/x.sock").into(),
            source,
        };
        let story = "cannot connect to the runner at /run/x.sock: Permission denied (os error 13)";
        assert_eq!(error.to_string(), story);
    }

    #[test]
    fn a_runner_that_ends_while_it_is_connected_to_is_not_there() {
        let connect = |kind: io::ErrorKind| CallError::Connect {
            socket: Path::new("/run/x.sock").into(),
            source: Arc::new(kind.into()),
        };
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound, PermissionDenied};
        for kind in [ConnectionRefused, ConnectionReset, NotFound] {
            assert!(connect(kind).is_nobody_there(), "{kind}");
        }
        assert!(!connect(PermissionDenied).is_nobody_there());
    }

    #[test]
    fn the_callers_own_error_comes_back() {
        let error = BodyError::new(io::Error::other("too long"));
        assert_eq!(
            error.downcast_ref::<io::Error>().unwrap().to_string(),
            "too long"
        );
        assert_eq!(
            CallError::Body(error).to_string(),
            "the body that the runner asked for cannot be had: too long"
        );
    }
}
