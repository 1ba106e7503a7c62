//! What the gateway counts, and the text in which Prometheus reads it.
//!
//! [`Metrics`] is made once and passed on; nothing is global. Whoever counts on
//! the way of a request takes a handle when the configuration is compiled, and
//! from then on touches only atomics that its worker has for itself.
//!
//! Deliberately absent: the server that hands the text out.

mod calls;
mod cells;
mod chain;
mod held;
mod owners;
mod shard;
mod spans;
mod text;

use std::sync::{Arc, OnceLock};

pub use calls::{Call, CallCost, CallLabels, Calls, Outcome};
pub use text::CONTENT_TYPE;

pub(crate) use spans::SpanCounts;

use calls::AllCalls;
use text::{Family, Text};

/// All metrics of one gateway. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<All>);

#[derive(Debug)]
struct All {
    workers: usize,
    calls: AllCalls,
    /// None where nothing is traced.
    spans: OnceLock<Arc<SpanCounts>>,
}

impl Metrics {
    /// Metrics of a gateway with so many workers, which are numbered from 0.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Metrics(Arc::new(All {
            workers,
            calls: AllCalls::default(),
            spans: OnceLock::new(),
        }))
    }

    /// The handle that counts these calls. Those who ask with the same labels
    /// count together.
    #[must_use]
    pub fn calls(&self, labels: CallLabels<'_>) -> Calls {
        self.0.calls.get(labels, self.0.workers)
    }

    pub(crate) fn spans(&self) -> Arc<SpanCounts> {
        Arc::clone(self.0.spans.get_or_init(Arc::default))
    }

    /// All metrics as Prometheus reads them; its media type is [`CONTENT_TYPE`].
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Text::default();
        text.single(WORKERS, self.0.workers);
        self.0.calls.write(&mut text);
        if let Some(spans) = self.0.spans.get() {
            spans.write(&mut text);
        }
        text.into_string()
    }
}

const WORKERS: Family = Family::gauge("outrigger_workers", "Threads that serve requests.");

#[cfg(test)]
mod tests;
