//! Every bound of this crate, by name.

use std::time::Duration;

/// Bytes of one line of output that are handed on; the rest of it is dropped
/// and a mark says so.
pub(crate) const LINE_BYTES: usize = 8 * 1024;

/// Bytes read from a runner's output at once.
pub(crate) const READ_BYTES: usize = 8 * 1024;

/// Bytes still taken from each output pipe after the process has exited: the
/// largest pipe an unprivileged process may have. What comes after that is
/// from a descendant that outlived it.
pub(crate) const LAST_OUTPUT_BYTES: usize = 1024 * 1024;

/// A process that has listened this long did not end for what it is: its
/// successor comes soon, however often that happens.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// How often processes may end in a row that listened for less, until that
/// counts as if they had not come up.
pub(crate) const FLAPS: u32 = 64;

/// The longest time until the next process up to there, unless the first delay
/// is longer.
pub(crate) const FLAP_DELAY: Duration = Duration::from_millis(100);

/// Ends and failed spawns in a row until the runner counts as one that does not
/// come up: less than a second, if they come at once.
pub(crate) const FAILING_AFTER: u32 = 4;

/// How often a replacement is tried until what it was to replace stays.
pub(crate) const RESTART_TRIES: u32 = 3;

/// Time from spawn to the first attempt to connect.
pub(crate) const PROBE_FIRST: Duration = Duration::from_millis(2);

/// The longest time between two attempts to connect.
pub(crate) const PROBE_MAX: Duration = Duration::from_millis(100);

/// Time from spawn to the first report that a runner does not listen. Slow
/// starters (a JVM) need seconds.
pub(crate) const NOT_LISTENING_FIRST: Duration = Duration::from_secs(5);

/// The longest time between two such reports.
pub(crate) const NOT_LISTENING_MAX: Duration = Duration::from_secs(60);

/// Time that a process is left alone for the calls it has while its successor
/// waits for its socket path. New calls wait with it.
pub(crate) const PLACE_DRAIN: Duration = Duration::from_secs(1);

/// Replaced processes that are left to end their calls; the oldest beyond that
/// is stopped before its time. Each takes memory like one that serves.
pub(crate) const DRAINING: usize = 4;

/// Processes of which it is remembered that they have no calls, until that is
/// heeded; more than can be left to end their calls at once.
pub(crate) const DRAINED: usize = 4 * DRAINING;

/// Time between two looks at a process's memory, where that has a limit.
pub(crate) const MEASURE: Duration = Duration::from_secs(1);

/// A process that takes too much memory is not replaced before it has served
/// this long: where the limit is too low, its successor would not do better.
pub(crate) const OUTGROWN_AFTER: Duration = Duration::from_secs(5);

/// Time from one restart for memory's sake to the next.
pub(crate) const OUTGROWN_AGAIN: Duration = Duration::from_secs(30);

/// Time between two looks at whether a process group still has members. Process
/// ids are handed out in a cycle of at least 32768, so one that was a group's
/// this long ago is not yet someone else's.
pub(crate) const GROUP_POLL: Duration = Duration::from_millis(10);

/// Time to wait for a killed process group to be gone. Longer than this, the
/// kernel holds it (a dead network file system, say) and nobody can help.
pub(crate) const GROUP_GONE: Duration = Duration::from_secs(1);

/// Signals on their way to one child: it is sent at most SIGTERM and SIGKILL,
/// each once.
pub(crate) const SIGNALS: usize = 2;

/// Bytes of a socket's path: `sun_path` is 108 with its NUL.
pub(crate) const SOCKET_PATH_BYTES: usize = 107;

/// Bytes of a program file read to name its interpreter: what the kernel reads.
pub(crate) const SHEBANG_BYTES: usize = 256;

/// Highest descriptor marked one by one on a kernel without `close_range`.
pub(crate) const DESCRIPTORS: i32 = 65_536;

/// Further away than any deadline that matters; stands for "never" where a
/// configured time would overflow the clock.
pub(crate) const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
