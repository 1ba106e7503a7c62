//! How long and how much: every limit of the suite.

use std::time::Duration;

/// How many requests go out at once to a plugin that waits.
pub(crate) const AT_ONCE: usize = 200;

/// How long that plugin waits, in milliseconds.
pub(crate) const HOLD_MILLIS: u64 = 100;

/// How long all of them together may take. One after the other they take 20
/// seconds.
pub(crate) const ALL_AT_ONCE: Duration = Duration::from_secs(3);

/// How many routes with a configuration of their own there are at once.
pub(crate) const ROUTES: usize = 20;

/// How long a runner that ignores SIGTERM has until SIGKILL, in milliseconds.
pub(crate) const STOP_GRACE_MILLIS: u64 = 400;

/// How long a runner that heeds SIGTERM has until SIGKILL, in milliseconds: more
/// than any needs.
pub(crate) const LONG_GRACE_MILLIS: u64 = 15_000;

/// How many requests must be answered before and after something happens that
/// they are not to notice.
pub(crate) const UNNOTICED: usize = 20;

/// How many lines of a failure's message are printed.
pub(crate) const FAILURE_LINES: usize = 40;

/// How many lines from the end of the gateway's log go with a failure.
pub(crate) const FAILURE_LOG_LINES: usize = 20;

/// How long a response to a recorded frame may take.
pub(crate) const RECORD_WAIT: Duration = Duration::from_secs(10);

/// How long a call may take where a scenario needs it to fail, in milliseconds:
/// more than a busy machine needs for one that does not.
pub(crate) const SHORT_CALL_MILLIS: u64 = 3000;

/// Clients that send requests while something happens to the runner.
pub(crate) const CLIENTS: usize = 16;

/// How many requests are answered before it happens again. A call is sent three
/// times at most, so each must have had its answer before the third process dies;
/// a cold JVM leaves some waiting while it answers others.
pub(crate) const BETWEEN: usize = 20 * CLIENTS;

/// How often it happens, unless a soak is asked for.
pub(crate) const ROUNDS: usize = 5;

/// This part of a long start is what the first calls may take besides: a JVM loads
/// more of its classes then.
pub(crate) const FIRST_CALLS: u32 = 10;

/// How much longer than the runner takes to start a request may take meanwhile.
/// Only a soak looks, on a machine that is not busy.
pub(crate) const MORE_THAN_START: Duration = Duration::from_millis(300);
