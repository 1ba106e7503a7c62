//! Nodes that are asked how they are, and left out while they are not well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outrigger_harness::{Gateway, Upstream, eventually};
use serde_json::{Value, json};

use crate::support::{gateway, nodes, route, routes, with};

/// An upstream that answers with 200 or, while it is told so, with 500.
struct Moody {
    upstream: Upstream,
    ill: Arc<AtomicBool>,
}

impl Moody {
    fn start() -> Self {
        let ill = Arc::new(AtomicBool::new(false));
        let upstream = Upstream::raw({
            let ill = Arc::clone(&ill);
            move |connection| {
                while connection.read_request().is_some() {
                    connection.write(match ill.load(Ordering::Relaxed) {
                        true => b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
                        false => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                    });
                }
            }
        });
        Moody { upstream, ill }
    }

    fn set_ill(&self, ill: bool) {
        self.ill.store(ill, Ordering::Relaxed);
    }
}

/// Checks by which one probe decides.
fn quick(more: Value) -> Value {
    let unhealthy = json!({"interval": 1, "http_failures": 1, "tcp_failures": 1});
    let healthy = json!({"interval": 1, "successes": 1});
    with(json!({"healthy": healthy, "unhealthy": unhealthy}), more)
}

fn checked(of: &[&Upstream], checks: Value) -> Value {
    with(nodes(of), json!({"checks": checks}))
}

/// What the control API says of the conditions of the first upstream's nodes, by port.
fn conditions(gateway: &Gateway) -> Vec<(u64, String)> {
    let told = gateway.control().get("/v1/healthcheck").send().json();
    let nodes = told[0]["nodes"].as_array().cloned().unwrap_or_default();
    let condition = |node: &Value| {
        let status = node["status"].as_str().unwrap().to_owned();
        (node["port"].as_u64().unwrap(), status)
    };
    nodes.iter().map(condition).collect()
}

fn is(gateway: &Gateway, of: &Upstream, wanted: &str) -> bool {
    let port = u64::from(of.address().port());
    conditions(gateway).contains(&(port, wanted.to_owned()))
}

#[test]
fn a_node_that_is_not_well_is_left_out_until_it_is_again() {
    let (moody, sane) = (Moody::start(), Upstream::echo());
    let active = quick(json!({"http_path": "/hello", "req_headers": ["User-Agent: probe"]}));
    let of = checked(&[&moody.upstream, &sane], json!({"active": active}));
    let gateway = gateway().routes(routes([route("/*", of)])).start();
    eventually("the nodes are asked", || sane.hits() > 0);
    let probe = sane.last();
    assert_eq!((&*probe.method, &*probe.uri), ("GET", "/hello"));
    assert_eq!(probe.header("user-agent"), Some("probe"));

    moody.set_ill(true);
    eventually("it counts as ill", || {
        is(&gateway, &moody.upstream, "unhealthy")
    });
    gateway.wait_log("an upstream node is unhealthy");
    let statuses = [(); 10].map(|()| gateway.get("/hello").send().status);
    assert_eq!(statuses, [200; 10]);
    let metrics = gateway.metrics();
    let told = |of: &Upstream, up: u8| {
        let port = of.address().port();
        let end = format!(",ip=\"127.0.0.1\",port=\"{port}\"}} {up}");
        let mut lines = metrics.lines();
        lines.any(|line| line.starts_with("apisix_upstream_status") && line.ends_with(&end))
    };
    assert!(told(&moody.upstream, 0) && told(&sane, 1), "{metrics}");

    moody.set_ill(false);
    eventually("it counts as well", || {
        is(&gateway, &moody.upstream, "healthy")
    });
    gateway.wait_log("an upstream node is healthy again");
    let hits = moody.upstream.hits();
    for _ in 0..10 {
        gateway.get("/hello").send();
    }
    assert!(moody.upstream.hits() >= hits + 5);
}

#[test]
fn where_no_node_is_well_all_are_asked() {
    let moody = Moody::start();
    moody.set_ill(true);
    let of = checked(&[&moody.upstream], json!({"active": quick(json!({}))}));
    let gateway = gateway().routes(routes([route("/*", of)])).start();
    eventually("it counts as ill", || {
        is(&gateway, &moody.upstream, "unhealthy")
    });
    assert_eq!(gateway.get("/").send().status, 500);
}

#[test]
fn a_probe_may_only_connect_and_ask_elsewhere() {
    let (served, asked) = (Upstream::echo(), Upstream::echo());
    let gone = Upstream::echo();
    let port = |of: &Upstream| of.address().port();
    let active = |port: u16| quick(json!({"type": "tcp", "port": port}));
    let of = checked(&[&served], json!({"active": active(port(&asked))}));
    let gone_port = port(&gone);
    drop(gone);
    let ill = checked(&[&served], json!({"active": active(gone_port)}));
    let gateway = gateway()
        .routes(routes([
            with(route("/well", of), json!({"id": "well"})),
            with(route("/ill", ill), json!({"id": "ill"})),
        ]))
        .start();
    let status = |id: &str| {
        let path = format!("/v1/healthcheck/routes/{id}");
        gateway.control().get(&path).send().json()["nodes"][0].clone()
    };
    eventually("the port that nobody listens on is noticed", || {
        status("ill")["status"] == "unhealthy"
    });
    assert_eq!(status("ill")["port"], gone_port);
    assert_eq!(status("well")["status"], "healthy");
    assert_eq!(served.hits(), 0, "nothing was asked of the node itself");
}

#[test]
fn requests_tell_of_nodes_too() {
    let (moody, sane) = (Moody::start(), Upstream::echo());
    moody.set_ill(true);
    // The probe is never due again after its first time, which only connects.
    let active =
        json!({"type": "tcp", "healthy": {"interval": 3600}, "unhealthy": {"interval": 3600}});
    let passive = json!({"unhealthy": {"http_statuses": [500], "http_failures": 2}});
    let checks = json!({"active": active, "passive": passive});
    let of = checked(&[&moody.upstream, &sane], checks);
    let gateway = gateway().routes(routes([route("/*", of)])).start();
    let statuses = [(); 12].map(|()| gateway.get("/hello").send().status);
    let failed = statuses.iter().filter(|status| **status == 500).count();
    // The probe may have found it well in between.
    assert!((2..=3).contains(&failed), "{statuses:?}");
    assert!(is(&gateway, &moody.upstream, "unhealthy"));
}

#[test]
fn health_outlives_a_change_of_the_nodes_and_not_one_of_the_checks() {
    let (moody, sane, third) = (Moody::start(), Upstream::echo(), Upstream::echo());
    moody.set_ill(true);
    let checks = |failures: u8| {
        let unhealthy = json!({"interval": 3600, "http_failures": failures});
        json!({"active": {"healthy": {"interval": 3600}, "unhealthy": unhealthy}})
    };
    let with_nodes = |of: &[&Upstream], failures| {
        routes([with(
            route("/*", checked(of, checks(failures))),
            json!({"id": "r"}),
        )])
    };
    let gateway = gateway()
        .routes(with_nodes(&[&moody.upstream, &sane], 1))
        .start();
    eventually("it counts as ill", || {
        is(&gateway, &moody.upstream, "unhealthy")
    });
    gateway.set_routes(with_nodes(&[&moody.upstream, &third], 1));
    eventually("the other node is asked", || third.hits() > 0);
    assert!(is(&gateway, &moody.upstream, "unhealthy"));
    assert_eq!(
        [(); 4].map(|()| gateway.get("/hello").send().status),
        [200; 4]
    );
    // Asked too long ago to be asked again, it counts as well by the new rules.
    gateway.set_routes(with_nodes(&[&moody.upstream, &third], 2));
    assert!(is(&gateway, &moody.upstream, "healthy"));
}

#[test]
fn nobody_is_asked_where_it_is_switched_off() {
    let moody = Moody::start();
    moody.set_ill(true);
    let of = checked(&[&moody.upstream], json!({"active": quick(json!({}))}));
    let gateway = gateway()
        .config("apisix: {disable_upstream_healthcheck: true}")
        .routes(routes([route("/*", of)]))
        .start();
    assert!(is(&gateway, &moody.upstream, "healthy"));
    gateway.get("/").send();
    assert_eq!(moody.upstream.hits(), 1);
    gateway.write_config("apisix: {disable_upstream_healthcheck: false}");
    gateway.signal(outrigger_harness::Signal::HUP);
    eventually("it counts as ill", || {
        is(&gateway, &moody.upstream, "unhealthy")
    });
}
