//! How patient the suite is.

use std::time::Duration;

/// How long the suite waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// An answer. A runner that takes longer is said not to answer.
    pub answer: Duration,
    /// Bytes that must not come; and the pause in the middle of what is sent in
    /// pieces.
    pub settle: Duration,
    /// How long a connection is left idle that must still work afterwards.
    pub idle: Duration,
    /// From the start of a process until it listens.
    pub start: Duration,
    /// From SIGTERM until a process must be gone.
    pub stop: Duration,
    /// The `APISIX_CONF_EXPIRE_TIME` of the process that shows how long it keeps
    /// configurations; in whole seconds, at least one.
    pub conf_lifetime: Duration,
}

impl Default for Times {
    /// 5 s for an answer, 100 ms to settle, 2 s idle, 60 s to start (a JVM on a
    /// busy machine), 10 s to stop, 2 s for a configuration.
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(5),
            settle: Duration::from_millis(100),
            idle: Duration::from_secs(2),
            start: Duration::from_secs(60),
            stop: Duration::from_secs(10),
            conf_lifetime: Duration::from_secs(2),
        }
    }
}
