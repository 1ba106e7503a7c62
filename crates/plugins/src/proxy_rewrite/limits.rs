//! Bounds of `proxy-rewrite`, beside those of its schema.

/// Longest value of a header field with its variables, in bytes; ours. More
/// than that no server takes.
pub(super) const HEADER_VALUE: usize = 1 << 16;
