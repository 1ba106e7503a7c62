//! What accepted documents become.

#![allow(
    clippy::needless_pass_by_value,
    reason = "json!(…) reads best as an argument"
)]

use std::time::Duration;

use http::Method;
use outrigger_model::{
    Balancing, HashOn, HealthRules, Host, HostPattern, KeepalivePool, PassHost, Probe, Resources,
    Route, Service, Timeout, Upstream, UriPattern,
};
use serde_json::{Value, json};

fn route(json: Value) -> Route {
    Route::from_json(&json).expect("a route")
}

fn upstream(json: Value) -> Upstream {
    Upstream::from_json(&json).expect("an upstream")
}

#[test]
fn a_route_without_settings_has_the_defaults() {
    let route = route(json!({"id": 7, "uri": "/a", "plugins": {}}));
    assert_eq!(route.id.as_str(), "7");
    assert_eq!(route.uris, [UriPattern::Exact("/a".into())]);
    assert!(route.hosts.is_empty() && route.methods.is_empty() && route.plugins.is_empty());
    assert_eq!(
        (route.priority, route.enabled, route.timeout),
        (0, true, None)
    );
    assert_eq!(
        (route.service_id, route.upstream_id, route.upstream),
        (None, None, None)
    );
}

#[test]
fn a_route_keeps_what_it_is_given() {
    let route = route(json!({
        "id": "r", "uris": ["/a/*", "/b"], "hosts": ["A.test", "*.B.test", "*"],
        "methods": ["GET", "PURGE"], "priority": -5, "status": 0, "name": "n", "desc": "d",
        "labels": {"b": "1", "a": "2"}, "timeout": {"connect": 0.25, "send": 1, "read": 2},
        "plugins": {"z": {"k": 1}, "a": {}}, "service_id": "s", "upstream_id": 5,
        "create_time": 1, "update_time": 2,
    }));
    assert_eq!(
        route.uris,
        [
            UriPattern::Prefix("/a/".into()),
            UriPattern::Exact("/b".into())
        ]
    );
    let hosts = [
        HostPattern::Exact("a.test".into()),
        HostPattern::Wildcard(".b.test".into()),
        HostPattern::Any,
    ];
    assert_eq!(route.hosts, hosts);
    assert_eq!(route.methods.names().collect::<Vec<_>>(), ["GET", "PURGE"]);
    assert_eq!((route.priority, route.enabled), (-5, false));
    let timeout = Timeout {
        connect: Duration::from_millis(250),
        send: Duration::from_secs(1),
        read: Duration::from_secs(2),
    };
    assert_eq!(route.timeout, Some(timeout));
    assert_eq!(route.labels.keys().collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(route.plugins.get("z"), Some(json!({"k": 1})));
    assert_eq!(
        route
            .plugins
            .iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>(),
        ["z", "a"]
    );
    assert_eq!(route.upstream_id.unwrap().as_str(), "5");
}

#[test]
fn methods_admit_what_they_name_and_an_empty_set_admits_all() {
    let methods = route(json!({"id": 1, "uri": "/", "plugins": {}, "methods": ["GET"]})).methods;
    let purge = Method::from_bytes(b"PURGE").unwrap();
    assert!(methods.admits(&Method::GET));
    assert!(!methods.admits(&Method::HEAD) && !methods.admits(&purge));
    let any = route(json!({"id": 1, "uri": "/", "plugins": {}, "methods": []})).methods;
    let own = Method::from_bytes(b"MINE").unwrap();
    assert!(any.admits(&purge) && any.admits(&own) && !methods.admits(&own));
}

#[test]
fn hosts_are_compared_in_lower_case() {
    let matches = |pattern, host| HostPattern::new(pattern).unwrap().matches(host);
    assert!(matches("A.test", "a.test"));
    assert!(!matches("a.test", "x.a.test"));
    assert!(matches("*.a.test", "x.y.a.test"));
    assert!(!matches("*.a.test", "a.test"));
    assert!(matches("*", "anything"));
    assert_eq!(
        HostPattern::new("*.A.test").unwrap().to_string(),
        "*.a.test"
    );
}

#[test]
fn an_upstream_without_settings_has_the_defaults() {
    let upstream = upstream(json!({"nodes": {}}));
    let minute = Duration::from_secs(60);
    assert_eq!(upstream.timeout.connect, minute);
    assert_eq!(
        (upstream.timeout.send, upstream.timeout.read),
        (minute, minute)
    );
    assert_eq!((upstream.retries, upstream.retry_timeout), (None, None));
    assert_eq!(upstream.pass_host, PassHost::Pass);
    let pool = KeepalivePool {
        size: 320,
        idle_timeout: minute,
        requests: 1000,
    };
    assert_eq!(upstream.keepalive_pool, pool);
}

#[test]
fn health_checks_have_the_defaults() {
    let checks = json!({"active": {"unhealthy": {"interval": 3}}, "passive": {}});
    let checks = upstream(json!({"nodes": {}, "checks": checks}))
        .checks
        .unwrap();
    let active = &checks.active;
    assert_eq!((active.probe, &*active.path), (Probe::Http, "/"));
    assert_eq!((active.concurrency, active.verify), (10, true));
    let seconds = |duration: Duration| duration.as_secs();
    assert_eq!(seconds(active.timeout), 1);
    assert_eq!(seconds(active.healthy_interval), 1);
    assert_eq!(seconds(active.unhealthy_interval), 3);
    let counts = |rules: &HealthRules| {
        let failures = [rules.http_failures, rules.tcp_failures, rules.timeouts];
        (rules.successes, failures)
    };
    assert_eq!(counts(&active.rules), (2, [5, 2, 3]));
    let passive = checks.passive.unwrap();
    assert_eq!(counts(&passive.rules), (5, [5, 2, 7]));
    assert_eq!(passive.rules.unhealthy_statuses, [429, 500, 503]);
}

#[test]
fn how_requests_are_spread_is_kept() {
    let balancing = |balancing: Value| {
        let mut upstream = balancing;
        upstream["nodes"] = json!({});
        self::upstream(upstream).balancing
    };
    let hash = |on: &str, key: &str| balancing(json!({"type": "chash", "hash_on": on, "key": key}));
    let name = || "remote_addr".to_owned();
    assert_eq!(balancing(json!({})), Balancing::RoundRobin);
    assert_eq!(balancing(json!({"type": "ewma"})), Balancing::Ewma);
    let least = balancing(json!({"type": "least_conn", "key": "x"}));
    assert_eq!(least, Balancing::LeastConnections);
    for (on, expected) in [
        ("vars", HashOn::Variable(name())),
        ("cookie", HashOn::Cookie("remote_addr".to_owned())),
        ("consumer", HashOn::Consumer),
        ("vars_combinations", HashOn::Combination(name())),
    ] {
        let expected = Balancing::ConsistentHash(expected);
        assert_eq!(hash(on, "remote_addr"), expected, "{on}");
    }
    let header = Balancing::ConsistentHash(HashOn::Header("X-A".to_owned()));
    assert_eq!(hash("header", "X-A"), header);
}

#[test]
fn nodes_come_in_two_forms() {
    let map = upstream(json!({"nodes": {"a.test": 2, "[::1]:81": 0}}));
    let list = upstream(json!({"nodes": [
        {"host": "a.test", "weight": 2, "metadata": {"zone": "x"}},
        {"host": "::1", "port": 81, "weight": 0},
    ]}));
    assert_eq!(map.nodes, list.nodes);
    assert_eq!(list.nodes[0].host, Host::Name("a.test".into()));
    assert_eq!((list.nodes[0].port, list.nodes[0].weight), (80, 2));
    assert_eq!(list.nodes[1].host.to_string(), "[::1]");
    let first = upstream(json!({"nodes": [{"host": "h", "weight": 1, "priority": -3}]}));
    assert_eq!(first.nodes[0].priority, -3);
}

#[test]
fn a_node_without_a_port_has_its_schemes() {
    let port =
        |scheme: &str| upstream(json!({"nodes": {"a.test": 1}, "scheme": scheme})).nodes[0].port;
    assert_eq!((port("http"), port("https")), (80, 443));
}

#[test]
fn the_settings_of_an_upstream_are_kept() {
    let upstream = upstream(json!({
        "id": "u", "nodes": {}, "retries": 0, "retry_timeout": 1.5, "pass_host": "rewrite",
        "upstream_host": "Up.test:8080", "type": "roundrobin", "scheme": "http",
        "keepalive_pool": {"size": 1, "idle_timeout": 0},
    }));
    assert_eq!(
        (upstream.retries, upstream.retry_timeout),
        (Some(0), Some(Duration::from_millis(1500)))
    );
    assert_eq!(upstream.pass_host, PassHost::Rewrite("Up.test:8080".into()));
    let pool = upstream.keepalive_pool;
    assert_eq!(
        (pool.size, pool.idle_timeout, pool.requests),
        (1, Duration::ZERO, 1000)
    );
}

#[test]
fn a_service_keeps_what_it_is_given() {
    let service = Service::from_json(&json!({
        "id": "s", "hosts": ["a.test"], "plugins": {"cors": {}}, "upstream_id": "u",
        "upstream": {"id": "ignored", "nodes": {}}, "enable_websocket": false,
    }))
    .unwrap();
    assert_eq!(service.hosts, [HostPattern::Exact("a.test".into())]);
    assert_eq!(service.plugins.len(), 1);
    assert_eq!(service.upstream_id.unwrap().as_str(), "u");
    assert_eq!(service.upstream.unwrap().id, None);
}

#[test]
fn an_entry_without_an_id_is_called_by_its_place() {
    let resources = Resources::from_json(&json!({
        "routes": [{"id": "first", "uri": "/a", "plugins": {}}, {"uri": "/b", "plugins": {}}],
        "upstreams": [{"nodes": {}}],
    }))
    .unwrap();
    assert_eq!(resources.routes[1].id.as_str(), "routes#2");
    assert_eq!(
        resources.upstreams[0].id.as_ref().unwrap().as_str(),
        "upstreams#1"
    );
    assert_eq!(resources.check_references(), Ok(()));
}

#[test]
fn serde_reads_resources_and_tells_all_faults() {
    let route: Route =
        serde_json::from_value(json!({"id": 1, "uri": "/a", "plugins": {}})).unwrap();
    assert_eq!(route.id.as_str(), "1");
    let error = serde_json::from_value::<Route>(json!({"id": 0, "uri": 5, "plugins": {}}));
    assert_eq!(
        error.unwrap_err().to_string(),
        "id: expected 0 to be at least 1; uri: wrong type: expected string, got number",
    );
}
