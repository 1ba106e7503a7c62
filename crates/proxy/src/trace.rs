//! The span of a request: begun from what the client says, ended with what
//! became of it.
//!
//! The names of attributes are OpenTelemetry's for HTTP servers; queries are
//! left out, as they may be secrets.

use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::finished::End;
use outrigger_telemetry::trace::{Incoming, RequestSpan, WorkerTracer};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Begins a request's span.
pub(crate) fn begin(tracer: &Rc<WorkerTracer>, exchange: &mut Exchange) {
    let span = tracer.request(Incoming {
        traceparent: only(&exchange.headers, &TRACEPARENT),
        tracestate: only(&exchange.headers, &TRACESTATE),
    });
    if tracer.tells_upstreams() {
        tell_upstream(&span, &mut exchange.headers);
    }
    exchange.trace = Some(Box::new(span));
}

/// The value of a field that must not be repeated.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}

fn tell_upstream(span: &RequestSpan, headers: &mut HeaderMap) {
    let traceparent = span.context().traceparent();
    if let Ok(value) = HeaderValue::from_bytes(traceparent.as_bytes()) {
        headers.insert(TRACEPARENT, value);
    }
    if !span.has_parent() {
        headers.remove(TRACESTATE);
    }
}

/// Whether somebody will read the request's span.
pub(crate) fn is_recorded(exchange: &Exchange) -> bool {
    let span = exchange.trace.as_ref();
    span.is_some_and(|span| span.is_recorded())
}

/// Tells the span what became of the request.
pub(crate) fn end(exchange: &mut Exchange, end: &End) {
    let client = exchange.remote_ip();
    let Some(span) = &mut exchange.trace else {
        return;
    };
    if !span.is_recorded() {
        return;
    }
    let method = exchange.method.as_str();
    let path = String::from_utf8_lossy(exchange.target.path()).into_owned();
    span.note("http.request.method", method.to_owned());
    span.note("url.path", path);
    span.note("url.scheme", exchange.client.scheme);
    span.note("server.address", exchange.host.as_str().to_owned());
    span.note("client.address", client.to_string());
    span.note("http.response.status_code", i64::from(end.status.as_u16()));
    span.note("http.request.size", bytes(exchange.length.bytes()));
    span.note("http.response.size", bytes(end.bytes_sent));
    match &exchange.route {
        Some(route) => {
            span.name(format!("{method} {}", route.uri()));
            span.note("http.route", route.uri().to_owned());
            span.note("outrigger.route.id", route.id.as_str().to_owned());
        }
        None => span.name(method.to_owned()),
    }
    if let Some(asked) = exchange.upstream.last() {
        span.note("outrigger.upstream", asked.node.to_string());
    }
    if end.status.is_server_error() {
        span.fail();
        span.note("error.type", end.status.as_str().to_owned());
    } else if !end.whole {
        span.note("outrigger.broken_off", "true");
    }
    span.end();
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
