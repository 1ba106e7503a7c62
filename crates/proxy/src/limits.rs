//! Named limits of this crate.

use std::time::Duration;

/// Connections that wait in a listener's queue to be accepted.
pub const LISTEN_BACKLOG: i32 = 1024;

/// How long accepting pauses after an error such as too many open files, so
/// that the error is not met again at once.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often idle upstream connections are looked over.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Idle upstream connections of one worker to all nodes together.
pub const MAX_IDLE_LINKS: usize = 4096;

/// Frames of a response that are read before its head is sent on, in the hope
/// that they are all of it and head and body go out in one write.
pub const EAGER_FRAMES: usize = 2;

/// How long a connection that is closed is read from at most, so that the
/// client can take its response (nginx's `lingering_time`).
pub const LINGER: Duration = Duration::from_secs(30);

/// How long it is read from while nothing comes (nginx's `lingering_timeout`).
pub const LINGER_IDLE: Duration = Duration::from_secs(5);

/// Bytes that are read and thrown away at once.
pub const LINGER_CHUNK: usize = 4096;
