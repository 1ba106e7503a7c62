//! Traces, as a collector gets them, and as runners and upstreams see them.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use outrigger_a6::http_req_call::{Action, Request, Response, Rewrite};
use outrigger_a6::{RpcType, http_resp_call};
use outrigger_harness::{Authority, Gateway, GatewayBuilder, TlsServer, Upstream, until};
use outrigger_testkit::{Answer, frame};
use prost::Message as _;
use serde_json::{Value, json};

use crate::runners::Scripted;
use crate::support::{external, nodes, plugin, route, routes, with};

const CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENTS_SPAN: &str = "00f067aa0ba902b7";

/// A server that takes what a collector is sent.
struct Collector {
    server: Upstream,
    scheme: &'static str,
}

impl Collector {
    fn start() -> Self {
        Collector {
            server: Upstream::echo(),
            scheme: "http",
        }
    }

    /// One that is asked over TLS, with a certificate of this authority.
    fn secure(authority: &Authority) -> Self {
        let certified = authority.certify("127.0.0.1");
        Collector {
            server: Upstream::tls_echo(&TlsServer::new(&certified)),
            scheme: "https",
        }
    }

    /// All spans so far.
    fn spans(&self) -> Vec<Span> {
        let requests = self.server.requests().into_iter().map(|request| {
            assert_eq!((&*request.method, &*request.uri), ("POST", "/v1/traces"));
            ExportTraceServiceRequest::decode(&*request.body).expect("protobuf")
        });
        let of_resources = requests.flat_map(|request| request.resource_spans);
        let of_scopes = of_resources.flat_map(|resource| resource.scope_spans);
        of_scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The spans once there are so many.
    #[track_caller]
    fn wait(&self, count: usize) -> Vec<Span> {
        until(&format!("{count} spans came"), || {
            let spans = self.spans();
            (spans.len() >= count).then_some(spans)
        })
    }

    /// A gateway that tells it all, after this many milliseconds.
    fn gateway(&self, runner: &Scripted, interval: u64, more: Value) -> GatewayBuilder {
        let tracing = json!({
            "otlp_endpoint": format!("{}://{}", self.scheme, self.server.address()),
            "interval": interval,
        });
        let runtime_dir = runner.path().parent().expect("it has a folder").to_owned();
        let own = json!({"workers": 1, "runtime_dir": runtime_dir, "tracing": with(tracing, more)});
        runner.gateway().config(json!({"outrigger": own}))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let value = attributes.find(|attribute| attribute.key == key)?;
    match value.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let [span] = found[..] else {
        panic!("not one {name:?} in {spans:#?}");
    };
    span
}

/// What the runner was told in its calls of one kind, as `name: value`.
fn told(runner: &Scripted, ty: RpcType) -> Vec<Vec<String>> {
    let frames = runner.received_of(ty);
    let shown = frames.iter().map(|frame| {
        let headers = match ty {
            RpcType::HttpReqCall => frame.decode::<Request<'_>>().expect("a call").headers,
            _ => {
                frame
                    .decode::<http_resp_call::Request<'_>>()
                    .expect("a call")
                    .headers
            }
        };
        let entries = headers.iter().map(|entry| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            format!(
                "{}: {}",
                text(entry.name),
                text(entry.value.unwrap_or_default())
            )
        });
        entries.collect()
    });
    shown.collect()
}

/// The values of a header in what was told.
fn values<'a>(told: &'a [String], name: &str) -> Vec<&'a str> {
    let lines = told.iter();
    lines
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .collect()
}

fn everywhere(upstream: &Upstream) -> Value {
    let calls = || external([plugin("any", json!(1))]);
    let plugins = json!({
        "ext-plugin-pre-req": calls(),
        "ext-plugin-post-resp": calls(),
    });
    let more = json!({"id": "7", "plugins": plugins});
    routes([with(route("/a/*", nodes(&[upstream])), more)])
}

/// A runner that has nothing to say.
fn silent() -> Scripted {
    let runner = Scripted::start();
    runner.always(RpcType::HttpReqCall, Answer::sane());
    runner.always(RpcType::HttpRespCall, Answer::sane());
    runner
}

fn traced_get(gateway: &Gateway) {
    let request = gateway
        .get("/a/b?secret=1")
        .header("traceparent", CLIENT)
        .header("tracestate", "vendor=1");
    assert_eq!(request.send().status, 200);
}

#[test]
fn a_requests_trace_goes_on_through_gateway_and_runner() {
    let (collector, upstream, runner) = (Collector::start(), Upstream::echo(), silent());
    let gateway = collector
        .gateway(&runner, 50, json!({}))
        .routes(everywhere(&upstream))
        .start();
    traced_get(&gateway);
    let spans = collector.wait(3);
    let request = named(&spans, "GET /a/*");
    assert_eq!(request.kind, i32::from(SpanKind::Server));
    assert_eq!(hex(&request.parent_span_id), CLIENTS_SPAN);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/a/*"),
        ("url.path", "/a/b"),
        ("outrigger.route.id", "7"),
    ] {
        assert_eq!(attribute(request, key).as_deref(), Some(value), "{key}");
    }
    assert!(!format!("{spans:?}").contains("secret"), "no queries");
    for (name, phase, ty) in [
        ("ext-plugin-pre-req", "pre-req", RpcType::HttpReqCall),
        ("ext-plugin-post-resp", "post-resp", RpcType::HttpRespCall),
    ] {
        let call = named(&spans, name);
        assert_eq!(call.kind, i32::from(SpanKind::Client));
        assert_eq!(hex(&call.trace_id), TRACE);
        assert_eq!(call.parent_span_id, request.span_id, "{name}");
        for (key, value) in [
            ("outrigger.runner", "default"),
            ("outrigger.phase", phase),
            ("outrigger.route.id", "7"),
            ("outrigger.outcome", "continue"),
            ("outrigger.attempts", "1"),
        ] {
            assert_eq!(attribute(call, key).as_deref(), Some(value), "{key}");
        }
        let expected = format!("00-{TRACE}-{}-01", hex(&call.span_id));
        let told = told(&runner, ty);
        assert_eq!(values(&told[0], "traceparent"), [expected], "{name}");
    }
    let told = told(&runner, RpcType::HttpReqCall);
    assert_eq!(values(&told[0], "tracestate"), ["vendor=1"]);
    let seen = upstream.last();
    assert_eq!(seen.headers.all("traceparent"), [CLIENT]);
    assert_eq!(seen.headers.all("tracestate"), ["vendor=1"]);
}

#[test]
fn a_call_of_the_log_phase_is_part_of_the_trace() {
    let (collector, upstream, runner) = (Collector::start(), Upstream::echo(), silent());
    let plugins = json!({"ext-plugin-log": external([plugin("any", json!(1))])});
    let gateway = collector
        .gateway(&runner, 50, json!({}))
        .routes(routes([with(
            route("/a/*", nodes(&[&upstream])),
            json!({"plugins": plugins}),
        )]))
        .start();
    traced_get(&gateway);
    let spans = collector.wait(2);
    let call = named(&spans, "ext-plugin-log");
    assert_eq!(call.parent_span_id, named(&spans, "GET /a/*").span_id);
    let told = told(&runner, RpcType::HttpRespCall);
    let expected = format!("00-{TRACE}-{}-01", hex(&call.span_id));
    assert_eq!(values(&told[0], "traceparent"), [expected]);
}

#[test]
fn a_runner_that_sends_back_what_it_was_told_changes_nothing() {
    let (collector, upstream) = (Collector::start(), Upstream::echo());
    let runner = Scripted::start();
    runner.always(
        RpcType::HttpReqCall,
        Answer::new().reply_with(|call| {
            let call: Request<'_> = call.decode().expect("a call");
            frame(&Response {
                id: call.id,
                action: Some(Action::Rewrite(Rewrite {
                    headers: call.headers,
                    ..Rewrite::default()
                })),
            })
        }),
    );
    runner.always(
        RpcType::HttpRespCall,
        Answer::new().reply_with(|call| {
            let call: http_resp_call::Request<'_> = call.decode().expect("a call");
            frame(&http_resp_call::Response {
                id: call.id,
                headers: call.headers,
                ..http_resp_call::Response::default()
            })
        }),
    );
    let gateway = collector
        .gateway(&runner, 50, json!({}))
        .routes(everywhere(&upstream))
        .start();
    traced_get(&gateway);
    assert_eq!(upstream.last().headers.all("traceparent"), [CLIENT]);
    let response = gateway.get("/a/").send();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("traceparent"), None);
    assert_eq!(upstream.last().header("traceparent"), None);
}

#[test]
fn without_tracing_runners_are_told_what_the_client_says() {
    let (upstream, runner) = (Upstream::echo(), silent());
    let gateway = runner.gateway().routes(everywhere(&upstream)).start();
    traced_get(&gateway);
    let request = told(&runner, RpcType::HttpReqCall);
    assert_eq!(values(&request[0], "traceparent"), [CLIENT]);
    let response = told(&runner, RpcType::HttpRespCall);
    assert!(values(&response[0], "traceparent").is_empty());
}

#[test]
fn a_client_that_does_not_record_is_not_recorded() {
    let (collector, upstream, runner) = (Collector::start(), Upstream::echo(), silent());
    let gateway = collector
        .gateway(&runner, 50, json!({}))
        .routes(everywhere(&upstream))
        .start();
    let not = CLIENT.replace("-01", "-00");
    gateway.get("/a/").header("traceparent", &not).send();
    let told = told(&runner, RpcType::HttpReqCall);
    let [traceparent] = values(&told[0], "traceparent")[..] else {
        panic!("{told:?}");
    };
    assert!(
        traceparent.starts_with(&format!("00-{TRACE}-")),
        "{traceparent}"
    );
    assert!(
        traceparent.ends_with("-00") && traceparent != not,
        "{traceparent}"
    );
    // What is recorded comes alone.
    gateway.get("/elsewhere").send();
    let spans = collector.wait(1);
    assert_eq!(named(&spans, "GET").parent_span_id, [0; 0]);
    assert_eq!(
        attribute(&spans[0], "http.response.status_code").as_deref(),
        Some("404")
    );
    assert_eq!(spans.len(), 1);
}

#[test]
fn upstreams_are_told_the_gateways_span_if_that_is_wanted() {
    let (collector, upstream, runner) = (Collector::start(), Upstream::echo(), silent());
    let gateway = collector
        .gateway(&runner, 50, json!({"upstream_context": true}))
        .routes(everywhere(&upstream))
        .start();
    traced_get(&gateway);
    let spans = collector.wait(3);
    let request = named(&spans, "GET /a/*");
    let expected = format!("00-{TRACE}-{}-01", hex(&request.span_id));
    assert_eq!(upstream.last().headers.all("traceparent"), [expected]);
    assert_eq!(upstream.last().headers.all("tracestate"), ["vendor=1"]);
}

#[test]
fn failures_are_marked() {
    let (collector, upstream) = (Collector::start(), Upstream::echo());
    let runner = Scripted::start();
    runner.always(RpcType::HttpReqCall, Answer::new().close());
    let gateway = collector
        .gateway(&runner, 50, json!({"sample_ratio": 1}))
        .routes(everywhere(&upstream))
        .start();
    assert_eq!(gateway.get("/a/").send().status, 503);
    let spans = collector.wait(2);
    let call = named(&spans, "ext-plugin-pre-req");
    for (key, value) in [
        ("outrigger.outcome", "failed"),
        ("error.type", "closed"),
        ("outrigger.attempts", "3"),
    ] {
        assert_eq!(attribute(call, key).as_deref(), Some(value), "{key}");
    }
    for span in [call, named(&spans, "GET /a/*")] {
        let status = span.status.as_ref().map(|status| status.code);
        assert_eq!(status, Some(i32::from(StatusCode::Error)));
    }
}

#[test]
fn what_waits_is_sent_when_the_gateway_stops() {
    let (collector, upstream, runner) = (Collector::start(), Upstream::echo(), silent());
    let hour = Duration::from_secs(3600).as_millis();
    let gateway = collector
        .gateway(&runner, u64::try_from(hour).unwrap(), json!({}))
        .routes(everywhere(&upstream))
        .start();
    traced_get(&gateway);
    let exported = "outrigger_spans_exported_total 0";
    assert!(gateway.metrics().contains(exported), "nothing is sent yet");
    let exit = gateway.stop();
    assert!(exit.status.success(), "{exit:?}");
    assert_eq!(collector.spans().len(), 3);
}

#[test]
fn a_collector_over_tls_is_told_if_it_is_trusted() {
    let (upstream, runner) = (Upstream::echo(), silent());
    let (trusted, stranger) = (Authority::new(), Authority::new());
    let listen = json!([{"ip": "127.0.0.1", "port": 0}]);
    let ssl = json!({"enable": false, "ssl_trusted_certificate": "ca.pem"});
    let start = |collector: &Collector| {
        collector
            .gateway(&runner, 50, json!({}))
            .file("ca.pem", trusted.certificate())
            .config(json!({"apisix": {"node_listen": listen, "ssl": ssl}}))
            .routes(everywhere(&upstream))
            .start()
    };
    let collector = Collector::secure(&trusted);
    let gateway = start(&collector);
    traced_get(&gateway);
    assert_eq!(collector.wait(3).len(), 3);

    let collector = Collector::secure(&stranger);
    let gateway = start(&collector);
    traced_get(&gateway);
    let line = gateway.wait_log("spans could not be sent to https://127.0.0.1:");
    assert!(line.contains("certificate"), "{line}");
    assert!(collector.spans().is_empty());
}

#[test]
fn tracing_is_switched_on_moved_and_off_while_the_gateway_runs() {
    let upstream = Upstream::echo();
    let collectors = [Collector::start(), Collector::start()];
    let config = |collector: Option<&Collector>| {
        let tracing = collector.map(|collector| {
            let endpoint = format!("http://{}", collector.server.address());
            json!({"otlp_endpoint": endpoint, "interval": 20})
        });
        json!({"outrigger": {"workers": 1, "tracing": tracing}, "apisix": {"id": "one"}})
    };
    let gateway = crate::support::gateway()
        .config(config(None))
        .routes(crate::support::all_to(&upstream))
        .start();
    for collector in [Some(&collectors[0]), Some(&collectors[1]), None] {
        gateway.write_config(config(collector));
        let reloaded = gateway.control().post("/v1/reload").send();
        assert_eq!(reloaded.status, 200, "{reloaded:?}");
        assert_eq!(gateway.get("/").send().status, 200);
        if let Some(collector) = collector {
            collector.wait(1);
        }
    }
    assert_eq!(collectors.map(|collector| collector.spans().len()), [1, 1]);
}
