//! Metrics as a collector reads them, with a parser of Prometheus' text.

use std::net::TcpListener;

use outrigger_a6::RpcType;
use outrigger_a6::error::Code;
use outrigger_a6::http_req_call::{Action, Rewrite, Stop};
use outrigger_harness::{Client, Gateway, Signal, Upstream, eventually, until};
use outrigger_testkit::{Answer, Gate};
use prometheus_parse::{Sample, Scrape, Value as Number};
use serde_json::{Value, json};

use crate::runners::{Scripted, decision, demo_runner};
use crate::support::{external, gateway, nodes, plugin, route, routes, with};

/// What a gateway tells at one moment.
struct Metrics(Vec<Sample>);

impl Metrics {
    #[track_caller]
    fn of(gateway: &Gateway) -> Self {
        let text = gateway.metrics();
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        Metrics(Scrape::parse(lines).expect("a parser reads it").samples)
    }

    fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Sample> {
        let has = |sample: &&Sample| {
            let mut labels = labels.iter();
            labels.all(|(label, value)| sample.labels.get(label) == Some(value))
        };
        let named = self.0.iter().filter(|sample| sample.metric == name);
        named.filter(has).collect()
    }

    fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found = self.all(name, labels);
        let [sample] = found[..] else {
            return None;
        };
        match &sample.value {
            Number::Counter(number) | Number::Gauge(number) | Number::Untyped(number) => {
                Some(*number)
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.all(name, labels);
        self.find(name, labels)
            .unwrap_or_else(|| panic!("not one {name} with {labels:?}: {found:?}"))
    }

    /// How many observations are in each bucket of a histogram or one before
    /// it, by the bucket's bound.
    #[track_caller]
    fn buckets(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(f64, f64)> {
        let [sample] = self.all(name, labels)[..] else {
            panic!("not one {name} with {labels:?}");
        };
        match &sample.value {
            Number::Histogram(buckets) => {
                let buckets = buckets.iter();
                buckets
                    .map(|bucket| (bucket.less_than, bucket.count))
                    .collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A route of `id` to `upstream` with these plugins.
fn with_plugins(id: &str, uri: &str, upstream: &Upstream, plugins: Value) -> Value {
    let more = json!({"id": id, "name": format!("name of {id}"), "plugins": plugins});
    with(route(uri, nodes(&[upstream])), more)
}

fn pre_req(more: Value) -> Value {
    let calls = with(external([plugin("any", json!(1))]), more);
    json!({"ext-plugin-pre-req": calls})
}

#[test]
fn calls_are_told_by_route_and_outcome() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let stop = Action::Stop(Stop::default());
    let rewrite = Action::Rewrite(Rewrite {
        path: Some(b"/other"),
        ..Rewrite::default()
    });
    runner
        .next(RpcType::HttpReqCall, Answer::sane())
        .next(RpcType::HttpReqCall, decision(stop))
        .next(RpcType::HttpReqCall, decision(rewrite));
    let nowhere = runner.path().with_extension("nowhere");
    let runners = json!({"gone": {"path": nowhere, "timeout": {"call": 100, "connect": 100}}});
    let settings = json!({"path_for_test": runner.path(), "runners": runners});
    let on_gone = |degrade: bool| pre_req(json!({"runner": "gone", "allow_degradation": degrade}));
    let gateway = gateway()
        .config(json!({"ext-plugin": settings}))
        .routes(routes([
            with_plugins("1", "/1", &upstream, pre_req(json!({}))),
            with_plugins("2", "/2", &upstream, on_gone(true)),
            with_plugins("3", "/3", &upstream, on_gone(false)),
        ]))
        .start();
    for target in ["/1", "/1", "/1", "/2", "/3", "/3"] {
        gateway.get(target).send();
    }

    let metrics = Metrics::of(&gateway);
    let one = [("runner", "default"), ("phase", "pre-req"), ("route", "1")];
    let outcome = |labels: &[(&'static str, &'static str)], outcome| {
        let labels = [labels, &[("outcome", outcome)]].concat();
        metrics.get("outrigger_ext_plugin_calls_total", &labels)
    };
    for (word, expected) in [
        ("continue", 1.0),
        ("stop", 1.0),
        ("rewrite", 1.0),
        ("failed", 0.0),
        ("cancelled", 0.0),
    ] {
        assert_eq!(outcome(&one, word), expected, "{word}");
    }
    let (two, three) = ([("route", "2")], [("route", "3")]);
    assert_eq!(outcome(&two, "failed"), 1.0);
    assert_eq!(outcome(&three, "failed"), 2.0);
    let kind = |route| {
        [
            ("route", route),
            ("runner", "gone"),
            ("kind", "unavailable"),
        ]
    };
    let errors = "outrigger_ext_plugin_call_errors_total";
    assert_eq!(metrics.get(errors, &kind("2")), 1.0);
    assert_eq!(metrics.get(errors, &kind("3")), 2.0);
    let degraded = "outrigger_ext_plugin_degraded_total";
    assert_eq!(metrics.get(degraded, &two), 1.0);
    assert_eq!(metrics.get(degraded, &three), 0.0);
    assert_eq!(
        metrics.get("outrigger_ext_plugin_calls_in_flight", &one),
        0.0
    );
    assert!(metrics.get("outrigger_ext_plugin_sent_bytes_total", &one) > 100.0);
    assert!(metrics.get("outrigger_ext_plugin_received_bytes_total", &one) > 10.0);
    let waited = metrics.get("outrigger_ext_plugin_call_wait_seconds_total", &three);
    assert!(
        waited >= 0.15,
        "two calls waited 100 ms for a process: {waited}"
    );
    let buckets = metrics.buckets("outrigger_ext_plugin_call_duration_seconds", &three);
    assert_eq!(
        (buckets.first(), buckets.last()),
        (Some(&(0.0001, 0.0)), Some(&(f64::INFINITY, 2.0)))
    );

    let of_default = [("runner", "default")];
    let prepared = [("runner", "default"), ("result", "prepared")];
    assert_eq!(
        metrics.get("outrigger_runner_prepares_total", &prepared),
        1.0
    );
    assert_eq!(
        metrics.get("outrigger_runner_instances_up", &of_default),
        1.0
    );
    assert!(metrics.get("outrigger_runner_connections", &of_default) >= 1.0);
    assert!(metrics.get("outrigger_runner_connections_opened_total", &of_default) >= 2.0);
}

#[test]
fn requests_are_told_as_apisix_tells_them() {
    let upstream = Upstream::echo();
    let by_id = json!({"prometheus": {}});
    let by_name = json!({"prometheus": {"prefer_name": true}});
    let gateway = gateway()
        .routes(routes([
            with_plugins("1", "/1/*", &upstream, by_id),
            with_plugins("2", "/2", &upstream, by_name),
            with_plugins("3", "/3", &upstream, json!({})),
        ]))
        .start();
    for target in ["/1/a", "/1/b", "/2", "/3", "/none"] {
        gateway.get(target).send();
    }
    let labels = [
        ("code", "200"),
        ("route", "1"),
        ("matched_uri", "/1/*"),
        ("node", "127.0.0.1"),
    ];
    let counted = || {
        let metrics = Metrics::of(&gateway);
        let counted = metrics.find("apisix_http_status", &labels) == Some(2.0);
        counted.then_some(metrics)
    };
    let metrics = until("the ends of the requests are counted", counted);
    let named = [("code", "200"), ("route", "name of 2")];
    assert_eq!(metrics.get("apisix_http_status", &named), 1.0);
    assert!(
        metrics
            .all("apisix_http_status", &[("route", "3")])
            .is_empty()
    );
    for kind in ["request", "upstream", "apisix"] {
        let buckets = metrics.buckets("apisix_http_latency", &[("type", kind), ("route", "1")]);
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, 2.0)), "{kind}");
    }
    for kind in ["ingress", "egress"] {
        let bytes = metrics.get("apisix_bandwidth", &[("type", kind), ("route", "1")]);
        assert!(bytes > 50.0, "{kind}: {bytes}");
    }
    let class = |class| metrics.get("outrigger_http_responses_total", &[("class", class)]);
    assert_eq!((class("2xx"), class("4xx"), class("5xx")), (4.0, 1.0, 0.0));
    assert_eq!(metrics.get("apisix_http_requests_total", &[]), 5.0);
    let state = |state| ("state", state);
    let connections = "apisix_nginx_http_current_connections";
    assert_eq!(metrics.get(connections, &[state("accepted")]), 5.0);
    assert_eq!(metrics.get("outrigger_routes", &[]), 3.0);
    assert_eq!(metrics.all("apisix_node_info", &[]).len(), 1);
    assert!(metrics.get("process_resident_memory_bytes", &[]) > 1e6);
}

#[test]
fn a_runners_restart_is_told() {
    let upstream = Upstream::echo();
    let say = external([plugin("say", json!({"body": "said"}))]);
    let plugins = json!({"ext-plugin-pre-req": say});
    let gateway = demo_runner()
        .routes(routes([with_plugins("1", "/*", &upstream, plugins)]))
        .start();
    gateway.wait_log("listens on");
    let instance = [("runner", "default"), ("instance", "1")];
    let metrics = Metrics::of(&gateway);
    assert_eq!(metrics.get("outrigger_runner_up", &instance), 1.0);
    assert_eq!(metrics.get("outrigger_runner_generation", &instance), 1.0);
    assert_eq!(
        metrics.get("outrigger_runner_restarts_total", &instance),
        0.0
    );
    assert!(metrics.get("outrigger_runner_resident_memory_bytes", &instance) > 1e5);
    assert_eq!(gateway.get("/").send().status, 200);

    gateway.wait_runners(1)[0].signal(Signal::KILL);
    until("the next process is told", || {
        let metrics = Metrics::of(&gateway);
        let told = metrics.find("outrigger_runner_generation", &instance) == Some(2.0)
            && metrics.find("outrigger_runner_up", &instance) == Some(1.0);
        told.then_some(())
    });
    assert_eq!(gateway.get("/").send().status, 200);
    let metrics = Metrics::of(&gateway);
    assert_eq!(
        metrics.get("outrigger_runner_restarts_total", &instance),
        1.0
    );
    let prepared = [("runner", "default"), ("result", "prepared")];
    assert_eq!(
        metrics.get("outrigger_runner_prepares_total", &prepared),
        2.0
    );
    let changes = "outrigger_runner_process_changes_total";
    assert_eq!(metrics.get(changes, &[("runner", "default")]), 1.0);
}

#[test]
fn series_follow_the_configuration() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    runner.always(RpcType::HttpReqCall, Answer::sane());
    let of = |ids: &[&str]| {
        let routes = ids
            .iter()
            .map(|id| with_plugins(id, &format!("/{id}"), &upstream, pre_req(json!({}))));
        json!({"routes": routes.collect::<Vec<_>>()})
    };
    let gateway = runner.gateway().routes(of(&["1", "2"])).start();
    gateway.get("/1").send();
    gateway.set_routes(of(&["1", "3"]));
    // So that the worker lets go of the routes before, which are dropped then.
    gateway.get("/1").send();
    let calls = |metrics: &Metrics, route| {
        let labels = [("route", route), ("outcome", "continue")];
        metrics.find("outrigger_ext_plugin_calls_total", &labels)
    };
    let metrics = until("the series of a route go with it", || {
        let metrics = Metrics::of(&gateway);
        calls(&metrics, "2").is_none().then_some(metrics)
    });
    assert_eq!(
        (calls(&metrics, "1"), calls(&metrics, "3")),
        (Some(2.0), Some(0.0))
    );
    let applied = [("result", "applied")];
    assert_eq!(metrics.get("outrigger_config_changes_total", &applied), 2.0);

    gateway.write_routes(json!({"routes": [{"uri": 1}]}));
    gateway.wait_log("not applied");
    let metrics = Metrics::of(&gateway);
    let refused = [("result", "refused")];
    assert_eq!(metrics.get("outrigger_config_changes_total", &refused), 1.0);
}

#[test]
fn metrics_are_where_the_settings_say_and_nothing_else_is() {
    let attr = json!({"prometheus": {"export_uri": "/m", "export_addr": {"port": 0}}});
    let gateway = gateway().config(json!({"plugin_attr": attr})).start();
    let line = gateway.wait_log("metrics: http://");
    let (_, url) = line.split_once("metrics: http://").unwrap();
    let address = url
        .trim()
        .strip_suffix("/m")
        .expect("the path of the settings");
    let client = Client::new(address.parse().unwrap());
    let response = client.get("/m").send();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, Some(kind))
    );
    assert_eq!(client.get("/apisix/prometheus/metrics").send().status, 404);
    assert_eq!(client.post("/m").send().status, 405);
    assert_eq!(gateway.get("/m").send().status, 404, "not to clients");
}

#[test]
fn an_address_that_is_taken_is_an_error_if_somebody_asked_for_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let attr = json!({"prometheus": {"export_addr": {"port": port}}});
    let exit = gateway().config(json!({"plugin_attr": attr})).run();
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    let expected = format!("cannot listen on 127.0.0.1:{port} for metrics: ");
    assert!(exit.stderr.contains(&expected), "{exit:?}");
    assert!(exit.stderr.contains("plugin_attr.prometheus.export_addr"));
}

#[test]
fn calls_of_the_log_phase_are_counted_when_they_are_over() {
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    let call = external([plugin("any", json!({}))]);
    let plugins = json!({ "ext-plugin-log": call });
    let route = with_plugins("r1", "/*", &upstream, plugins);
    let gateway = runner.gateway().routes(routes([route])).start();
    let gate = Gate::new();
    let waiting = Answer::new().wait_for(&gate).reply();
    runner.next(RpcType::HttpRespCall, Answer::sane());
    runner.next(
        RpcType::HttpRespCall,
        Answer::error(Code::ServiceUnavailable),
    );
    runner.next(RpcType::HttpRespCall, waiting);
    for _ in 0..3 {
        assert_eq!(gateway.get("/hello").send().status, 200);
    }
    let labels = |more: &[(&'static str, &'static str)]| {
        [
            &[("phase", "log"), ("route", "r1"), ("runner", "default")],
            more,
        ]
        .concat()
    };
    let counted = |expected: [f64; 4]| {
        eventually(&format!("{expected:?} calls are counted"), || {
            let metrics = Metrics::of(&gateway);
            let calls = |outcome| {
                let labels = labels(&[("outcome", outcome)]);
                let calls = metrics.find("outrigger_ext_plugin_calls_total", &labels);
                calls.unwrap_or_default()
            };
            let in_flight = metrics.find("outrigger_ext_plugin_calls_in_flight", &labels(&[]));
            let ended = ["continue", "failed", "cancelled"].map(calls);
            [ended[0], ended[1], ended[2], in_flight.unwrap_or_default()] == expected
        });
    };
    counted([1.0, 1.0, 0.0, 1.0]);
    gate.open();
    counted([2.0, 1.0, 0.0, 0.0]);
    let took = Metrics::of(&gateway);
    let took = took.buckets("outrigger_ext_plugin_call_duration_seconds", &labels(&[]));
    assert_eq!(took.last().map(|(_, count)| *count), Some(3.0));
}
