//! Which failed calls are sent again: pure, without I/O.

use outrigger_a6::error::Code;

use crate::limits::{SENDINGS, TOKEN_TRIES};
use crate::{CallError, Stage};

/// How a call went so far.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// Whether it may be repeated although the runner may have seen it.
    retry: bool,
    /// Tokens that turned out to be useless.
    tokens: u32,
    /// How often its connection, or that of its PrepareConf, died.
    deaths: u32,
    /// Whether an answer to another call came on its connection.
    misled: bool,
}

/// What the connection of a failed attempt tells about the failure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// It was idle before, so it may have had leftovers of an earlier call.
    pub(crate) reused: bool,
    /// The runner certainly did not see the call.
    pub(crate) unseen: bool,
    /// The failure was not the last that came, or came before the runner can
    /// have read the call.
    pub(crate) untimely: bool,
}

/// What to do after a failed attempt.
#[derive(Debug)]
pub(crate) enum Next {
    /// The token is void. Try again with another.
    NewToken,
    /// Try again on a new connection, best to another process.
    NewConnection(CallError),
    /// It stays failed.
    Fail(CallError),
}

impl Attempts {
    /// None so far.
    pub(crate) fn new(retry: bool) -> Self {
        Self {
            retry,
            tokens: 0,
            deaths: 0,
            misled: false,
        }
    }

    /// Whether idle connections are not trusted any more: one that died is
    /// seldom alone.
    pub(crate) fn need_new_connection(&self) -> bool {
        self.deaths > 0 || self.misled
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

    /// The configuration could not be prepared. That may be tried again
    /// whatever the runner saw of it.
    ///
    /// # Errors
    /// `error`, where it is to stay.
    pub(crate) fn prepare_failed(&mut self, error: CallError) -> Result<CallError, CallError> {
        if error.is_death() && self.may_die_again() {
            Ok(error)
        } else {
            Err(error)
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
            error if error.is_death() => {
                if (self.retry || used.unseen) && self.may_die_again() {
                    Next::NewConnection(error)
                } else {
                    Next::Fail(error)
                }
            }
            error if self.retry && !self.misled && is_leftover(&error, used) => {
                self.misled = true;
                Next::NewConnection(error)
            }
            error => Next::Fail(error),
        }
    }

    fn may_die_again(&mut self) -> bool {
        self.deaths += 1;
        self.deaths < SENDINGS
    }
}

/// Whether what came was the answer to an earlier call, left on the connection.
/// An answer names its call. An error does not: it is an earlier call's only if
/// it is not the last that came, or came before this call was sent whole. One
/// that comes alone and late cannot be told from this call's.
fn is_leftover(error: &CallError, used: Used) -> bool {
    match error {
        CallError::WrongId { .. } | CallError::WrongType { .. } => used.reused,
        CallError::Refused { .. } => used.reused && used.untimely,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Used = Used {
        reused: false,
        unseen: false,
        untimely: false,
    };
    const REUSED: Used = Used {
        reused: true,
        ..NEW
    };
    const UNSEEN: Used = Used {
        unseen: true,
        ..REUSED
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
    fn after(retry: bool, failures: impl IntoIterator<Item = (CallError, Used)>) -> String {
        let mut attempts = Attempts::new(retry);
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
    fn a_call_is_sent_three_times_when_its_connections_die() {
        let dies = || (closed(), NEW);
        assert_eq!(after(true, [dies()]), "new connection");
        assert_eq!(after(true, [dies(), dies()]), "new connection");
        assert_eq!(after(true, [dies(), dies(), dies()]), "closed");
        let unseen = || (closed(), UNSEEN);
        assert_eq!(after(true, [unseen(), unseen(), unseen()]), "closed");
    }

    #[test]
    fn a_call_not_to_be_repeated_is_only_where_the_runner_cannot_have_seen_it() {
        assert_eq!(after(false, [(closed(), NEW)]), "closed");
        assert_eq!(after(false, [(closed(), REUSED)]), "closed");
        assert_eq!(after(false, [(closed(), UNSEEN)]), "new connection");
        let lost = (refused(Code::ConfTokenNotFound), NEW);
        assert_eq!(after(false, [lost]), "new token");
    }

    #[test]
    fn a_prepare_is_repeated_whatever_was_seen() {
        let mut attempts = Attempts::new(false);
        assert!(attempts.prepare_failed(closed()).is_ok());
        assert!(attempts.prepare_failed(closed()).is_ok());
        assert!(attempts.prepare_failed(closed()).is_err());
        let refused = refused(Code::BadRequest);
        assert!(Attempts::new(true).prepare_failed(refused).is_err());
    }

    #[test]
    fn leftovers_on_a_used_connection_are_not_this_calls_answer() {
        let wrong = CallError::WrongId {
            expected: 2,
            got: 1,
        };
        assert_eq!(after(true, [(wrong.clone(), REUSED)]), "new connection");
        assert_eq!(after(true, [(wrong.clone(), NEW)]), "malformed");
        assert_eq!(after(false, [(wrong.clone(), REUSED)]), "malformed");
        let twice = [(wrong.clone(), REUSED), (wrong, REUSED)];
        assert_eq!(after(true, twice), "malformed");
    }

    #[test]
    fn an_error_that_cannot_be_this_calls_is_a_leftover() {
        let untimely = Used {
            untimely: true,
            ..REUSED
        };
        let refused = || refused(Code::ServiceUnavailable);
        assert_eq!(after(true, [(refused(), untimely)]), "new connection");
        assert_eq!(after(true, [(refused(), REUSED)]), "refused");
        let new = Used {
            reused: false,
            ..untimely
        };
        assert_eq!(after(true, [(refused(), new)]), "refused");
    }

    #[test]
    fn a_lost_token_is_replaced_until_the_third_try() {
        let lost = || (refused(Code::ConfTokenNotFound), NEW);
        assert_eq!(after(true, [lost()]), "new token");
        assert_eq!(after(true, [lost(), lost()]), "new token");
        assert_eq!(after(true, [lost(), lost(), lost()]), "token-lost");
    }

    #[test]
    fn tokens_and_connections_are_counted_apart() {
        let lost = || (refused(Code::ConfTokenNotFound), NEW);
        assert_eq!(after(true, [lost(), (closed(), NEW)]), "new connection");
        assert_eq!(after(true, [(closed(), NEW), lost(), lost()]), "new token");
    }

    #[test]
    fn what_the_runner_meant_stays() {
        for used in [NEW, REUSED, UNSEEN] {
            for code in [Code::ServiceUnavailable, Code::BadRequest] {
                assert_eq!(after(true, [(refused(code), used)]), "refused");
            }
        }
        let error = CallError::Refused {
            code: Code::ConfTokenNotFound,
            during: Stage::Prepare,
        };
        assert_eq!(after(true, [(error, NEW)]), "refused");
    }
}
