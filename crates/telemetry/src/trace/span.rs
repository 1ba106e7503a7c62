//! Spans: a request's, and within it those of calls to runners.
//!
//! They belong to one worker; what is over goes to the exporter's queue.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use super::WorkerTracer;
use super::context::{Context, SpanId, Traceparent};
use crate::metrics::{CallCost, Outcome};

/// A span that is over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    pub(crate) context: Context,
    pub(crate) parent: Option<SpanId>,
    pub(crate) tracestate: Option<Box<str>>,
    pub(crate) name: Cow<'static, str>,
    pub(crate) side: Side,
    pub(crate) begun: SystemTime,
    pub(crate) took: Duration,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) failed: bool,
}

/// On which side of an exchange the span was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A number.
    Int(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

/// A moment by both clocks, so that what is measured by one can be told by the
/// other.
#[derive(Debug, Clone, Copy)]
struct Moment {
    time: SystemTime,
    instant: Instant,
}

impl Moment {
    fn now() -> Self {
        Moment {
            time: SystemTime::now(),
            instant: Instant::now(),
        }
    }
}

/// A request on its way. Its span is over at its [end](RequestSpan::end), or
/// when this is dropped.
#[derive(Debug)]
pub struct RequestSpan {
    tracer: Rc<WorkerTracer>,
    context: Context,
    /// The client's span, and the state that came with it.
    parent: Option<SpanId>,
    tracestate: Option<Box<str>>,
    begun: Moment,
    name: Cow<'static, str>,
    attributes: Vec<(&'static str, Value)>,
    failed: bool,
    ended: bool,
}

impl RequestSpan {
    pub(super) fn begin(
        tracer: &Rc<WorkerTracer>,
        context: Context,
        parent: Option<SpanId>,
        tracestate: Option<Box<str>>,
    ) -> Self {
        RequestSpan {
            tracer: Rc::clone(tracer),
            context,
            parent,
            tracestate,
            begun: Moment::now(),
            name: Cow::Borrowed("request"),
            attributes: Vec::new(),
            failed: false,
            ended: false,
        }
    }

    /// Whether anybody will read what is told of the request; if not, telling
    /// is a waste of time.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.context.sampled
    }

    /// Whether a client's trace goes on here, and with it its `tracestate`.
    #[must_use]
    pub fn has_parent(&self) -> bool {
        self.parent.is_some()
    }

    /// The context of what the gateway asks others for this request's sake.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context
    }

    /// Names the span, best with few different names.
    pub fn name(&mut self, name: String) {
        self.name = Cow::Owned(name);
    }

    /// Notes something about the request.
    pub fn note(&mut self, key: &'static str, value: impl Into<Value>) {
        if self.is_recorded() {
            self.attributes.push((key, value.into()));
        }
    }

    /// The gateway or what is behind it has failed this request.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Begins a call of a runner. `name` is the plugin's.
    #[must_use]
    pub fn call(&self, name: &'static str) -> CallSpan {
        CallSpan {
            tracer: Rc::clone(&self.tracer),
            context: Context {
                span: self.tracer.span_id(),
                ..self.context
            },
            parent: self.context.span,
            tracestate: self.tracestate.clone(),
            begun: Moment::now(),
            name,
            attributes: Vec::new(),
            outcome: Outcome::Cancelled,
        }
    }
}

impl RequestSpan {
    /// The request is over. Calls that it is the reason of may still begin.
    pub fn end(&mut self) {
        if self.ended || !self.is_recorded() {
            return;
        }
        self.ended = true;
        self.tracer.record(Span {
            context: self.context,
            parent: self.parent,
            tracestate: self.tracestate.clone(),
            name: std::mem::take(&mut self.name),
            side: Side::Server,
            begun: self.begun.time,
            took: self.begun.instant.elapsed(),
            attributes: std::mem::take(&mut self.attributes),
            failed: self.failed,
        });
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        self.end();
    }
}

/// A call of a runner under way. Its span is over when this is dropped; before
/// its [end](CallSpan::end), it counts as cancelled.
#[derive(Debug)]
pub struct CallSpan {
    tracer: Rc<WorkerTracer>,
    context: Context,
    parent: SpanId,
    tracestate: Option<Box<str>>,
    begun: Moment,
    name: &'static str,
    attributes: Vec<(&'static str, Value)>,
    outcome: Outcome,
}

impl CallSpan {
    /// What the runner is to be told as `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> Traceparent {
        self.context.traceparent()
    }

    /// Notes something about the call.
    pub fn note(&mut self, key: &'static str, value: impl Into<Value>) {
        if self.context.sampled {
            self.attributes.push((key, value.into()));
        }
    }

    /// The call was not made after all: there is nothing to tell.
    pub fn discard(mut self) {
        self.context.sampled = false;
    }

    /// The call is over.
    pub fn end(mut self, outcome: Outcome, cost: &CallCost) {
        self.outcome = outcome;
        self.note("outrigger.attempts", i64::from(cost.attempts));
        if !cost.waited.is_zero() {
            let micros = i64::try_from(cost.waited.as_micros()).unwrap_or(i64::MAX);
            self.note("outrigger.waited_us", micros);
        }
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        if !self.context.sampled {
            return;
        }
        let outcome = self.outcome;
        self.note("outrigger.outcome", outcome.label());
        if let Outcome::Failed { kind, degraded } = outcome {
            self.note("error.type", kind);
            if degraded {
                self.note("outrigger.degraded", "true");
            }
        }
        self.tracer.record(Span {
            context: self.context,
            parent: Some(self.parent),
            tracestate: self.tracestate.take(),
            name: Cow::Borrowed(self.name),
            side: Side::Client,
            begun: self.begun.time,
            took: self.begun.instant.elapsed(),
            attributes: std::mem::take(&mut self.attributes),
            failed: matches!(outcome, Outcome::Failed { .. }),
        });
    }
}
