//! What a caller may choose for one call, and what it learns of it afterwards.

use std::time::Duration;

/// What is different in one call from what the runner is configured with.
/// Where nothing is said, the runner's own times count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallOptions {
    /// Instead of [`Timeouts::call`](crate::Timeouts::call).
    pub time_limit: Option<Duration>,
    /// Instead of [`Timeouts::prepare`](crate::Timeouts::prepare).
    pub prepare: Option<Duration>,
    /// Instead of [`Timeouts::connect`](crate::Timeouts::connect).
    pub connect: Option<Duration>,
    /// Whether the call may be sent again when its connection dies before the
    /// whole answer came, so that a plugin may see it more than once. If not,
    /// it is sent again only where the runner cannot have seen it.
    pub retry: bool,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            time_limit: None,
            prepare: None,
            connect: None,
            retry: true,
        }
    }
}

/// How a call went, whether it failed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallStats {
    /// How often it was sent; 0 where it never got that far.
    pub attempts: u32,
    /// How long it waited for its turn and for a process.
    pub waited: Duration,
    /// Bytes that the runner was sent, answers to its questions included.
    pub sent: u64,
    /// Bytes that came from the runner.
    pub received: u64,
}
