//! Traces: what became of single requests, told to a collector.
//!
//! A [`Tracer`] is passed to the workers; each begins a [`RequestSpan`] per
//! request, which goes on with the client's trace where there is one, and
//! within it a [`CallSpan`] per call of a runner. What is over and recorded
//! waits in a bounded queue for the [`Exporter`], which sends it off in
//! batches from the control thread. A worker never waits for it.
//!
//! Deliberately absent: other propagation formats than W3C's, and spans of the
//! gateway's inner life.

mod context;
mod export;
mod otlp;
mod queue;
mod sample;
mod send;
mod span;
mod tls;

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

pub use context::{Context, SpanId, TraceId, Traceparent};
pub use export::{Exporter, Exporting};
pub use send::{BadEndpoint, Endpoint};
pub use span::{CallSpan, RequestSpan, Value};
pub use tls::Trust;

use queue::Queue;
use sample::Ratio;
use span::Span;

use crate::metrics::Metrics;

/// What is recorded, and where it goes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The collector.
    pub endpoint: Endpoint,
    /// The share, from 0 to 1, of traces that are recorded among those that
    /// begin here. One that a client has begun is recorded if the client does.
    pub sample_ratio: f64,
    /// What the gateway is called, with further attributes of it.
    pub service_name: String,
    /// Further attributes of the gateway: key and value.
    pub resource: Vec<(String, String)>,
    /// How long the collector may take for a batch.
    pub timeout: std::time::Duration,
    /// How long a span may wait for others to be sent with.
    pub interval: std::time::Duration,
    /// Whether upstreams are told the gateway's span instead of the client's.
    pub tell_upstreams: bool,
    /// How many spans may wait; further ones are dropped, and counted.
    pub queue: usize,
}

/// Begins traces, or goes on with them, on all workers.
#[derive(Debug, Clone)]
pub struct Tracer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ratio: Ratio,
    tell_upstreams: bool,
    queue: Arc<Queue>,
}

impl Tracer {
    /// A tracer, and the exporter that is to be run for it.
    #[must_use]
    pub fn new(settings: Settings, metrics: &Metrics) -> (Self, Exporter) {
        let (queue, waiting) = queue::new(settings.queue, metrics.spans());
        let tracer = Tracer(Arc::new(Shared {
            ratio: Ratio::new(settings.sample_ratio),
            tell_upstreams: settings.tell_upstreams,
            queue: Arc::clone(&queue),
        }));
        (
            tracer,
            Exporter::new(settings, queue, waiting, metrics.spans()),
        )
    }

    /// Whether both are the same tracer: clones of one are.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether nothing is traced by any clone of it any more.
    #[must_use]
    pub fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// The tracer of one worker.
    #[must_use]
    pub fn for_worker(&self) -> Rc<WorkerTracer> {
        Rc::new(WorkerTracer {
            shared: Arc::clone(&self.0),
            random: RandomState::new(),
            serial: Cell::new(0),
        })
    }
}

/// A worker's tracer.
#[derive(Debug)]
pub struct WorkerTracer {
    shared: Arc<Shared>,
    random: RandomState,
    serial: Cell<u64>,
}

/// How a client's trace reaches the gateway.
#[derive(Debug, Clone, Copy, Default)]
pub struct Incoming<'a> {
    /// The value of the request's only field `traceparent`.
    pub traceparent: Option<&'a [u8]>,
    /// The value of its field `tracestate`.
    pub tracestate: Option<&'a [u8]>,
}

impl WorkerTracer {
    /// Begins the span of a request.
    #[must_use]
    pub fn request(self: &Rc<Self>, incoming: Incoming<'_>) -> RequestSpan {
        let span = self.span_id();
        match incoming.traceparent.and_then(Context::parse) {
            Some(parent) => {
                let state = incoming.tracestate.map(String::from_utf8_lossy);
                let state = state.filter(|state| !state.is_empty());
                let context = Context { span, ..parent };
                let state = state.map(|state| state.into_owned().into());
                RequestSpan::begin(self, context, Some(parent.span), state)
            }
            None => {
                let trace = self.trace_id();
                let context = Context {
                    trace,
                    span,
                    sampled: self.shared.ratio.samples(trace),
                };
                RequestSpan::begin(self, context, None, None)
            }
        }
    }

    /// Whether upstreams are told the gateway's span instead of the client's.
    #[must_use]
    pub fn tells_upstreams(&self) -> bool {
        self.shared.tell_upstreams
    }

    fn record(&self, span: Span) {
        self.shared.queue.push(span);
    }

    /// A number that nobody else has, and is not zero.
    fn number(&self) -> u64 {
        self.serial.set(self.serial.get() + 1);
        self.random.hash_one(self.serial.get()).max(1)
    }

    fn span_id(&self) -> SpanId {
        SpanId(self.number().to_be_bytes())
    }

    fn trace_id(&self) -> TraceId {
        let (high, low) = (u128::from(self.number()), u128::from(self.number()));
        TraceId((high << 64 | low).to_be_bytes())
    }
}
