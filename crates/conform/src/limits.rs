//! How long and how much: every limit of the suite.

use std::time::Duration;

/// A socket path's longest length in bytes: `sun_path` of unix(7) less its NUL.
pub(crate) const SOCKET_PATH_BYTES: usize = 107;

/// Questions that a runner may ask inside one call before it is said to ask
/// without end.
pub(crate) const QUESTIONS: usize = 1000;

/// Lines of a runner's output that are kept, the last ones.
pub(crate) const OUTPUT_LINES: usize = 20;

/// Bytes of one such line.
pub(crate) const OUTPUT_LINE_BYTES: usize = 400;

/// Time between two attempts to connect to a runner that starts.
pub(crate) const CONNECT_EVERY: Duration = Duration::from_millis(20);

/// How long connecting to a runner that listens may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(1);

/// How long after SIGTERM a host sends SIGKILL, the reference's and ours by
/// default.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(1);

/// Configurations whose tokens are compared with each other.
pub(crate) const TOKENS: usize = 64;

/// Calls made one after the other on one connection.
pub(crate) const CALLS: u32 = 100;

/// Connections open at the same time.
pub(crate) const CONNECTIONS: usize = 64;

/// Connections opened and closed again.
pub(crate) const HANG_UPS: usize = 200;

/// Headers of a request that has many.
pub(crate) const HEADERS: usize = 1000;

/// Bytes of a value in a message that is large, though no gateway calls it so.
pub(crate) const LARGE: usize = 1024 * 1024;

/// Bytes that a message takes beside its one large value, at most.
pub(crate) const AROUND: usize = 4 * 1024;

/// Messages with random changes that a runner is sent.
pub(crate) const MUTATIONS: u64 = 200;

/// Messages of random bytes that a runner is sent.
pub(crate) const RANDOM: u64 = 50;

/// Calls to a waiting plugin at the same time.
pub(crate) const WAITING_CALLS: usize = 16;

/// How often it is looked whether one call overtakes another.
pub(crate) const LOOKS: usize = 3;

/// A plugin that waits less than this cannot show what waits for what.
pub(crate) const SHORTEST_WAIT: Duration = Duration::from_millis(50);

/// Bytes of a profile or a list of exclusions.
pub(crate) const FILE_BYTES: u64 = 1024 * 1024;

/// How long one rule may take; more than any takes by itself.
pub(crate) const RULE: Duration = Duration::from_secs(300);

/// Characters of what was seen that are shown of one rule. A runner may answer
/// at any length.
pub(crate) const SEEN_CHARS: usize = 1000;

/// How long a process that closes its sockets may take to be gone.
pub(crate) const LAST_BREATH: Duration = Duration::from_secs(1);
