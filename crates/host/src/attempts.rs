//! Which failed calls are sent again: pure, without I/O.

use outrigger_a6::error::Code;

use crate::limits::TOKEN_TRIES;
use crate::{CallError, Stage};

/// How a call went so far.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// Tokens that turned out to be useless.
    tokens: u32,
    /// Whether it was repeated because of its connection.
    repeated: bool,
}

/// What the connection of a failed attempt tells about the failure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// It was idle before, so it may have had leftovers of an earlier call.
    pub(crate) reused: bool,
    /// Besides, the runner sent nothing on it: it may have been dead.
    pub(crate) unheard: bool,
}

/// What to do after a failed attempt.
#[derive(Debug)]
pub(crate) enum Next {
    /// The token is void. Try again with another.
    NewToken,
    /// It was the connection's fault, not the runner's. Try again on a new one.
    NewConnection(CallError),
    /// It stays failed.
    Fail(CallError),
}

impl Attempts {
    /// Whether idle connections are not trusted any more.
    pub(crate) fn need_new_connection(&self) -> bool {
        self.repeated
    }

    /// A token is useless.
    ///
    /// # Errors
    /// [`CallError::TokenLost`], where it was the last try.
    pub(crate) fn token_is_useless(&mut self) -> Result<(), CallError> {
        self.tokens += 1;
        if self.tokens < TOKEN_TRIES {
            Ok(())
        } else {
            Err(CallError::TokenLost { tries: self.tokens })
        }
    }

    /// The call failed with `error` on a connection of which `used` is known.
    pub(crate) fn after(&mut self, error: CallError, used: Used) -> Next {
        match error {
            CallError::Refused {
                code: Code::ConfTokenNotFound,
                during: Stage::Call,
            } => self
                .token_is_useless()
                .map_or_else(Next::Fail, |()| Next::NewToken),
            error if !self.repeated && is_connections_fault(&error, used) => {
                self.repeated = true;
                Next::NewConnection(error)
            }
            error => Next::Fail(error),
        }
    }
}

/// The runner hung up while the connection was idle, or had left an answer to
/// another call on it. In both cases it may not have seen this call, and
/// whatever asked for it has not got an answer.
fn is_connections_fault(error: &CallError, used: Used) -> bool {
    match error {
        CallError::Closed { .. } => used.unheard,
        CallError::WrongId { .. } | CallError::WrongType { .. } => used.reused,
        _ => false,
    }
}
