//! Spans that wait to be sent: so many, and no more.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::span::Span;
use crate::limits::SPANS_PER_BATCH;
use crate::metrics::SpanCounts;

/// The workers' end.
#[derive(Debug)]
pub(crate) struct Queue {
    spans: mpsc::Sender<Span>,
    /// Told when there is enough for a batch.
    pub(crate) enough: Notify,
    counts: Arc<SpanCounts>,
}

/// A queue of this length, and the exporter's end.
pub(crate) fn new(length: usize, counts: Arc<SpanCounts>) -> (Arc<Queue>, mpsc::Receiver<Span>) {
    let (spans, waiting) = mpsc::channel(length.max(1));
    let queue = Queue {
        spans,
        enough: Notify::new(),
        counts,
    };
    (Arc::new(queue), waiting)
}

impl Queue {
    /// Puts a span into the queue, or drops it where that is full.
    pub(crate) fn push(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.counts.dropped_queue_full.add(1);
        }
        let length = self.spans.max_capacity();
        let waiting = length - self.spans.capacity();
        if waiting >= SPANS_PER_BATCH.min(length) {
            self.enough.notify_one();
        }
    }
}
