//! Calls as parts of traces: each has a span, and its runner is told the span's
//! context, so that what the runner does becomes a part of the trace too.
//!
//! The runner is told by the header `traceparent` of the call, which takes the
//! place of one that came with the request or response. Nobody else sees it:
//! a runner that sends it back as it was changes nothing.

use http::{HeaderMap, HeaderName, HeaderValue};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::headers::HeaderEdit;
use outrigger_host::a6::Entry;
use outrigger_telemetry::trace::{CallSpan, Traceparent};

use super::Phase;
use super::steps::Step;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The span of a call; none where requests are not traced.
pub(super) fn begin(exchange: &Exchange, step: &Step, phase: Phase) -> Option<CallSpan> {
    let request = exchange.trace.as_ref()?;
    let mut span = request.call(phase.plugin_name());
    if request.is_recorded() {
        span.note("outrigger.runner", step.runner.name().to_owned());
        span.note("outrigger.phase", phase.word());
        if let Some(route) = &exchange.route {
            span.note("outrigger.route.id", route.id.as_str().to_owned());
        }
    }
    Some(span)
}

/// What a runner is told instead of the fields that came.
#[derive(Clone, Copy)]
pub(super) struct ToldContext<'a> {
    traceparent: &'a Traceparent,
    /// Whether a state that came belongs to this trace.
    with_state: bool,
}

impl<'a> ToldContext<'a> {
    pub(super) fn new(exchange: &Exchange, traceparent: &'a Traceparent) -> Self {
        let request = exchange.trace.as_ref();
        ToldContext {
            traceparent,
            with_state: request.is_some_and(|request| request.has_parent()),
        }
    }

    /// Whether the runner is told this field as it came.
    pub(super) fn keeps(&self, name: &HeaderName) -> bool {
        *name != TRACEPARENT && (self.with_state || *name != TRACESTATE)
    }

    pub(super) fn entry(&self) -> Entry<'a> {
        Entry {
            name: b"traceparent",
            value: Some(self.traceparent.as_bytes()),
        }
    }

    /// Takes out of what a runner wants changed what it was only told.
    pub(super) fn forget_echo(&self, edits: &mut Vec<HeaderEdit>) {
        let told = |value: &HeaderValue| value.as_bytes() == self.traceparent.as_bytes();
        edits.retain(|edit| match edit {
            HeaderEdit::Set(name, value) => *name != TRACEPARENT || !told(value),
            HeaderEdit::Append(..) | HeaderEdit::Remove(_) => true,
        });
    }
}

/// Header fields as a call has them: one entry per value, names in lower case.
pub(super) fn entries<'a>(
    headers: &'a HeaderMap,
    context: Option<ToldContext<'a>>,
) -> Vec<Entry<'a>> {
    let mut entries = Vec::with_capacity(headers.len() + usize::from(context.is_some()));
    for (name, value) in headers {
        if context.is_none_or(|context| context.keeps(name)) {
            entries.push(Entry {
                name: name.as_str().as_bytes(),
                value: Some(value.as_bytes()),
            });
        }
    }
    entries.extend(context.map(|context| context.entry()));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_telemetry::trace::Context;

    const OURS: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn shown<'a>(entries: &[Entry<'a>]) -> Vec<(&'a str, &'a str)> {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap();
        let entries = entries.iter();
        entries
            .map(|entry| (text(entry.name), text(entry.value.unwrap())))
            .collect()
    }

    #[test]
    fn the_calls_context_takes_the_place_of_what_came() {
        let traceparent = Context::parse(OURS).unwrap().traceparent();
        let ours = std::str::from_utf8(OURS).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [("traceparent", "x"), ("a", "1"), ("tracestate", "s")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let told = |with_state| {
            entries(
                &headers,
                Some(ToldContext {
                    traceparent: &traceparent,
                    with_state,
                }),
            )
        };
        let state = ("tracestate", "s");
        assert_eq!(
            shown(&told(true)),
            [("a", "1"), state, ("traceparent", ours)]
        );
        assert_eq!(shown(&told(false)), [("a", "1"), ("traceparent", ours)]);
        assert_eq!(
            shown(&entries(&headers, None)),
            [("traceparent", "x"), ("a", "1"), state]
        );
    }

    #[test]
    fn what_was_only_told_changes_nothing() {
        let traceparent = Context::parse(OURS).unwrap().traceparent();
        let context = ToldContext {
            traceparent: &traceparent,
            with_state: true,
        };
        let set =
            |value: &[u8]| HeaderEdit::Set(TRACEPARENT, HeaderValue::from_bytes(value).unwrap());
        let mut edits = vec![set(OURS), set(b"another"), HeaderEdit::Remove(TRACEPARENT)];
        context.forget_echo(&mut edits);
        assert_eq!(edits, [set(b"another"), HeaderEdit::Remove(TRACEPARENT)]);
    }
}
