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

/// A process that lived this long did not fail to start: the backoff begins anew.
pub(crate) const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Time from spawn to the first attempt to connect.
pub(crate) const PROBE_FIRST: Duration = Duration::from_millis(2);

/// The longest time between two attempts to connect.
pub(crate) const PROBE_MAX: Duration = Duration::from_millis(100);

/// Time from spawn to the first report that a runner does not listen. Slow
/// starters (a JVM) need seconds.
pub(crate) const NOT_LISTENING_FIRST: Duration = Duration::from_secs(5);

/// The longest time between two such reports.
pub(crate) const NOT_LISTENING_MAX: Duration = Duration::from_secs(60);

/// Time that a replaced process is left alone for the calls it still has, unless
/// [`drained`](crate::Handle::drained) says earlier that it has none.
pub(crate) const RESTART_DRAIN: Duration = Duration::from_secs(10);

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
