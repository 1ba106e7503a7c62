//! Named limits of this crate.

/// Bytes of a request or response body that may be held in memory for one
/// request when a plugin asks for the body whole. It is the most that fits
/// an A6 frame's 24-bit length with room for the message around it.
pub const MAX_BUFFERED_BODY: usize = (1 << 24) - 1 - 4096;

/// Arguments of a query that are read; more are passed on untouched but not
/// shown to plugins.
pub const MAX_ARGS: usize = 1000;

/// Bytes of a request target: the most that `http`'s type holds.
pub const MAX_TARGET: usize = u16::MAX as usize - 1;

/// Bytes of bodies that may be in memory at once, for all requests together,
/// unless configured.
pub const BODY_MEMORY: usize = 256 << 20;

/// Bytes of a body that are not worth counting towards [`BODY_MEMORY`]: about
/// what a connection's buffers take anyway.
pub const UNCOUNTED_BODY: usize = 8 << 10;

/// Values that plugins may keep for one request.
pub const CONTEXT_VALUES: usize = 64;

/// Bytes of such values and their names for one request.
pub const CONTEXT_BYTES: usize = 16 << 10;

/// Bytes of a host name; longer ones are looked up too, with more effort.
pub(crate) const HOST_LEN: usize = 255;

/// Points on the ring of a consistent hash for each unit of a node's weight
/// (that of nginx and APISIX).
pub const RING_POINTS_PER_WEIGHT: u64 = 160;

/// Points on such a ring at most, which takes 8 bytes for each; weights that ask
/// for more count in proportion.
pub const RING_POINTS: u64 = 160 * 4096;
