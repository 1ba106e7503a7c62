//! Every limit of this crate, by name.

use std::time::Duration;

use outrigger_a6::limits::{HEADER_LEN, MAX_PAYLOAD, READ_CHUNK};

/// How long a call waits for a runner that is not listening, unless the
/// configuration says otherwise. As in APISIX.
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

/// Idle connections a worker keeps to one runner. One that is surplus when its
/// call ends is closed.
pub const IDLE_CONNECTIONS: usize = 128;

/// Calls to one runner that a worker has under way at once, each on its own
/// connection. One more is an error at once.
pub const CALLS_IN_FLIGHT: usize = 1024;

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
