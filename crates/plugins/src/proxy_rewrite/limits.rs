//! Bounds of `proxy-rewrite`. Those of texts are APISIX's, from its schema.

/// Longest `uri`, in characters.
pub(super) const URI_CHARS: usize = 4096;
/// Longest value of a header field with its variables, in bytes; ours. More
/// than that no server takes.
pub(super) const HEADER_VALUE: usize = 1 << 16;
