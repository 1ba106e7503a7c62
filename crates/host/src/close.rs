//! Why a connection was closed.

use std::fmt;

/// Why a connection to a runner was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// It had done what it was for: having one configuration prepared.
    Done,
    /// The future of its call was dropped, or the call took too long.
    Cancelled,
    /// Its call failed.
    Failed,
    /// The configuration was prepared by another process than the one it leads
    /// to.
    OtherProcess,
    /// Its call ended with bytes left unread or unsent.
    Unclean,
    /// While it was idle, the runner closed it or sent what nobody asked for.
    Disturbed,
    /// It was idle for too long.
    Idle,
    /// There were idle connections enough.
    Surplus,
    /// Calls go to another process by now, or to none.
    Outdated,
    /// It was idle when its worker stopped.
    Stopped,
}

impl CloseReason {
    /// One stable word, or two, for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::OtherProcess => "other process",
            Self::Unclean => "unclean",
            Self::Disturbed => "disturbed",
            Self::Idle => "idle",
            Self::Surplus => "surplus",
            Self::Outdated => "outdated",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
