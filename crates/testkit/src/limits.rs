//! Every limit of this crate, by name.

use std::time::Duration;

/// How long a fake host waits for the answer to a call; what the reference
/// gateway's limit is.
pub const CALL_TIME: Duration = Duration::from_secs(60);

/// How long a test waits for something to be received before it fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes on their way in a connection in memory.
pub const IN_FLIGHT_BYTES: usize = 64 * 1024;
