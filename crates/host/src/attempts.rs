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

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Used = Used {
        reused: false,
        unheard: false,
    };
    const DEAD: Used = Used {
        reused: true,
        unheard: true,
    };
    const HEARD: Used = Used {
        reused: true,
        unheard: false,
    };

    fn closed() -> CallError {
        CallError::Closed {
            during: Stage::Call,
            cut: None,
        }
    }

    fn refused(code: Code) -> CallError {
        CallError::Refused {
            code,
            during: Stage::Call,
        }
    }

    /// What comes after these failures, the last of it in words.
    fn after(failures: impl IntoIterator<Item = (CallError, Used)>) -> String {
        let mut attempts = Attempts::default();
        let mut last = String::new();
        for (error, used) in failures {
            last = match attempts.after(error, used) {
                Next::NewToken => "new token".to_owned(),
                Next::NewConnection(_) => "new connection".to_owned(),
                Next::Fail(error) => error.kind().to_owned(),
            };
        }
        last
    }

    #[test]
    fn a_connection_that_was_dead_is_replaced_once() {
        assert_eq!(after([(closed(), DEAD)]), "new connection");
        assert_eq!(after([(closed(), DEAD), (closed(), DEAD)]), "closed");
    }

    #[test]
    fn a_connection_that_died_later_is_the_runners_fault() {
        assert_eq!(after([(closed(), NEW)]), "closed");
        assert_eq!(after([(closed(), HEARD)]), "closed");
    }

    #[test]
    fn leftovers_on_a_used_connection_are_not_this_calls_answer() {
        let wrong = CallError::WrongId {
            expected: 2,
            got: 1,
        };
        assert_eq!(after([(wrong.clone(), HEARD)]), "new connection");
        assert_eq!(after([(wrong.clone(), NEW)]), "malformed");
        assert_eq!(after([(wrong.clone(), HEARD), (wrong, NEW)]), "malformed");
    }

    #[test]
    fn a_lost_token_is_replaced_until_the_third_try() {
        let lost = || (refused(Code::ConfTokenNotFound), NEW);
        assert_eq!(after([lost()]), "new token");
        assert_eq!(after([lost(), lost()]), "new token");
        assert_eq!(after([lost(), lost(), lost()]), "token-lost");
    }

    #[test]
    fn tokens_and_connections_are_counted_apart() {
        let lost = || (refused(Code::ConfTokenNotFound), NEW);
        assert_eq!(after([lost(), (closed(), DEAD)]), "new connection");
        assert_eq!(after([(closed(), DEAD), lost(), lost()]), "new token");
    }

    #[test]
    fn what_the_runner_meant_stays() {
        for used in [NEW, DEAD, HEARD] {
            assert_eq!(
                after([(refused(Code::ServiceUnavailable), used)]),
                "refused"
            );
            assert_eq!(after([(refused(Code::BadRequest), used)]), "refused");
        }
        let error = CallError::Refused {
            code: Code::ConfTokenNotFound,
            during: Stage::Prepare,
        };
        assert_eq!(after([(error, NEW)]), "refused");
    }
}
