//! The life of a conf token, without a clock: every question comes with the
//! time at which it is asked.

use std::time::Duration;

use outrigger_a6::ConfToken;
use tokio::time::Instant;

use crate::limits::{RENEW_AT_TENTHS, RENEW_RETRY};
use crate::process::Process;

/// A runner's name for a configuration, and for whom and how long it is good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    value: ConfToken,
    /// Who gave it, and the only one to whom it may be sent.
    process: Process,
    renew_at: Instant,
    expires_at: Instant,
}

impl Token {
    /// A token that was asked for at `asked_at`. The runner counts from later
    /// on, and keeps a configuration for 1.2 times as long.
    pub(crate) fn new(
        value: ConfToken,
        process: Process,
        asked_at: Instant,
        lifetime: Duration,
    ) -> Self {
        Self {
            value,
            process,
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

    /// Whether it may be used at `now` in a call to `process`. Where the
    /// process is not known yet, it is to be compared once there is a
    /// connection.
    pub(crate) fn is_usable(&self, now: Instant, process: Option<Process>) -> bool {
        now < self.expires_at && process.is_none_or(|process| process == self.process)
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
