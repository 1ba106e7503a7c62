//! Every limit of this crate, by name.

use std::time::Duration;

use outrigger_a6::limits::{HEADER_LEN, MAX_PAYLOAD, READ_CHUNK, RETAINED_BUFFER};

/// How long a runner may take to accept a connection, unless configured. As in
/// APISIX.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long preparing a configuration may take, unless configured. As in APISIX.
pub const PREPARE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a call may take, unless configured. As in APISIX.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a runner is told that a configuration lives, unless configured. As
/// in APISIX.
pub const CONF_LIFETIME: Duration = Duration::from_secs(3600);

/// Pause before the second try to connect; it doubles with each further try …
pub(crate) const CONNECT_RETRY_FIRST: Duration = Duration::from_millis(1);

/// … up to this.
pub(crate) const CONNECT_RETRY_MAX: Duration = Duration::from_millis(50);

/// A connection that was idle for longer is not used again. The Python runner
/// closes its side after 60 s: ours must be the first, or calls would be sent
/// into connections that are just being closed.
pub const IDLE_LIMIT: Duration = Duration::from_secs(50);

/// How often a worker looks over its idle connections, if nothing else makes it.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// Idle connections a worker keeps to one process. One that is surplus when its
/// call ends is closed.
pub const IDLE_CONNECTIONS: usize = 128;

/// Questions a runner may ask in one call. A chain of plugins asks for some
/// dozens of variables; a runner that never stops asking is broken.
pub const QUESTIONS_PER_CALL: usize = 1024;

/// How often a call is sent, or made ready to be sent, with a new token before
/// it fails. As in APISIX.
pub const TOKEN_TRIES: u32 = 3;

/// When a token is renewed, in tenths of its lifetime. As in APISIX.
pub(crate) const RENEW_AT_TENTHS: u32 = 9;

/// Pause after a renewal that failed. The old token goes on meanwhile.
pub(crate) const RENEW_RETRY: Duration = Duration::from_secs(1);

/// Received bytes that wait while a frame is being sent: one whole frame and
/// one read. So a runner that answers before it has read everything is never
/// waited for forever, and memory stays bounded.
pub(crate) const READ_AHEAD: usize = HEADER_LEN + MAX_PAYLOAD + READ_CHUNK;

/// A frame of up to this many bytes fits into a socket's send buffer as the
/// kernel makes it (208 KiB, bookkeeping included, unless an administrator
/// chose less). For longer ones a larger buffer is asked for.
pub(crate) const SEND_BUFFER_DEFAULT: usize = 64 * 1024;

/// Times in a configuration are cut to this, so that adding one to a point in
/// time cannot overflow. Nobody waits for 30 years.
pub(crate) const LONGEST_TIME: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Processes of one runner side by side.
pub const INSTANCES: usize = 256;

/// How often a call is sent in all when its connections die.
pub const SENDINGS: u32 = 3;

/// Calls to one runner that have their turn at once, unless configured.
pub const IN_FLIGHT: usize = 10_000;

/// Calls to one runner that wait, unless configured.
pub const QUEUE: usize = 10_000;

/// Bytes of long frames of one runner in memory at once, unless configured.
pub const MAX_BUFFERED: usize = 256 * 1024 * 1024;

/// Buffers of a connection up to this do not count towards
/// [`MAX_BUFFERED`]: each has one, and their number is bounded.
pub(crate) const UNCOUNTED_BUFFER: usize = RETAINED_BUFFER;

/// How long the circuit breaker counts calls, unless configured.
pub const BREAKER_WINDOW: Duration = Duration::from_secs(10);

/// With fewer calls in a window the circuit breaker does nothing, unless
/// configured.
pub const BREAKER_CALLS: u32 = 100;

/// Of 100 calls so many must fail for the circuit breaker to open, unless
/// configured. A runner that still answers every fourth call is worth calling.
pub const BREAKER_ERROR_PERCENT: u8 = 80;

/// How long the circuit breaker stays open before a call is tried, unless
/// configured.
pub const BREAKER_PAUSE: Duration = Duration::from_secs(5);

/// Log calls that a worker has under way. One more is dropped.
pub const LOG_CALLS: usize = 1024;

/// How long a log call may take, unless configured.
pub const LOG_CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Configurations that are prepared ahead at one process at once.
pub const PREPARE_AHEAD: usize = 16;

/// How often the socket of a runner that somebody else starts is looked at,
/// while a connection to it is held.
pub(crate) const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Pause before looking again whether somebody listens; it doubles with each
/// further look …
pub(crate) const FOLLOW_RETRY_FIRST: Duration = Duration::from_millis(1);

/// … up to this.
pub(crate) const FOLLOW_RETRY_MAX: Duration = Duration::from_millis(50);

/// How long calls wait for a runner that somebody else starts before they fail
/// at once: as long as a slow one takes to start.
pub const FOLLOW_PATIENCE: Duration = Duration::from_secs(30);
