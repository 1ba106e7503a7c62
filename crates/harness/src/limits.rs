//! How long and how much: every limit of this crate.

use std::time::Duration;

/// How long a condition may take to come true, unless the caller says
/// otherwise. Generous: debug builds on a busy machine, a JVM starting.
pub const WAIT: Duration = Duration::from_secs(30);

/// How long one exchange of the client may take, unless the caller says
/// otherwise.
pub const EXCHANGE: Duration = Duration::from_secs(30);

/// Pause between two looks at a condition that nobody announces.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// How long the output of a process that has exited may take to arrive. A
/// grandchild that inherited the pipe can keep it open for ever.
pub(crate) const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// How long the children of a killed process may take to follow it.
pub(crate) const ORPHANS: Duration = Duration::from_secs(2);

/// The longest line of a message head that is read, in bytes.
pub(crate) const HEAD_LINE: usize = 1 << 20;

/// The most header lines of a message that are read.
pub(crate) const HEAD_LINES: usize = 10_000;

/// The longest message body that is read, in bytes.
pub(crate) const BODY: u64 = 1 << 28;

/// A body longer than this is sent by a thread of its own, so that an answer
/// which comes before the body has gone out is read meanwhile; in bytes.
pub(crate) const BODY_INLINE: usize = 32 << 10;

/// How many ports are tried before it is given up that nobody takes one in between.
pub(crate) const PORTS: usize = 10;

/// How many values etcd takes in one transaction.
pub(crate) const ETCD_PUTS: usize = 128;
