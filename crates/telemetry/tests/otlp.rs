//! Spans as a collector gets them: a real server decodes them with
//! OpenTelemetry's own messages.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming as IncomingBody;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use outrigger_telemetry::metrics::{CallCost, Metrics, Outcome};
use outrigger_telemetry::trace::{Context, Endpoint, Incoming, Settings, Tracer, Trust};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(60);

/// A collector that answers as it is told, and then with 200.
struct Collector {
    address: SocketAddr,
    got: mpsc::UnboundedReceiver<(http::request::Parts, ExportTraceServiceRequest)>,
}

impl Collector {
    async fn start(answers: Vec<(StatusCode, ExportTraceServiceResponse)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (put, got) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service_fn(|request: Request<IncomingBody>| {
                    let (put, answers) = (put.clone(), Arc::clone(&answers));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let body = ExportTraceServiceRequest::decode(body).unwrap();
                        put.send((head, body)).unwrap();
                        let answer = answers.lock().unwrap().next();
                        let (status, body) = answer.unwrap_or_default();
                        let body = Full::new(Bytes::from(body.encode_to_vec()));
                        let mut response = Response::new(body);
                        *response.status_mut() = status;
                        Ok::<_, Infallible>(response)
                    }
                });
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // The exporter hangs up once it has its answer.
                let _ = served.await;
            }
        });
        Collector { address, got }
    }

    async fn next(&mut self) -> (http::request::Parts, ExportTraceServiceRequest) {
        let next = tokio::time::timeout(LIMIT, self.got.recv()).await;
        next.expect("the collector is sent spans").unwrap()
    }

    async fn spans(&mut self) -> Vec<Span> {
        let (_, request) = self.next().await;
        let [resource] = &request.resource_spans[..] else {
            panic!("one resource: {request:?}");
        };
        let [scope] = &resource.scope_spans[..] else {
            panic!("one scope: {request:?}");
        };
        scope.spans.clone()
    }
}

fn settings(collector: SocketAddr) -> Settings {
    let secret = ("authorization", "Bearer secret");
    let headers = vec![(secret.0.parse().unwrap(), secret.1.parse().unwrap())];
    Settings {
        endpoint: Endpoint::new(
            &format!("http://{collector}/otlp"),
            headers,
            &Trust::default(),
        )
        .unwrap(),
        sample_ratio: 1.0,
        service_name: "gateway".to_owned(),
        resource: vec![("deployment.environment".to_owned(), "test".to_owned())],
        timeout: LIMIT,
        // What is sent before is sent because there is enough, or at the end.
        interval: LIMIT * 60,
        tell_upstreams: false,
        queue: 2048,
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

/// The value of the one sample that is called so.
fn sample(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.render(&[], &[]);
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = values
        .next()
        .unwrap_or_else(|| panic!("no {name}:\n{text}"));
    value.parse().unwrap()
}

const CLIENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn from_client(traceparent: &[u8]) -> Incoming<'_> {
    Incoming {
        traceparent: Some(traceparent),
        tracestate: Some(b"vendor=1"),
    }
}

#[tokio::test]
async fn spans_go_on_with_the_clients_trace() {
    let mut collector = Collector::start(Vec::new()).await;
    let metrics = Metrics::new(1);
    let (tracer, exporter) = Tracer::new(settings(collector.address), &metrics);
    let exporting = exporter.start();
    let worker = tracer.for_worker();
    let told = {
        let mut request = worker.request(from_client(CLIENT));
        request.name("GET /a".to_owned());
        request.note("http.response.status_code", 503);
        request.fail();
        let mut call = request.call("ext-plugin-pre-req");
        call.note("outrigger.runner", "java");
        let told = Context::parse(call.traceparent().as_bytes()).unwrap();
        let failed = Outcome::Failed {
            kind: "timeout",
            degraded: true,
        };
        let cost = CallCost {
            attempts: 2,
            ..CallCost::default()
        };
        call.end(failed, &cost);
        drop(request.call("ext-plugin-post-req"));
        told
    };
    assert!(
        exporting.stop(LIMIT).await,
        "what waits is sent before the end"
    );

    let (head, sent) = collector.next().await;
    assert_eq!(head.uri, "/otlp/v1/traces");
    assert_eq!(head.headers["content-type"], "application/x-protobuf");
    assert_eq!(head.headers["authorization"], "Bearer secret");
    let resource = sent.resource_spans[0].resource.as_ref().unwrap();
    for (key, value) in [
        ("service.name", "gateway"),
        ("deployment.environment", "test"),
    ] {
        assert_eq!(attribute(&resource.attributes, key).as_deref(), Some(value));
    }
    let [call, cancelled, request] = &sent.resource_spans[0].scope_spans[0].spans[..] else {
        panic!("three spans: {sent:?}");
    };
    let client = Context::parse(CLIENT).unwrap();
    for span in [call, cancelled, request] {
        let trace: [u8; 16] = span.trace_id[..].try_into().unwrap();
        assert_eq!(
            u128::from_be_bytes(trace),
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736
        );
        assert_eq!((span.trace_state.as_str(), span.flags), ("vendor=1", 1));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }
    assert_eq!(
        request.parent_span_id,
        0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()
    );
    assert_eq!(
        (request.name.as_str(), request.kind),
        ("GET /a", SpanKind::Server.into())
    );
    assert_eq!(
        (call.name.as_str(), call.kind),
        ("ext-plugin-pre-req", SpanKind::Client.into())
    );
    assert_eq!(call.parent_span_id, request.span_id);
    assert_eq!(cancelled.parent_span_id, request.span_id);
    assert_eq!(told.trace, client.trace);
    assert!(format!("{:?}", told.traceparent()).contains(&hex(&call.span_id)));
    for (key, value) in [
        ("outrigger.runner", "java"),
        ("outrigger.outcome", "failed"),
        ("outrigger.attempts", "2"),
        ("outrigger.degraded", "true"),
        ("error.type", "timeout"),
    ] {
        assert_eq!(
            attribute(&call.attributes, key).as_deref(),
            Some(value),
            "{key}"
        );
    }
    let outcome = attribute(&cancelled.attributes, "outrigger.outcome");
    assert_eq!(outcome.as_deref(), Some("cancelled"));
    assert_eq!(sample(&metrics, "outrigger_spans_exported_total"), 3);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn what_is_not_sampled_is_not_recorded_and_passed_on_so() {
    let mut collector = Collector::start(Vec::new()).await;
    let settings = Settings {
        sample_ratio: 0.0,
        ..settings(collector.address)
    };
    let (tracer, exporter) = Tracer::new(settings, &Metrics::new(1));
    let exporting = exporter.start();
    let worker = tracer.for_worker();
    let not = CLIENT.strip_suffix(b"1").unwrap();
    let not = [not, b"0"].concat();
    for incoming in [Incoming::default(), from_client(&not)] {
        let request = worker.request(incoming);
        let told = request.call("ext-plugin-pre-req").traceparent();
        assert!(!Context::parse(told.as_bytes()).unwrap().sampled);
    }
    // The client's word counts for more than the ratio.
    drop(worker.request(from_client(CLIENT)));
    assert!(exporting.stop(LIMIT).await);
    let [span] = &collector.spans().await[..] else {
        panic!("the client's only");
    };
    assert_eq!(span.name, "request");
}

#[tokio::test]
async fn an_unusable_context_begins_a_trace_without_the_state() {
    let mut collector = Collector::start(Vec::new()).await;
    let (tracer, exporter) = Tracer::new(settings(collector.address), &Metrics::new(1));
    let exporting = exporter.start();
    drop(tracer.for_worker().request(from_client(b"nonsense")));
    assert!(exporting.stop(LIMIT).await);
    let [span] = &collector.spans().await[..] else {
        panic!("one span");
    };
    assert_eq!(
        (span.parent_span_id.len(), span.trace_state.as_str()),
        (0, "")
    );
}

#[tokio::test]
async fn a_full_batch_does_not_wait() {
    let mut collector = Collector::start(Vec::new()).await;
    let (tracer, exporter) = Tracer::new(settings(collector.address), &Metrics::new(1));
    let exporting = exporter.start();
    let worker = tracer.for_worker();
    for _ in 0..600 {
        drop(worker.request(Incoming::default()));
    }
    assert_eq!(collector.spans().await.len(), 512);
    assert_eq!(collector.spans().await.len(), 88);
    assert!(exporting.stop(LIMIT).await);
}

#[tokio::test]
async fn what_the_queue_cannot_take_is_counted() {
    let collector = Collector::start(Vec::new()).await;
    let metrics = Metrics::new(1);
    let settings = Settings {
        queue: 10,
        ..settings(collector.address)
    };
    let (tracer, exporter) = Tracer::new(settings, &metrics);
    let worker = tracer.for_worker();
    for _ in 0..25 {
        drop(worker.request(Incoming::default()));
    }
    let dropped = "outrigger_spans_dropped_total{reason=\"queue-full\"}";
    assert_eq!(sample(&metrics, dropped), 15);
    assert!(exporter.start().stop(LIMIT).await);
    assert_eq!(sample(&metrics, "outrigger_spans_exported_total"), 10);
}

#[tokio::test]
async fn a_busy_collector_is_asked_again_and_a_refusing_one_is_not() {
    let partly = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 1,
            ..Default::default()
        }),
    };
    let none = ExportTraceServiceResponse::default;
    let answers = vec![
        (StatusCode::SERVICE_UNAVAILABLE, none()),
        (StatusCode::OK, partly),
        (StatusCode::BAD_REQUEST, none()),
    ];
    let mut collector = Collector::start(answers).await;
    let metrics = Metrics::new(1);
    let settings = Settings {
        queue: 2,
        ..settings(collector.address)
    };
    let (tracer, exporter) = Tracer::new(settings, &metrics);
    let worker = tracer.for_worker();
    let exporting = exporter.start();
    for _ in 0..2 {
        drop(worker.request(Incoming::default()));
    }
    assert_eq!(collector.spans().await, collector.spans().await);
    drop(worker.request(Incoming::default()));
    assert!(exporting.stop(LIMIT).await);
    assert_eq!(sample(&metrics, "outrigger_spans_exported_total"), 1);
    for reason in ["rejected", "unsent"] {
        let dropped = format!("outrigger_spans_dropped_total{{reason=\"{reason}\"}}");
        assert_eq!(sample(&metrics, &dropped), 1, "{reason}");
    }
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_collector_that_is_gone() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (tracer, exporter) = Tracer::new(settings(address), &Metrics::new(1));
    let exporting = exporter.start();
    drop(tracer.for_worker().request(Incoming::default()));
    assert!(!exporting.stop(Duration::from_millis(50)).await);
}
