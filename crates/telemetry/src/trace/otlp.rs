//! Spans as OTLP's messages
//! (<https://opentelemetry.io/docs/specs/otlp/>, binary protobuf).

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as OtlpSpan, Status, span::SpanKind, status::StatusCode,
};
use prost::Message as _;

use super::Settings;
use super::span::{Side, Span, Value};

/// Where spans come from.
pub(crate) fn resource(settings: &Settings) -> Resource {
    let mut attributes = vec![
        attribute("service.name", text(&settings.service_name)),
        attribute("service.version", text(env!("CARGO_PKG_VERSION"))),
    ];
    for (key, value) in &settings.resource {
        attributes.retain(|known| known.key != *key);
        attributes.push(attribute(key, text(value)));
    }
    Resource {
        attributes,
        ..Default::default()
    }
}

/// The body of a request to the collector.
pub(crate) fn request(resource: &Resource, spans: Vec<Span>) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: "outrigger".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Default::default()
    };
    let of_scope = ScopeSpans {
        scope: Some(scope),
        spans: spans.into_iter().map(span).collect(),
        ..Default::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![of_scope],
            ..Default::default()
        }],
    };
    request.encode_to_vec()
}

/// How many spans the collector did not take, according to the body of its
/// answer.
pub(crate) fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    let rejected = answer.partial_success.map(|part| part.rejected_spans);
    rejected.unwrap_or_default().try_into().unwrap_or_default()
}

fn span(span: Span) -> OtlpSpan {
    let end = span.begun + span.took;
    let attributes = span.attributes.into_iter().map(|(key, value)| {
        let value = match value {
            Value::Text(value) => text(value),
            Value::Int(value) => any_value::Value::IntValue(value),
        };
        attribute(key, value)
    });
    let status = span.failed.then(|| Status {
        code: StatusCode::Error.into(),
        ..Default::default()
    });
    OtlpSpan {
        trace_id: span.context.trace.0.to_vec(),
        span_id: span.context.span.0.to_vec(),
        trace_state: span.tracestate.unwrap_or_default().into(),
        parent_span_id: span.parent.map(|id| id.0.to_vec()).unwrap_or_default(),
        flags: u32::from(span.context.sampled),
        name: span.name.into_owned(),
        kind: match span.side {
            Side::Server => SpanKind::Server,
            Side::Client => SpanKind::Client,
        }
        .into(),
        start_time_unix_nano: unix_nanos(span.begun),
        end_time_unix_nano: unix_nanos(end),
        attributes: attributes.collect(),
        status,
        ..Default::default()
    }
}

fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let since: Duration = since.unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    }
}

fn text(value: impl Into<String>) -> any_value::Value {
    any_value::Value::StringValue(value.into())
}
