//! All resources told at once, and kept in memory alone (API-driven standalone).

use outrigger_harness::{Gateway, Response, Upstream};
use serde_json::{Value, json};

use crate::support::{error_msg, gateway, nodes};

fn start() -> Gateway {
    let key = json!({"name": "admin", "key": "a-key-of-tests", "role": "admin"});
    let viewer = json!({"name": "look", "key": "look", "role": "viewer"});
    let deployment = json!({
        "role": "traditional",
        "role_traditional": {"config_provider": "yaml"},
        "admin": {"admin_listen": {"port": 0}, "admin_key": [key, viewer]},
    });
    gateway().config(json!({"deployment": deployment})).start()
}

fn tell(gateway: &Gateway, digest: &str, body: &Value) -> Response {
    let put = gateway.admin("PUT", "configs").header("X-Digest", digest);
    put.json(body).send()
}

fn route(id: &str, uri: &str) -> Value {
    json!({"id": id, "uri": uri, "upstream_id": "u"})
}

fn whole(upstream: &Upstream, routes: &[Value]) -> Value {
    let mut one = nodes(&[upstream]);
    one["id"] = "u".into();
    json!({"routes": routes, "upstreams": [one]})
}

fn versions(gateway: &Gateway) -> [Value; 3] {
    let all = gateway.admin("GET", "configs").send().json();
    ["routes", "upstreams", "ssls"].map(|kind| all[format!("{kind}_conf_version")].clone())
}

#[test]
fn what_is_told_takes_effect_as_a_whole() {
    let upstream = Upstream::echo();
    let gateway = start();
    let empty = gateway.admin("GET", "configs").send();
    assert_eq!(empty.header("x-digest"), None);
    let expected: serde_json::Map<String, Value> = [
        "routes",
        "services",
        "upstreams",
        "consumers",
        "consumer_groups",
        "plugin_configs",
        "global_rules",
        "ssls",
        "plugin_metadata",
        "protos",
        "secrets",
    ]
    .into_iter()
    .map(|kind| (format!("{kind}_conf_version"), json!(0)))
    .collect();
    assert_eq!(empty.json(), Value::Object(expected));

    let told = whole(&upstream, &[route("a", "/a"), route("b", "/b")]);
    assert_eq!(tell(&gateway, "1", &told).status, 202);
    assert_eq!(gateway.get("/a").send().status, 200);
    assert_eq!(gateway.get("/b").send().status, 200);
    assert_eq!(versions(&gateway), [1, 1, 1].map(Value::from));
    let shown = gateway.admin("GET", "configs").send();
    assert_eq!(shown.header("x-digest"), Some("1"));
    assert!(shown.header("x-last-modified").is_some());
    assert_eq!(shown.json()["routes"], told["routes"]);
    assert_eq!(shown.json().get("services"), None);

    // The same digest says that nothing has changed, whatever the body says.
    assert_eq!(tell(&gateway, "1", &json!({})).status, 204);
    assert_eq!(gateway.get("/a").send().status, 200);

    let told = whole(&upstream, &[route("b", "/c")]);
    assert_eq!(tell(&gateway, "2", &told).status, 202);
    for (path, status) in [("/a", 404), ("/b", 404), ("/c", 200)] {
        assert_eq!(gateway.get(path).send().status, status, "{path}");
    }
    let head = gateway.admin("HEAD", "configs").send();
    assert_eq!((head.status, head.header("x-digest")), (200, Some("2")));
    // What was shown can be told again.
    let shown = gateway.admin("GET", "configs").send().json();
    assert_eq!(tell(&gateway, "3", &shown).status, 202);
    assert_eq!(gateway.get("/c").send().status, 200);
}

#[test]
fn a_kind_with_the_version_that_it_has_is_left_alone() {
    let upstream = Upstream::echo();
    let gateway = start();
    let mut told = whole(&upstream, &[route("a", "/a")]);
    told["routes_conf_version"] = 7.into();
    assert_eq!(tell(&gateway, "1", &told).status, 202);
    assert_eq!(versions(&gateway), [7, 1, 1].map(Value::from));
    let next = json!({
        "routes": [], "routes_conf_version": 7,
        "upstreams": told["upstreams"], "ssls_conf_version": 1,
    });
    assert_eq!(tell(&gateway, "2", &next).status, 202);
    assert_eq!(versions(&gateway), [7, 2, 1].map(Value::from));
    assert_eq!(gateway.get("/a").send().status, 200);
    for (version, said) in [
        (
            json!(6),
            "routes_conf_version must be greater than or equal to (7)",
        ),
        (json!("8"), "routes_conf_version must be a number"),
    ] {
        let refused = tell(&gateway, "3", &json!({"routes_conf_version": version}));
        assert_eq!((refused.status, error_msg(&refused).as_str()), (400, said));
    }
    assert_eq!(gateway.get("/a").send().status, 200);
}

#[test]
fn what_does_not_hold_changes_nothing() {
    let upstream = Upstream::echo();
    let gateway = start();
    let good = whole(&upstream, &[route("a", "/a")]);
    assert_eq!(tell(&gateway, "1", &good).status, 202);
    let bad = |routes: Value| {
        let mut told = good.clone();
        told["routes"] = routes;
        told
    };
    for (told, said) in [
        (
            bad(json!([{"id": "a", "uri": 5, "upstream_id": "u"}])),
            "invalid routes at index 0, err: invalid configuration: property \"uri\" \
             validation failed: wrong type: expected string, got number",
        ),
        (
            bad(json!([route("a", "/a"), {"id": "b", "uri": "/b", "plugins": {"no-such": {}}}])),
            "invalid routes at index 1, err: unknown plugin [no-such]",
        ),
        (
            bad(json!([{"id": "a", "uri": "/a", "service_id": "none"}])),
            "invalid routes at index 0, err: failed to fetch service info by service id [none], \
             response code: 404",
        ),
        (
            bad(json!([route("a", "/a"), route("a", "/b")])),
            "found duplicate id a in routes",
        ),
        (
            json!({"consumers": [{"username": "j"}, {"username": "j"}]}),
            "found duplicate username j in consumers",
        ),
        (
            bad(json!({"a": route("a", "/a")})),
            "invalid routes: expected an array",
        ),
        (
            json!({"rutes": []}),
            "there are no resources of the name rutes",
        ),
        (
            json!({"stream_routes": [{"id": "1"}]}),
            "there are no resources of the name stream_routes",
        ),
        (json!({}), "X"),
    ] {
        let put = gateway.admin("PUT", "configs");
        let (put, said) = match said {
            "X" => (put, "missing digest header"),
            said => (put.header("X-Digest", "2"), said),
        };
        let refused = put.json(&told).send();
        assert_eq!(refused.status, 400, "{told}");
        assert_eq!(error_msg(&refused), said);
    }
    let empty = gateway
        .admin("PUT", "configs")
        .header("X-Digest", "2")
        .send();
    assert_eq!(
        error_msg(&empty),
        "invalid request body: empty request body"
    );
    assert_eq!(gateway.get("/a").send().status, 200);
    assert_eq!(versions(&gateway), [1, 1, 1].map(Value::from));
    let one = gateway
        .admin("PUT", "routes/1")
        .json(&route("1", "/1"))
        .send();
    assert_eq!(one.status, 404);
    assert!(error_msg(&one).contains("/apisix/admin/configs"));
    let list = gateway.admin("GET", "plugins/list").send();
    assert_eq!(list.status, 200);
}

#[test]
fn it_may_be_yaml_and_secrets_are_shown_sealed() {
    let upstream = Upstream::echo();
    let gateway = start();
    let text = format!(
        "consumers:\n  - username: jack\n  - id: jack/credentials/c1\n    \
           plugins: {{key-auth: {{key: s3cret}}}}\n\
         upstreams: [{{id: u, nodes: {{'{}': 1}}}}]\n\
         routes:\n  - {{uri: /a, upstream_id: u, plugins: {{key-auth: {{}}}}, modifiedIndex: 5}}\n",
        upstream.node()
    );
    let put = gateway.admin("PUT", "configs").header("X-Digest", "1");
    let put = put.header("Content-Type", "application/yaml").body(text);
    assert_eq!(put.send().status, 202);
    let with_key = || gateway.get("/a").header("apikey", "s3cret").send().status;
    assert_eq!(with_key(), 200);
    assert_eq!(gateway.get("/a").send().status, 401);
    let shown = gateway
        .admin("GET", "configs")
        .header("Accept", "application/yaml");
    let shown = shown.send();
    assert_eq!(shown.header("content-type"), Some("application/yaml"));
    assert!(!shown.text().contains("s3cret"), "{}", shown.text());
    assert!(
        shown.text().contains("id: jack/credentials/c1\n"),
        "{}",
        shown.text()
    );
    let back = gateway.admin("PUT", "configs").header("X-Digest", "2");
    let back = back.header("Content-Type", "application/yaml");
    assert_eq!(back.body(shown.text()).send().status, 202);
    assert_eq!(with_key(), 200);

    let look = |method: &str| {
        let request = gateway.admin_api().request(method, "/apisix/admin/configs");
        request.header("X-API-KEY", "look").send().status
    };
    assert_eq!(["GET", "HEAD", "PUT"].map(look), [200, 200, 401]);
}
