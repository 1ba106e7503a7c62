//! Every limit of this crate, by name.

use std::time::Duration;

/// Connections served at the same time. A host opens one for every call that
/// is under way; beyond this number they wait in the listener's backlog.
pub const MAX_CONNECTIONS: usize = 16_384;

/// Connections that the kernel holds until they are accepted.
pub const BACKLOG: u32 = 1024;

/// How long to wait after a failed accept (out of file descriptors, most
/// likely) before the next.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Configurations kept. Beyond it the oldest goes, and the host prepares it
/// again when it is needed.
pub const MAX_CONFS: usize = 16_384;

/// Bytes of configuration text kept, over all configurations; beyond it the
/// oldest go, but never the newest.
pub const MAX_CONF_BYTES: usize = 64 * 1024 * 1024;

/// Plugins in one configuration.
pub const MAX_CHAIN: usize = 256;

/// How long the host keeps a conf token where `APISIX_CONF_EXPIRE_TIME` does
/// not say it; the reference's default.
pub const DEFAULT_CONF_EXPIRE_TIME: Duration = Duration::from_secs(3600);

/// The longest lifetime of a configuration; longer ones are cut to it.
pub const MAX_CONF_LIFETIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long calls in flight may take to end after the shutdown began.
pub const DEFAULT_DRAIN_TIME: Duration = Duration::from_secs(10);

/// Bytes of a text from elsewhere (a name, an error) that one log line shows.
pub const SHOWN_BYTES: usize = 1024;

/// Questions of one connection's call that wait to be sent. A call asks one
/// question after the other, so one place is enough.
pub const QUESTIONS: usize = 1;

/// The lowest and the highest status that a plugin may answer with. Below are
/// interim responses, after which a client waits for the final one.
pub const STATUS: std::ops::RangeInclusive<u16> = 200..=999;
