//! Bounds of `proxy-rewrite`. Those of texts are APISIX's, from its schema.

/// Longest `uri`, in characters.
pub(super) const URI_CHARS: usize = 4096;
/// Memory that one compiled expression of `regex_uri` may take, in bytes; ours.
pub(super) const REGEX_SIZE: usize = 1 << 20;
/// Memory that a search with it may keep, in bytes for each worker; ours.
pub(super) const REGEX_CACHE: usize = 1 << 18;
/// Longest value of a header field with its variables, in bytes; ours. More
/// than that no server takes.
pub(super) const HEADER_VALUE: usize = 1 << 16;
