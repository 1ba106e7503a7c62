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

/// What was being done with the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waiting for it to listen, and connecting.
    Connect,
    /// Having a configuration prepared.
    Prepare,
    /// The call itself.
    Call,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Prepare => "preparing the configuration",
            Self::Call => "the call",
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
    /// More calls to the runner are under way than a worker allows.
    #[error("{limit} calls to the runner are under way already")]
    Overloaded {
        /// How many may be.
        limit: usize,
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
            Self::Body(_) => "body",
        }
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
