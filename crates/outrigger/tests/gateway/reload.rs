//! A changed `apisix.yaml`, while requests go on.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use outrigger_harness::{Gateway, Traffic, Upstream, eventually};
use serde_json::{Value, json};

use crate::support::{Latch, all_to, gateway, gateway_to, nodes, route, routes, with};

/// Waits until `gateway` answers GET `path` with `status`.
#[track_caller]
fn wait_status(gateway: &Gateway, path: &str, status: u16) {
    eventually(&format!("{path} is answered with {status}"), || {
        gateway.get(path).send().status == status
    });
}

/// Everything to `upstream`, which is told that it came by this version.
fn version(upstream: &Upstream, version: u32) -> Value {
    let mark = json!({"headers": {"set": {"X-Version": version.to_string()}}});
    let plugins = json!({"plugins": {"proxy-rewrite": mark}});
    routes([with(route("/*", nodes(&[upstream])), plugins)])
}

/// The version by which a request goes now.
fn version_now(gateway: &Gateway) -> u32 {
    let seen = gateway.get("/").send().json();
    let headers = seen["headers"].as_array().unwrap();
    let version = headers.iter().find(|header| header[0] == "x-version");
    version.unwrap()[1].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_change_takes_effect_within_a_second_and_no_request_fails() {
    let upstreams = [Upstream::echo(), Upstream::echo()];
    let gateway = gateway().routes(version(&upstreams[0], 0)).start();
    let traffic = Traffic::start(gateway.client(), "/hello", 3);
    traffic.wait_more(20);
    for change in 1..6 {
        let begun = Instant::now();
        gateway.write_routes(version(&upstreams[change as usize % 2], change));
        eventually("it has taken effect", || version_now(&gateway) == change);
        // The second that it may take, and some more for a busy machine.
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
        let versions = [(); 20].map(|()| version_now(&gateway));
        assert_eq!(versions, [change; 20], "none goes by the old one any more");
        traffic.wait_more(20);
    }
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
}

#[test]
fn a_request_ends_on_the_routes_that_it_began_with() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| gateway.get("/slow/1500").send());
        eventually("it is on its way", || upstream.open_connections() == 1);
        gateway.set_routes("routes: []");
        assert_eq!(gateway.get("/slow/1").send().status, 404);
        assert!(!slow.is_finished(), "the machine is too slow for this test");
        assert_eq!(slow.join().unwrap().text(), "slow\n");
    });
}

#[test]
fn a_broken_file_is_reported_with_line_and_key_and_the_old_one_stays() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let node = upstream.node();
    let fields = |uri: &str, more: &str| {
        format!(
            "routes:\n  - uri: {uri}\n    {more}\n    upstream:\n      nodes:\n        \"{node}\": 1\n"
        )
    };
    for (broken, line) in [
        (
            fields("/x", "prority: 1"),
            "apisix.yaml:3:5: routes[0].prority: ",
        ),
        (
            fields("/x", "priority: high"),
            "apisix.yaml:3:5: routes[0].priority: ",
        ),
        (fields("7", "id: 1"), "apisix.yaml:2:5: routes[0].uri: "),
        (
            fields("/x", "plugins: {nonsense: {}}"),
            "apisix.yaml:3:15: routes[0].plugins.nonsense: unknown plugin [nonsense]",
        ),
        (
            fields("/x", "plugins: {proxy-rewrite: {method: FETCH}}"),
            "apisix.yaml:3:31: routes[0].plugins.proxy-rewrite.method: ",
        ),
        (
            fields("/x", "plugins: {ext-plugin-pre-req: {runner: java}}"),
            "apisix.yaml:3:36: routes[0].plugins.ext-plugin-pre-req.runner: there is no runner of this name",
        ),
        (
            fields("/x", "service_id: nobody"),
            "apisix.yaml:3:5: routes[0].service_id: ",
        ),
        ("routes:\n  - uri: \"/x\n".to_owned(), "apisix.yaml:"),
        ("routes: [}\n".to_owned(), "apisix.yaml:1:"),
    ] {
        let mark = gateway.log().mark();
        gateway.write_routes(&broken);
        gateway.log().wait_after(mark, line);
        gateway.log().wait_after(
            mark,
            "not applied; the configuration before it stays in effect",
        );
        assert_eq!(gateway.get("/hello").send().status, 200, "{broken}");
    }
    gateway.set_routes(routes([route("/repaired/*", nodes(&[&upstream]))]));
    assert_eq!(gateway.get("/repaired/").send().status, 200);
    assert_eq!(gateway.get("/hello").send().status, 404);
}

#[test]
fn a_file_that_is_not_finished_is_waited_for() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let file = gateway.folder().join("apisix.yaml");
    let mark = gateway.log().mark();
    fs::write(&file, "routes: []\n").unwrap();
    gateway.log().wait_after(mark, "apisix.yaml: ");
    assert_eq!(
        gateway.get("/hello").send().status,
        200,
        "the old routes stay"
    );
    fs::write(&file, "routes: []\n#END\n").unwrap();
    wait_status(&gateway, "/hello", 404);
    fs::remove_file(&file).unwrap();
    gateway.log().wait_after(mark, "cannot be read");
    gateway.write_routes(all_to(&upstream));
    wait_status(&gateway, "/hello", 200);
}

#[test]
fn the_file_may_be_a_link_that_is_turned_to_another() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let file = gateway.folder().join("apisix.yaml");
    let turn = |to: &str| {
        let link = gateway.folder().join("link");
        symlink(to, &link).unwrap();
        fs::rename(&link, &file).unwrap();
    };
    fs::rename(&file, gateway.folder().join("all.yaml")).unwrap();
    fs::write(gateway.folder().join("none.yaml"), "routes: []\n#END\n").unwrap();
    turn("none.yaml");
    wait_status(&gateway, "/hello", 404);
    turn("all.yaml");
    wait_status(&gateway, "/hello", 200);
}

#[test]
fn connections_to_upstreams_that_stay_are_kept() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    gateway.get("/hello").send();
    gateway.set_routes(routes([
        route("/*", nodes(&[&upstream])),
        route("/more", nodes(&[&upstream])),
    ]));
    gateway.get("/more").send();
    gateway.get("/hello").send();
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn whatever_is_not_answered_yet_when_its_route_goes_is_answered() {
    let release = std::sync::Arc::new(Latch::default());
    let upstream = Upstream::raw({
        let release = std::sync::Arc::clone(&release);
        move |connection| {
            connection.read_request();
            release.wait();
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
        }
    });
    let gateway = gateway_to(&upstream);
    std::thread::scope(|scope| {
        let late: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| gateway.get("/").send()))
            .collect();
        upstream.wait_hits(4);
        gateway.set_routes("routes: []");
        release.open();
        for late in late {
            assert_eq!(late.join().unwrap().text(), "late");
        }
    });
    assert_eq!(gateway.get("/").send().status, 404);
}
