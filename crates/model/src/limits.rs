//! Every bound of this crate. Those of text and numbers are APISIX's own, from
//! its schemas, unless a line says otherwise.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Longest id, in bytes.
pub const ID_LEN: usize = 64;
/// Longest `name` and service name, in characters.
pub const NAME_CHARS: usize = 256;
/// Longest `desc`, in characters.
pub const DESC_CHARS: usize = 256;
/// Longest value of a label, in characters.
pub const LABEL_CHARS: usize = 256;
/// Longest `uri` of a route, in characters.
pub const URI_CHARS: usize = 4096;
/// Length of a certificate or a key in PEM, in characters.
pub const PEM: RangeInclusive<usize> = 128..=64 * 1024;
/// Length of the `content` of a proto, in characters.
pub const PROTO_CHARS: RangeInclusive<usize> = 1..=1024 * 1024;
/// Longest chain of certificates that a client may be asked for; ours.
pub const CHAIN_LEN: i64 = 100;
/// Longest host name, in bytes (RFC 1035, section 2.3.4).
pub const HOST_LEN: usize = 253;
/// Longest duration that a property can ask for; ours. One that is longer is a
/// slip of the unit, and would overflow deadlines.
pub const LONGEST_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);
/// Largest weight of a node; ours. The sum of many stays within 64 bits.
pub const WEIGHT: i64 = u32::MAX as i64;
/// Largest number of retries; ours.
pub const RETRIES: i64 = u32::MAX as i64;
/// Largest keepalive pool and number of requests on one connection; ours.
pub const KEEPALIVE: i64 = u32::MAX as i64;
/// Most probes of an upstream that may be under way at once; ours.
pub const PROBES: i64 = 1000;
/// Longest interval between probes, in seconds; ours.
pub const INTERVAL: i64 = 365 * 24 * 3600;
/// Most successes or failures in a row that a health check may ask for.
pub const HEALTH_COUNT: i64 = 254;
/// A name in a fault is the nearest known one only if it is at least this
/// similar to what was written (Jaro-Winkler, from 0 to 1); ours.
pub const SIMILARITY: f64 = 0.8;
/// Deepest nesting of an expression (`vars`); ours.
pub const EXPR_DEPTH: usize = 32;
/// Memory that one compiled regular expression of an expression may take, in
/// bytes; ours.
pub const EXPR_REGEX_BYTES: usize = 1024 * 1024;
