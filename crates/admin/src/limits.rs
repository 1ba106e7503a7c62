//! Every bound of this crate.

use std::time::Duration;

/// Most connections to one of the APIs at a time. Further ones wait in the
/// kernel's queue.
pub const CONNECTIONS: usize = 64;
/// Connections that wait in the kernel's queue.
pub(crate) const BACKLOG: i32 = 128;
/// How long a connection may be silent. It is longer than any answer takes,
/// because a client that waits for one is silent.
pub const IDLE: Duration = Duration::from_secs(60);
/// How long an answer may take, with the reading of its request's body.
pub const ANSWER: Duration = Duration::from_secs(30);
/// How long requests under way may take when the gateway stops.
pub const STOP: Duration = Duration::from_secs(1);
/// How long to wait after a connection could not be accepted for want of
/// descriptors or memory.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long metrics wait for what the runners do; without it they have all else.
pub(crate) const RUNNERS: Duration = Duration::from_secs(1);
