//! Spans, by what became of them.

use super::cells::Counter;
use super::text::{Family, Labels, Text};

/// Counts spans that left the gateway, or were given up.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    pub(crate) exported: Counter,
    /// They came faster than they could be sent.
    pub(crate) dropped_queue_full: Counter,
    /// The collector did not take them.
    pub(crate) dropped_rejected: Counter,
    /// The collector could not be reached.
    pub(crate) dropped_unsent: Counter,
}

impl SpanCounts {
    pub(crate) fn write(&self, text: &mut Text) {
        text.single(EXPORTED, self.exported.get());
        let dropped = [
            ("queue-full", &self.dropped_queue_full),
            ("rejected", &self.dropped_rejected),
            ("unsent", &self.dropped_unsent),
        ];
        let dropped = dropped.map(|(reason, count)| {
            let labels = Labels::none().with("reason", reason);
            (labels, count.get())
        });
        text.family(DROPPED, dropped);
    }
}

const EXPORTED: Family = Family::counter(
    "outrigger_spans_exported_total",
    "Spans that the collector took.",
);
const DROPPED: Family = Family::counter(
    "outrigger_spans_dropped_total",
    "Spans that were given up, by reason.",
);
