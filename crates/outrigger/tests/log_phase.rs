//! The log phase: every request that reached a route is told of once, when its
//! response has been sent or was broken off.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use outrigger_engine::finished::Finished;
use outrigger_engine::plugin::{Factory, Owner, Phases, Plugin, Registry};
use outrigger_engine::router::Mode;
use outrigger_engine::snapshot::Snapshot;
use outrigger_engine::vars;
use outrigger_harness::{Client, Upstream};
use outrigger_model::{Fault, Resources};
use outrigger_proxy::{Bound, ConnectionSettings, Fixed, Listen, Running, Settings, TlsSettings};
use serde_json::json;

/// Long enough for anything that has to come.
const WAIT: Duration = Duration::from_secs(60);

/// What the log phase was told of a request.
#[derive(Debug)]
struct Told {
    target: String,
    status: u16,
    whole: bool,
    bytes_sent: u64,
    body_bytes_sent: u64,
    content_length: Option<String>,
    request_length: u64,
    tries: Vec<u16>,
    addresses: String,
    response_times: String,
}

#[derive(Debug)]
struct Recorder(Mutex<Sender<Told>>);

impl Plugin for Recorder {
    fn phases(&self) -> Phases {
        Phases::LOG
    }

    fn log(&self, finished: &std::rc::Rc<Finished>) {
        let Finished { exchange, end } = &**finished;
        let text = |name| {
            let value = vars::lookup_finished(finished, name).unwrap_or_default();
            String::from_utf8(value.into_owned()).unwrap()
        };
        let tries = exchange.upstream.tries();
        let length = end.headers.get("content-length");
        let told = Told {
            target: exchange.target.original().to_owned(),
            status: end.status.as_u16(),
            whole: end.whole,
            bytes_sent: end.bytes_sent,
            body_bytes_sent: end.body_bytes_sent,
            content_length: length.map(|length| length.to_str().unwrap().to_owned()),
            request_length: exchange.length.bytes(),
            tries: tries
                .map(|each| each.status.map_or(0, |status| status.as_u16()))
                .collect(),
            addresses: text("upstream_addr"),
            response_times: text("upstream_response_time"),
        };
        let _ = self.0.lock().unwrap().send(told);
    }
}

struct RecorderFactory(Mutex<Sender<Told>>);

impl Factory for RecorderFactory {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn priority(&self) -> i32 {
        1
    }

    fn build(&self, _: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let told = self.0.lock().unwrap().clone();
        Ok(Arc::new(Recorder(Mutex::new(told))))
    }
}

/// A proxy of one worker whose requests to `/*` are told of.
struct Proxy {
    address: SocketAddr,
    told: Receiver<Told>,
    _running: Running,
}

impl Proxy {
    fn to(nodes: &[&str]) -> Self {
        let (sender, told) = channel();
        let nodes = nodes.iter().map(|node| ((*node).to_owned(), json!(1)));
        let nodes: serde_json::Map<_, _> = nodes.collect();
        let route = json!({
            "uri": "/*", "host": "told.test",
            "upstream": {"nodes": nodes}, "plugins": {"recorder": {}},
        });
        let resources = Resources::from_json(&json!({"routes": [route]})).unwrap();
        let recorder: Box<dyn Factory> = Box::new(RecorderFactory(Mutex::new(sender)));
        let registry = Registry::new([recorder]);
        let empty = Snapshot::empty();
        let compiled = Snapshot::compile(resources, &registry, Mode::default(), &empty);
        let snapshot = Arc::new(ArcSwap::from_pointee(compiled.unwrap()));
        let bound = Bound::bind(fixed(), settings()).unwrap();
        let running = bound.start(&snapshot).unwrap();
        Proxy {
            address: running.addresses()[0],
            told,
            _running: running,
        }
    }

    fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// What is told next.
    #[track_caller]
    fn told(&self) -> Told {
        self.told.recv_timeout(WAIT).unwrap()
    }
}

fn fixed() -> Fixed {
    Fixed {
        workers: 1,
        metrics: outrigger_telemetry::metrics::Metrics::new(1),
    }
}

fn settings() -> Settings {
    Settings {
        listen: vec![Listen {
            address: "127.0.0.1:0".parse().unwrap(),
            tls: false,
            http2: false,
        }],
        tls: TlsSettings::default(),
        connections: ConnectionSettings {
            trusted: Vec::new(),
            real_ip: None,
            max_head: 32 << 10,
            head_timeout: WAIT,
            idle_timeout: WAIT,
            send_timeout: WAIT,
        },
        max_body: None,
        max_line: 8 << 10,
        body_timeout: WAIT,
        path_rules: outrigger_engine::target::PathRules::default(),
        drop_underscores: false,
        show_upstream_status: false,
        show_version: true,
        upstream_trust: outrigger_model::Trust::default(),
        upstream_sni: true,
        health_checks: true,
        tracer: None,
        access_log: None,
    }
}

/// A request's head to the route that is told of.
fn head(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: told.test\r\n{fields}\r\n")
}

#[test]
fn a_response_is_told_of_with_what_was_really_sent() {
    let upstream = Upstream::echo();
    let proxy = Proxy::to(&[&upstream.node()]);
    for (line, status, body) in [
        ("GET /hello", 200, 12),
        ("HEAD /hello", 200, 0),
        ("GET /status/204", 204, 0),
        ("GET /big/3000000", 200, 3_000_000),
    ] {
        let request = head(line, "Connection: close\r\n");
        let answer = proxy.client().raw(request.as_bytes());
        let told = proxy.told();
        assert_eq!((told.status, told.whole), (status, true), "{line}");
        assert_eq!(told.bytes_sent, answer.len() as u64, "{line}");
        assert_eq!(told.body_bytes_sent, body, "{line}");
        assert_eq!(told.request_length, request.len() as u64, "{line}");
        assert_eq!(told.tries, [status], "{line}");
        assert_eq!(told.addresses, upstream.node());
        assert!(told.response_times.parse::<f64>().is_ok(), "{told:?}");
    }
}

#[test]
fn framing_counts_to_the_body_and_fields_are_told_as_sent() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        for _ in 0..50 {
            connection.write(&[b"10000\r\n", &[b'x'; 0x10000][..], b"\r\n"].concat());
        }
        connection.write(b"0\r\n\r\n");
    });
    let proxy = Proxy::to(&[&upstream.node()]);
    let answer = proxy
        .client()
        .raw(head("GET /", "Connection: close\r\n").as_bytes());
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let told = proxy.told();
    assert_eq!(
        told.body_bytes_sent,
        (answer.len() - end.unwrap() - 4) as u64
    );
    assert!(told.body_bytes_sent > 50 * 0x10000);
    assert_eq!(told.content_length, None);
}

#[test]
fn an_interim_response_is_no_head() {
    let upstream = Upstream::echo();
    let proxy = Proxy::to(&[&upstream.node()]);
    let request = head(
        "POST /echo",
        "Content-Length: 5\r\nExpect: 100-continue\r\n",
    );
    let mut connection = proxy.client().connection();
    connection.write(request.as_bytes());
    let interim = connection.read_exactly("HTTP/1.1 100 Continue\r\n\r\n".len());
    connection.write(b"12345");
    let told = proxy.told();
    assert_eq!((told.body_bytes_sent, told.whole), (5, true));
    assert_eq!(told.content_length.as_deref(), Some("5"));
    assert_eq!(told.request_length, request.len() as u64 + 5);
    assert!(told.bytes_sent > interim.len() as u64 + 5);
}

#[test]
fn pipelined_requests_are_told_of_one_by_one() {
    let upstream = Upstream::echo();
    let proxy = Proxy::to(&[&upstream.node()]);
    let many: String = (0..20)
        .map(|n| head(&format!("GET /big/{n}00000"), ""))
        .collect();
    let mut connection = proxy.client().connection();
    connection.write(many.as_bytes());
    for n in 0..20 {
        assert_eq!(connection.read_response("GET").body.len(), n * 100_000);
        let told = proxy.told();
        assert_eq!(told.target, format!("/big/{n}00000"));
        assert_eq!(
            (told.body_bytes_sent, told.whole),
            (n as u64 * 100_000, true)
        );
    }
}

#[test]
fn a_client_that_leaves_is_told_of() {
    let endless = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        while connection.try_write(&[b'x'; 65536]).is_ok() {}
    });
    let proxy = Proxy::to(&[&endless.node()]);
    let mut connection = proxy.client().connection();
    connection.write(head("GET /endless", "").as_bytes());
    let read = connection.read_exactly(500_000).len() as u64;
    drop(connection);
    let told = proxy.told();
    assert_eq!((told.status, told.whole), (200, false));
    assert!((read..1_000_000_000).contains(&told.bytes_sent), "{told:?}");

    let silent = Upstream::raw(|connection| {
        connection.read_request();
        connection.wait_closed();
    });
    let proxy = Proxy::to(&[&silent.node()]);
    let mut connection = proxy.client().connection();
    connection.write(head("GET /silent", "").as_bytes());
    silent.wait_hits(1);
    drop(connection);
    let told = proxy.told();
    assert_eq!((told.status, told.whole, told.bytes_sent), (499, false, 0));
    assert_eq!(told.tries, [0], "no status came");
}

#[test]
fn an_upstream_that_breaks_off_is_told_of() {
    let broken = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        connection.write(&[b'x'; 300_000]);
    });
    let proxy = Proxy::to(&[&broken.node()]);
    let answer = proxy.client().raw(head("GET /", "").as_bytes());
    let told = proxy.told();
    assert_eq!((told.status, told.whole), (200, false));
    assert_eq!(told.bytes_sent, answer.len() as u64);
}

#[test]
fn every_node_that_was_asked_is_told_of() {
    let closing = Upstream::raw(|connection| drop(connection.read_request()));
    let upstream = Upstream::echo();
    let gone = Upstream::echo().node();
    let nodes = [gone.as_str(), &closing.node(), &upstream.node()];
    let proxy = Proxy::to(&nodes);
    let mut seen = 0;
    for _ in 0..6 {
        let response = proxy.client().get("/hello").host("told.test").send();
        assert_eq!(response.status, 200);
        let told = proxy.told();
        let (last, failed) = told.tries.split_last().unwrap();
        assert_eq!(*last, 200);
        assert!(failed.iter().all(|status| *status == 502), "{told:?}");
        let addresses: Vec<&str> = told.addresses.split(", ").collect();
        assert_eq!(addresses.len(), told.tries.len());
        assert_eq!(*addresses.last().unwrap(), upstream.node());
        let times = told.response_times.split(", ");
        assert!(
            times.clone().all(|time| time.parse::<f64>().is_ok()),
            "{told:?}"
        );
        assert_eq!(times.count(), told.tries.len());
        seen = seen.max(told.tries.len());
    }
    assert_eq!(seen, 3, "some request begins at the first node");
}

#[test]
fn what_the_gateway_answers_itself_is_told_of_if_it_has_a_route() {
    let gone = Upstream::echo().node();
    let proxy = Proxy::to(&[&gone]);
    assert_eq!(proxy.client().get("/no-route").send().status, 404);
    let response = proxy.client().get("/").host("told.test").send();
    assert_eq!(response.status, 502);
    let told = proxy.told();
    assert_eq!(
        (told.target.as_str(), told.status, told.whole),
        ("/", 502, true)
    );
    assert_eq!(told.body_bytes_sent, response.body.len() as u64);
}
