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
