//! Which route a request takes, and where that leads.

use outrigger_harness::{Gateway, Upstream};
use serde_json::{Value, json};

use crate::support::{OUTRIGGER, external, gateway, nodes, plugin, route, routes, with};

/// A plugin that shows the upstream which way a request came.
fn mark(way: &str) -> Value {
    json!({"plugins": {"proxy-rewrite": {"headers": {"set": {"X-Way": way}}}}})
}

/// The way that a request took, as the upstream saw it; or the status without.
fn way(gateway: &Gateway, upstream: &Upstream, method: &str, host: &str, path: &str) -> String {
    let hits = upstream.hits();
    let response = gateway.request(method, path).host(host).send();
    if upstream.hits() == hits {
        return response.status.to_string();
    }
    upstream
        .last()
        .header("x-way")
        .unwrap_or("unmarked")
        .to_owned()
}

/// Routes by name, each with what it asks of a request.
fn marked<const N: usize>(upstream: &Upstream, ways: [(&str, Value); N]) -> Value {
    let to = json!({"upstream": nodes(&[upstream])});
    routes(ways.map(|(way, asks)| with(with(asks, mark(way)), to.clone())))
}

#[test]
fn the_route_is_found_by_host_path_method_and_priority() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .routes(marked(
            &upstream,
            [
                ("exact", json!({"uri": "/a"})),
                ("prefix", json!({"uri": "/a/*"})),
                ("longer", json!({"uri": "/a/b/*"})),
                ("two", json!({"uris": ["/two", "/too/*"]})),
                ("posted", json!({"uri": "/m", "methods": ["POST", "PUT"]})),
                ("gotten", json!({"uri": "/m", "methods": ["GET"]})),
                ("low", json!({"uri": "/p", "priority": 1})),
                ("high", json!({"uri": "/p", "priority": 2})),
                ("off", json!({"uri": "/off", "status": 0})),
                ("host", json!({"uri": "/a", "host": "one.test"})),
                (
                    "wildcard",
                    json!({"uri": "/a", "hosts": ["*.test", "other.example"]}),
                ),
                ("narrower", json!({"uri": "/a", "hosts": ["*.deep.test"]})),
                ("hosted", json!({"uri": "/only/*", "host": "one.test"})),
            ],
        ))
        .start();
    for (method, host, path, expected) in [
        ("GET", "x", "/a", "exact"),
        ("GET", "x", "/a?b=c", "exact"),
        ("GET", "x", "/%61", "exact"),
        ("GET", "x", "/b/../a", "exact"),
        ("GET", "x", "/a/", "prefix"),
        ("GET", "x", "/a/c", "prefix"),
        ("GET", "x", "/a/b", "prefix"),
        ("GET", "x", "/a/b/c", "longer"),
        ("GET", "x", "/A", "404"),
        ("GET", "x", "/", "404"),
        ("GET", "x", "/two", "two"),
        ("GET", "x", "/too/", "two"),
        ("GET", "x", "/two/", "404"),
        ("POST", "x", "/m", "posted"),
        ("PUT", "x", "/m", "posted"),
        ("GET", "x", "/m", "gotten"),
        ("DELETE", "x", "/m", "404"),
        ("GET", "x", "/p", "high"),
        ("GET", "x", "/off", "404"),
        ("GET", "one.test", "/a", "host"),
        ("GET", "ONE.Test:8080", "/a", "host"),
        ("GET", "one.test.", "/a", "host"),
        ("GET", "two.test", "/a", "wildcard"),
        ("GET", "other.example", "/a", "wildcard"),
        ("GET", "x.deep.test", "/a", "narrower"),
        ("GET", "test", "/a", "exact"),
        ("GET", "one.test", "/a/c", "prefix"),
        ("GET", "one.test", "/only/x", "hosted"),
        ("GET", "two.test", "/only/x", "404"),
    ] {
        let took = way(&gateway, &upstream, method, host, path);
        assert_eq!(took, expected, "{method} {host} {path}");
    }
}

#[test]
fn services_and_upstreams_are_taken_by_their_ids() {
    let (one, two, inline) = (Upstream::echo(), Upstream::echo(), Upstream::echo());
    let numbered = |id: Value, upstream: &Upstream| with(nodes(&[upstream]), json!({"id": id}));
    let gateway = gateway()
        .routes(json!({
            "routes": [
                {"uri": "/upstream", "upstream_id": "one"},
                {"uri": "/number", "upstream_id": 2},
                {"uri": "/service", "service_id": "s"},
                {"uri": "/service/inline", "service_id": "s", "upstream": nodes(&[&inline])},
                {"uri": "/service/two", "service_id": "s", "upstream_id": "2"},
                with(json!({"uri": "/service/marked", "service_id": "s"}), mark("the route's")),
                {"uri": "/own", "service_id": "own"},
                {"uri": "/nowhere", "service_id": "none"},
            ],
            "services": [
                with(json!({"id": "s", "upstream_id": "one"}), mark("the service's")),
                {"id": "own", "upstream": nodes(&[&inline]), "hosts": ["own.test"]},
                with(json!({"id": "none"}), mark("x")),
            ],
            "upstreams": [numbered(json!("one"), &one), numbered(json!(2), &two)],
        }))
        .start();
    let hits = || [one.hits(), two.hits(), inline.hits()];
    for (path, host, expected, marked) in [
        ("/upstream", "a", [1, 0, 0], None),
        ("/number", "a", [1, 1, 0], None),
        ("/service", "a", [2, 1, 0], Some("the service's")),
        ("/service/inline", "a", [2, 1, 1], Some("the service's")),
        ("/service/two", "a", [2, 2, 1], Some("the service's")),
        ("/service/marked", "a", [3, 2, 1], Some("the route's")),
        ("/own", "a", [3, 2, 1], None),
        ("/own", "own.test", [3, 2, 2], None),
    ] {
        let before = hits();
        gateway.get(path).host(host).send();
        assert_eq!(hits(), expected, "{path} {host}");
        let asked = [&one, &two, &inline].into_iter().zip(before);
        for (upstream, before) in asked.filter(|(upstream, before)| upstream.hits() > *before) {
            let way = upstream.requests()[before]
                .header("x-way")
                .map(ToOwned::to_owned);
            assert_eq!(way.as_deref(), marked, "{path}");
        }
    }
    assert_eq!(gateway.get("/nowhere").send().status, 503);
}

#[test]
fn a_path_may_be_looked_at_before_the_host() {
    let upstream = Upstream::echo();
    let ways = [
        ("host", json!({"uri": "/*", "host": "one.test"})),
        ("path", json!({"uri": "/exact"})),
    ];
    let took = |router: &str| {
        let listen = json!([{"ip": "127.0.0.1", "port": 0}]);
        let apisix = json!({"node_listen": listen, "router": {"http": router}});
        let gateway = gateway()
            .config(json!({"apisix": apisix}))
            .routes(marked(&upstream, ways.clone()))
            .start();
        way(&gateway, &upstream, "GET", "one.test", "/exact")
    };
    assert_eq!(took("radixtree_host_uri"), "host");
    assert_eq!(took("radixtree_uri"), "path");
}

#[test]
fn a_route_may_answer_by_a_plugin_alone() {
    let say = external([plugin("say", json!({"body": "no upstream"}))]);
    let gateway = gateway()
        .config(json!({"ext-plugin": {"cmd": [OUTRIGGER, "demo-runner"]}}))
        .routes(routes([
            json!({"uri": "/", "plugins": {"ext-plugin-pre-req": say}}),
        ]))
        .start();
    assert_eq!(gateway.get("/").send().text(), "no upstream");
}

#[test]
fn proxy_rewrite_changes_what_the_upstream_is_asked() {
    let upstream = Upstream::echo();
    let rewrite = json!({
        "uri": "/new/path",
        "method": "PUT",
        "host": "inner.test",
        "headers": {"set": {"X-Set": "$remote_addr"}, "add": {"X-Add": "b"}, "remove": ["X-Gone"]},
    });
    let regex = json!({"regex_uri": ["^/r/(.*)/(.*)$", "/$2/$1"]});
    let with_plugin = |uri: &str, conf: Value| {
        with(
            route(uri, nodes(&[&upstream])),
            json!({"plugins": {"proxy-rewrite": conf}}),
        )
    };
    let gateway = gateway()
        .routes(routes([
            with_plugin("/old", rewrite),
            with_plugin("/r/*", regex),
        ]))
        .start();
    gateway
        .post("/old?a=b%20c")
        .header("X-Set", "a")
        .header("X-Add", "a")
        .header("X-Gone", "a")
        .body("x")
        .send();
    let seen = upstream.last();
    assert_eq!(
        (seen.method.as_str(), seen.uri.as_str()),
        ("PUT", "/new/path?a=b%20c")
    );
    assert_eq!(seen.header("host"), Some("inner.test"));
    assert_eq!(seen.headers.all("x-set"), ["127.0.0.1"]);
    assert_eq!(seen.headers.all("x-add"), ["a", "b"]);
    assert_eq!(seen.header("x-gone"), None);
    gateway.get("/r/one/two?x").send();
    assert_eq!(upstream.last().uri, "/two/one?x");
}
