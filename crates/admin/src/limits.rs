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
/// How long a TLS handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long an answer may take, with the reading of its request's body.
pub const ANSWER: Duration = Duration::from_secs(30);
/// How long requests under way may take when the gateway stops.
pub const STOP: Duration = Duration::from_secs(1);
/// How long to wait after a connection could not be accepted for want of
/// descriptors or memory.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long metrics wait for what the runners do; without it they have all else.
pub(crate) const RUNNERS: Duration = Duration::from_secs(1);
/// Largest body of a request to the Admin API, in bytes (APISIX's value).
pub const BODY: usize = 1_536 << 10;
/// Largest message between the gateway and its own commands, in bytes: all resources.
pub(crate) const LOCAL_LEN: u64 = 256 << 20;
/// How long one of those may take, with the answer.
pub(crate) const LOCAL: Duration = Duration::from_secs(60);
/// Largest body that tells all resources at once, in bytes.
pub(crate) const WHOLE_BODY: usize = 64 << 20;
/// How often a change is decided anew because the resources have changed meanwhile.
pub(crate) const DECISIONS: u32 = 16;
/// Smallest and largest page of a list (APISIX's values).
pub(crate) const PAGE: std::ops::RangeInclusive<u64> = 10..=500;
/// Longest time that a resource may be asked to live for, in seconds: a hundred years.
pub(crate) const TTL: f64 = 100.0 * 365.0 * 86_400.0;
