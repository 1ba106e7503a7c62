//! Named limits of the external plugins' side.

use std::ops::RangeInclusive;

use outrigger_engine::limits::MAX_BUFFERED_BODY;

/// Longest name of an external plugin, in characters (APISIX's schema).
pub(super) const NAME_CHARS: RangeInclusive<usize> = 1..=128;

/// Most headers or arguments that one answer may name.
pub(super) const MAX_ENTRIES: usize = 1000;

/// What `max_body` may be, in bytes; the most is the default.
pub(super) const BODY_BYTES: RangeInclusive<i64> = 1..=MAX_BUFFERED_BODY as i64;

/// What a time limit may be, in milliseconds.
pub(super) const MILLISECONDS: RangeInclusive<i64> = 1..=u32::MAX as i64;

/// What the status of `on_error` may be (APISIX's range for such statuses).
pub(super) const ERROR_STATUS: RangeInclusive<i64> = 200..=599;

/// Failed calls of one route's plugin that are logged in one second.
pub(super) const WARNINGS_PER_SECOND: u32 = 5;
