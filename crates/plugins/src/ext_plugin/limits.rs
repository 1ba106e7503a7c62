//! Named limits of the external plugins' side, beside those of their schema.

/// Most headers or arguments that one answer may name.
pub(super) const MAX_ENTRIES: usize = 1000;

/// Failed calls of one route's plugin that are logged in one second.
pub(super) const WARNINGS_PER_SECOND: u32 = 5;
