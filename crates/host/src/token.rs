//! The life of a conf token, without a clock: every question comes with the
//! time at which it is asked.

use std::time::Duration;

use outrigger_a6::ConfToken;
use tokio::time::Instant;

use crate::limits::{RENEW_AT_TENTHS, RENEW_RETRY};
use crate::process::Process;
use crate::target::Encounter;

/// A runner's name for a configuration, and for whom and how long it is good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    value: ConfToken,
    /// Who gave it, and the only one to whom it may be sent.
    process: Process,
    encounter: Encounter,
    renew_at: Instant,
    expires_at: Instant,
}

impl Token {
    /// A token that was asked for at `asked_at`. The runner counts from later
    /// on, and keeps a configuration for 1.2 times as long.
    pub(crate) fn new(
        value: ConfToken,
        (process, encounter): (Process, Encounter),
        asked_at: Instant,
        lifetime: Duration,
    ) -> Self {
        Self {
            value,
            process,
            encounter,
            renew_at: asked_at + lifetime * RENEW_AT_TENTHS / 10,
            expires_at: asked_at + lifetime,
        }
    }

    pub(crate) fn value(&self) -> ConfToken {
        self.value
    }

    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// When its process was found.
    pub(crate) fn encounter(&self) -> Encounter {
        self.encounter
    }

    /// Whether it may be used at `now` in a call to its process.
    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        now < self.expires_at
    }

    /// Whether `other` is this one, and not the answer to another PrepareConf:
    /// a runner may answer with the same number again.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.value, self.process, self.expires_at)
            == (other.value, other.process, other.expires_at)
    }

    /// Whether somebody should renew it at `now`.
    pub(crate) fn is_renewal_due(&self, now: Instant) -> bool {
        now >= self.renew_at
    }

    /// The same token after a renewal failed at `now`: it goes on, and the next
    /// try is made in a while.
    pub(crate) fn after_failed_renewal(self, now: Instant) -> Self {
        Self {
            renew_at: now + RENEW_RETRY,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const OURS: Process = Process::Seen {
        pid: 10,
        started: 1,
    };
    const OTHER: Process = Process::Seen {
        pid: 10,
        started: 2,
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn token(value: u32, process: Process, asked_at: Instant) -> Token {
        Token::new(
            ConfToken(value),
            (process, Encounter::new()),
            asked_at,
            HOUR,
        )
    }

    #[test]
    fn it_is_good_for_its_lifetime() {
        let start = Instant::now();
        let token = token(1, OURS, start);
        for (age, usable) in [(0, true), (3599, true), (3600, false), (4000, false)] {
            let now = start + seconds(age);
            assert_eq!(token.is_usable(now), usable, "after {age} s");
        }
    }

    #[test]
    fn it_is_renewed_at_nine_tenths_of_its_lifetime() {
        let start = Instant::now();
        let token = token(1, OURS, start);
        assert!(!token.is_renewal_due(start + seconds(3239)));
        assert!(token.is_renewal_due(start + seconds(3240)));
    }

    #[test]
    fn a_failed_renewal_is_tried_again_in_a_while_and_changes_nothing_else() {
        let start = Instant::now();
        let token = token(1, OURS, start);
        let failed_at = start + seconds(3300);
        let later = token.after_failed_renewal(failed_at);
        assert!(later.is(&token));
        assert!(!later.is_renewal_due(failed_at));
        assert!(later.is_renewal_due(failed_at + RENEW_RETRY));
        assert!(later.is_usable(start + seconds(3599)));
        assert!(!later.is_usable(start + seconds(3600)));
    }

    #[test]
    fn the_same_number_given_again_is_another_token() {
        let start = Instant::now();
        let one = token(1, OURS, start);
        assert!(!one.is(&token(1, OURS, start + seconds(1))));
        assert!(!one.is(&token(1, OTHER, start)));
        assert!(!one.is(&token(2, OURS, start)));
    }
}
