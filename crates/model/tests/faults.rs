//! What is refused, and in which words. The cases are those of the reference's
//! records ("upstreams with bad nodes are refused" and the like) and our own.

#![allow(
    clippy::needless_pass_by_value,
    reason = "json!(…) reads best as an argument"
)]

use outrigger_model::{Faults, Resources, Route, Service, Upstream};
use serde_json::{Value, json};

/// The faults of one document, one per line.
fn shown<T>(outcome: Result<T, Faults>) -> String {
    match outcome {
        Ok(_) => "accepted".to_owned(),
        Err(faults) => {
            let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
    }
}

/// A route with these properties, where `null` takes one away.
fn route(changes: Value) -> Value {
    let mut route = json!({
        "id": "r", "uri": "/a", "upstream": {"nodes": {"127.0.0.1:80": 1}},
    });
    change(&mut route, changes);
    route
}

fn upstream(changes: Value) -> Value {
    let mut upstream = json!({"id": "u", "nodes": {"127.0.0.1:80": 1}});
    change(&mut upstream, changes);
    upstream
}

fn change(document: &mut Value, changes: Value) {
    let properties = document.as_object_mut().expect("an object");
    for (key, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            properties.remove(key);
        } else {
            properties.insert(key.clone(), value.clone());
        }
    }
}

#[track_caller]
fn route_says(changes: Value, expected: &str) {
    let route = route(changes);
    assert_eq!(shown(Route::from_json(&route)), expected, "{route}");
}

#[track_caller]
fn upstream_says(changes: Value, expected: &str) {
    let upstream = upstream(changes);
    assert_eq!(
        shown(Upstream::from_json(&upstream)),
        expected,
        "{upstream}"
    );
}

#[test]
fn a_route_has_either_uri_or_uris() {
    let required = "property \"uri\" or \"uris\" is required";
    route_says(json!({"uri": null}), required);
    route_says(
        json!({"uris": ["/b"]}),
        "expected either \"uri\" or \"uris\", got both",
    );
    route_says(
        json!({"uri": null, "uris": []}),
        "uris: expect array to have at least 1 items",
    );
    route_says(
        json!({"uri": null, "uris": ["/a", "/b", "/a"]}),
        "uris: expected unique items but items 1 and 3 are equal",
    );
    route_says(
        json!({"uri": null, "uris": [5]}),
        "uris[0]: wrong type: expected string, got number",
    );
    route_says(
        json!({"uri": ""}),
        "uri: string too short, expected at least 1, got 0",
    );
    route_says(
        json!({"uri": "/".repeat(4097)}),
        "uri: string too long, expected at most 4096, got 4097",
    );
    route_says(json!({"uri": null, "uris": ["/a", "/b/*"]}), "accepted");
}

#[test]
fn a_route_has_either_host_or_hosts() {
    route_says(
        json!({"host": "a.test", "hosts": ["b.test"]}),
        "expected either \"host\" or \"hosts\", got both",
    );
    route_says(
        json!({"hosts": []}),
        "hosts: expect array to have at least 1 items",
    );
    let message = "expected a host name, or one with * in place of its first part";
    route_says(json!({"host": "a b"}), &format!("host: {message}"));
    route_says(json!({"host": ""}), &format!("host: {message}"));
    route_says(
        json!({"hosts": ["a.test", "a.*"]}),
        &format!("hosts[1]: {message}"),
    );
    route_says(
        json!({"hosts": ["a.test", "*.a.test", "*", "a.test:8080"]}),
        "accepted",
    );
}

#[test]
fn a_route_needs_something_to_do() {
    let nothing = "at least one of \"plugins\", \"upstream\", \"upstream_id\", \
                   \"service_id\" and \"plugin_config_id\" is required";
    route_says(json!({"upstream": null}), nothing);
    route_says(json!({"upstream": null, "plugins": {}}), "accepted");
    route_says(json!({"upstream": null, "service_id": 5}), "accepted");
    route_says(
        json!({"upstream": {}}),
        "upstream: property \"nodes\" is required",
    );
}

#[test]
fn ids_are_texts_or_positive_integers() {
    let id = "id: expected an id: 1 to 64 of the characters a-z A-Z 0-9 - _ .";
    for text in ["a b", "a:b", "a*b", "a/b", "", &"x".repeat(65)] {
        route_says(json!({"id": text}), id);
    }
    route_says(json!({"id": 0}), "id: expected 0 to be at least 1");
    route_says(json!({"id": -1}), "id: expected -1 to be at least 1");
    route_says(
        json!({"id": 1.5}),
        "id: wrong type: expected integer, got number",
    );
    route_says(
        json!({"id": true}),
        "id: wrong type: expected string or integer, got boolean",
    );
    route_says(json!({"id": "a-b_c.d"}), "accepted");
    route_says(json!({"id": "x".repeat(64)}), "accepted");
    route_says(json!({"id": 7}), "accepted");
    let nameless = json!({"uri": "/a", "plugins": {}});
    assert_eq!(
        shown(Route::from_json(&nameless)),
        "property \"id\" is required"
    );
}

#[test]
fn names_descriptions_and_labels_have_limits() {
    route_says(
        json!({"name": ""}),
        "name: string too short, expected at least 1, got 0",
    );
    route_says(json!({"name": "ä".repeat(256)}), "accepted");
    route_says(
        json!({"desc": "d".repeat(257)}),
        "desc: string too long, expected at most 256, got 257",
    );
    route_says(
        json!({"labels": {"k": "v v"}}),
        "labels.k: a label's value must not contain spaces",
    );
    route_says(
        json!({"labels": {"k": 5}}),
        "labels.k: wrong type: expected string, got number",
    );
    route_says(
        json!({"labels": {"k": ""}}),
        "labels.k: string too short, expected at least 1, got 0",
    );
    route_says(json!({"labels": []}), "accepted");
    route_says(
        json!({"labels": [1]}),
        "labels: wrong type: expected object, got array",
    );
}

#[test]
fn methods_and_status_and_priority_are_checked() {
    route_says(
        json!({"methods": ["GETT"]}),
        "methods[0]: expected one of \"GET\", \"POST\", \"PUT\", \"DELETE\", \"PATCH\", \
         \"HEAD\", \"OPTIONS\", \"CONNECT\", \"TRACE\", \"PURGE\", did you mean \"GET\"?",
    );
    route_says(
        json!({"methods": ["GET", "GET"]}),
        "methods: expected unique items but items 1 and 2 are equal",
    );
    route_says(json!({"methods": []}), "accepted");
    route_says(json!({"status": 2}), "status: expected 2 to be at most 1");
    route_says(
        json!({"priority": "1"}),
        "priority: wrong type: expected integer, got string",
    );
    route_says(json!({"priority": 10.0}), "accepted");
    route_says(
        json!({"priority": 1e300}),
        "priority: expected 1e+300 to be at most 9223372036854775807",
    );
}

#[test]
fn a_misspelt_property_is_told_its_nearest() {
    route_says(
        json!({"upstraem_id": "1"}),
        "upstraem_id: unknown property, did you mean \"upstream_id\"?",
    );
    route_says(json!({"zzz": 1}), "zzz: unknown property");
    upstream_says(
        json!({"keepalive_pool": {"sise": 1}}),
        "keepalive_pool.sise: unknown property, did you mean \"size\"?",
    );
    let service = json!({"id": "s", "host": "a.test"});
    assert_eq!(
        shown(Service::from_json(&service)),
        "host: unknown property, did you mean \"hosts\"?",
    );
}

#[test]
fn the_other_conditions_of_a_route_are_checked() {
    route_says(
        json!({"vars": [["arg_a", "==", "1"], ["arg_a", "=~", "1"]]}),
        "vars[1][1]: invalid operator '=~'",
    );
    route_says(json!({"vars": {}}), "vars: expected a list of conditions");
    route_says(json!({"vars": [["arg_a", "==", "1"]]}), "accepted");
    route_says(json!({"vars": []}), "accepted");
    let range = "expected an IP address or a range such as 10.0.0.0/8";
    route_says(
        json!({"remote_addr": "10.0.0.0/33"}),
        &format!("remote_addr: {range}"),
    );
    route_says(
        json!({"remote_addrs": ["::1", "x"]}),
        &format!("remote_addrs[1]: {range}"),
    );
    route_says(
        json!({"remote_addr": "::1", "remote_addrs": ["::1"]}),
        "expected either \"remote_addr\" or \"remote_addrs\", got both",
    );
    route_says(json!({"remote_addrs": ["::1", "fe80::/10"]}), "accepted");
}

#[test]
fn sets_of_plugins_and_consumers_are_read_and_their_faults_named() {
    let said = |json: Value| {
        let faults = Resources::from_json(&json).err();
        faults.map_or("accepted".to_owned(), |faults| faults.to_string())
    };
    assert_eq!(
        said(json!({
            "plugin_configs": [{"id": "p", "plugins": {"a": {}}, "desc": "d"}],
            "global_rules": [{"id": 1, "plugins": {"a": {}}}],
            "consumer_groups": [{"id": "g", "plugins": {}}],
            "consumers": [{"username": "jack", "group_id": "g", "plugins": {"a": {}}}],
        })),
        "accepted"
    );
    for (json, expected) in [
        (
            json!({"plugin_configs": [{"id": "p"}]}),
            "plugin_configs[0]: property \"plugins\" is required",
        ),
        (
            json!({"global_rules": [{"plugins": {"a": 1}}]}),
            "global_rules[0].plugins.a: wrong type: expected object, got number",
        ),
        (
            json!({"consumers": [{"plugins": {}}]}),
            "consumers[0]: property \"username\" is required",
        ),
        (
            json!({"consumers": [{"username": "a b"}]}),
            "consumers[0].username: expected an id: 1 to 64 of the characters a-z A-Z 0-9 - _ .",
        ),
    ] {
        assert_eq!(said(json), expected);
    }
    let lost = Resources::from_json(&json!({
        "routes": [{"id": "r", "uri": "/a", "plugin_config_id": "p"}],
        "consumers": [{"username": "jack", "group_id": "g"}],
    }));
    let lost = lost.unwrap().check_references().unwrap_err();
    let lost: Vec<_> = lost.iter().map(ToString::to_string).collect();
    assert_eq!(
        lost,
        [
            "route r: plugin_config_id: there is no plugin_config with the id p",
            "consumer jack: group_id: there is no consumer_group with the id g"
        ]
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name_unless_it_asks_for_nothing() {
    route_says(json!({"script": false}), "accepted");
    route_says(
        json!({"filter_func": "function(vars) return true end"}),
        "filter_func: \"filter_func\" is not supported because it is Lua: use vars",
    );
    for property in ["script", "script_id"] {
        let said = shown(Route::from_json(&route(json!({property: "x"}))));
        let start = format!("{property}: \"{property}\" is not supported");
        assert!(said.starts_with(&start), "{said}");
    }
    upstream_says(
        json!({"discovery_args": {}}),
        "discovery_args: \"discovery_args\" is not supported yet: use nodes",
    );
    upstream_says(
        json!({"nodes": null, "discovery_type": "dns", "service_name": "x"}),
        "discovery_type: \"discovery_type\" is not supported yet: use nodes\n\
         service_name: \"service_name\" is not supported yet: use nodes",
    );
}

#[test]
fn bad_health_checks_are_refused() {
    let says = |checks: Value, expected: &str| upstream_says(json!({"checks": checks}), expected);
    says(
        json!({"passive": {}}),
        "checks: object matches none of the required: [\"active\"] or [\"active\",\"passive\"]",
    );
    says(json!({"active": {}, "passive": {}}), "accepted");
    says(
        json!({"active": {"type": "udp", "timeout": 0, "concurrency": 0, "http_path": "a b"}}),
        "checks.active.type: expected one of \"http\", \"https\", \"tcp\"\n\
         checks.active.timeout: expected 0 to be greater than 0\n\
         checks.active.concurrency: expected 0 to be at least 1\n\
         checks.active.http_path: expected a path that begins with \"/\" and has no spaces",
    );
    says(
        json!({"active": {"req_headers": ["A: 1\r\nB: 2", "no colon"]}}),
        "checks.active.req_headers[0]: expected a header field, as in \"Name: value\"\n\
         checks.active.req_headers[1]: expected a header field, as in \"Name: value\"",
    );
    says(
        json!({"active": {"healthy": {"interval": 0, "http_statuses": [], "successes": 255}}}),
        "checks.active.healthy.interval: expected 0 to be at least 1\n\
         checks.active.healthy.http_statuses: expect array to have at least 1 items\n\
         checks.active.healthy.successes: expected 255 to be at most 254",
    );
    says(
        json!({"active": {"unhealthy": {"tcp_failures": 0}},
               "passive": {"unhealthy": {"tcp_failures": 0, "interval": 1}}}),
        "checks.passive.unhealthy.interval: unknown property\n\
         checks.active.unhealthy.tcp_failures: expected 0 to be at least 1",
    );
}

#[test]
fn bad_nodes_are_refused() {
    upstream_says(json!({"nodes": null}), "property \"nodes\" is required");
    upstream_says(json!({"nodes": {}}), "accepted");
    upstream_says(json!({"nodes": []}), "accepted");
    upstream_says(
        json!({"nodes": "x"}),
        "nodes: wrong type: expected object or array, got string",
    );
    let node = |weight: Value| json!({"nodes": {"127.0.0.1:80": weight}});
    let at = r#"nodes["127.0.0.1:80"]"#;
    upstream_says(
        node(json!(-1)),
        &format!("{at}: expected -1 to be at least 0"),
    );
    upstream_says(
        node(json!("1")),
        &format!("{at}: wrong type: expected integer, got string"),
    );
    upstream_says(
        node(json!(1.5)),
        &format!("{at}: wrong type: expected integer, got number"),
    );
    upstream_says(
        json!({"nodes": {"127.0.0.1:99999": 1}}),
        r#"nodes["127.0.0.1:99999"]: invalid port: expected a number from 1 to 65535"#,
    );
    upstream_says(
        json!({"nodes": {"::1": 1}}),
        r#"nodes["::1"]: an IPv6 address must stand in brackets here: "[::1]:80""#,
    );
    upstream_says(
        json!({"nodes": [{"host": "127.0.0.1", "port": 80}, {"port": 0, "weight": 1}]}),
        "nodes[0]: property \"weight\" is required\n\
         nodes[1]: property \"host\" is required\n\
         nodes[1].port: expected 0 to be at least 1",
    );
    upstream_says(
        json!({"nodes": [{"host": "a b", "port": 80, "weight": 1, "wieght": 2}]}),
        "nodes[0].host: expected an IP address or a domain name\n\
         nodes[0].wieght: unknown property, did you mean \"weight\"?",
    );
}

#[test]
fn bad_settings_of_an_upstream_are_refused() {
    let types = "type: expected one of \"roundrobin\", \"chash\", \"ewma\", \"least_conn\"";
    upstream_says(json!({"type": "nonsense"}), types);
    upstream_says(json!({"type": "chash"}), "missing key");
    upstream_says(json!({"type": "chash", "hash_on": "consumer"}), "accepted");
    upstream_says(json!({"type": "chash", "key": "arg_a-1"}), "accepted");
    upstream_says(
        json!({"type": "chash", "key": 5}),
        "key: wrong type: expected string, got number",
    );
    upstream_says(
        json!({"type": "chash", "key": "arg_"}),
        "key: expected a variable that a hash can go by: uri, request_uri, query_string, host, \
         hostname, remote_addr, remote_port, server_name, server_addr, mqtt_client_id or arg_NAME",
    );
    upstream_says(
        json!({"type": "chash", "hash_on": "cookie", "key": "a b"}),
        "key: expected a name of letters, digits, \"-\" and \"_\"",
    );
    upstream_says(
        json!({"type": "roundrobin", "key": "remote_addr"}),
        "accepted",
    );
    upstream_says(
        json!({"hash_on": "nonsense"}),
        "hash_on: expected one of \"vars\", \"header\", \"cookie\", \"consumer\", \
         \"vars_combinations\"",
    );
    upstream_says(
        json!({"scheme": "grpcs"}),
        "scheme: \"grpcs\" is not supported yet: use \"http\" or \"https\"",
    );
    upstream_says(
        json!({"pass_host": "rewrite"}),
        "`upstream_host` can't be empty when `pass_host` is `rewrite`",
    );
    upstream_says(
        json!({"pass_host": "keep"}),
        "pass_host: expected one of \"pass\", \"node\", \"rewrite\"",
    );
    upstream_says(
        json!({"pass_host": "rewrite", "upstream_host": "a b"}),
        "upstream_host: expected a host name, with a port or without",
    );
    upstream_says(
        json!({"retries": -1}),
        "retries: expected -1 to be at least 0",
    );
    upstream_says(
        json!({"timeout": {"read": 1, "send": 0}}),
        "timeout: property \"connect\" is required\n\
         timeout.send: expected 0 to be greater than 0",
    );
    upstream_says(
        json!({"timeout": {"connect": 1e12, "send": 1, "read": -1}}),
        "timeout.connect: expected 1000000000000 seconds to be at most 31536000\n\
         timeout.read: expected -1 to be at least 0",
    );
    upstream_says(
        json!({"keepalive_pool": {"size": 0}}),
        "keepalive_pool.size: expected 0 to be at least 1",
    );
}

#[test]
fn a_plugins_conf_is_an_object_and_is_not_shown() {
    route_says(
        json!({"plugins": {"key-auth": "s3cret"}}),
        "plugins.key-auth: wrong type: expected object, got string",
    );
    let made = Route::from_json(&route(json!({"plugins": {"key-auth": {"key": "s3cret"}}})));
    let shown = format!("{:?}", made.unwrap());
    assert!(
        shown.contains("key-auth") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn all_faults_of_all_resources_are_found_at_once() {
    let document = json!({
        "routes": [{"uri": 5, "plugins": {}}, 7, {"uri": "/a", "upstream": {"nodes": 1}}],
        "services": {"a": 1},
        "upstreams": [{"id": "u"}],
        "route": [],
    });
    assert_eq!(
        shown(Resources::from_json(&document)),
        "routes[0].uri: wrong type: expected string, got number\n\
         routes[1]: wrong type: expected object, got number\n\
         routes[2].upstream.nodes: wrong type: expected object or array, got number\n\
         services: wrong type: expected array, got object\n\
         upstreams[0]: property \"nodes\" is required\n\
         route: unknown property, did you mean \"routes\"?",
    );
}

/// What the references of such resources are found to be.
fn checked(resources: Value) -> Vec<String> {
    let resources = Resources::from_json(&resources).expect("resources");
    let found = resources.check_references().err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn ids_differ_within_their_kind() {
    let route = |id: &str| json!({"id": id, "uri": "/a", "service_id": "none"});
    let found = checked(json!({
        "routes": [route("a"), route("b"), route("a")],
        "services": [{"id": "a"}],
        "upstreams": [{"id": 2, "nodes": {}}, {"nodes": {}}, {"id": "2", "nodes": {}}],
    }));
    assert_eq!(
        found,
        [
            "route a: id: another route has the id a too",
            "upstream 2: id: another upstream has the id 2 too",
        ],
    );
}

#[test]
fn what_is_named_must_be_there() {
    let found = checked(json!({
        "routes": [
            {"id": "a", "uri": "/a", "service_id": "none"},
            {"id": "b", "uri": "/b", "upstream_id": 9},
            {"uri": "/c", "service_id": "s", "upstream_id": "2"},
        ],
        "services": [{"id": "s", "upstream_id": "gone"}],
        "upstreams": [{"id": 2, "nodes": {}}],
    }));
    assert_eq!(
        found,
        [
            "service s: upstream_id: there is no upstream with the id gone",
            "route a: service_id: there is no service with the id none",
            "route b: upstream_id: there is no upstream with the id 9",
        ],
    );
}

#[test]
fn a_certificate_of_an_upstream_comes_with_its_key() {
    let text = |size: usize| "x".repeat(size);
    upstream_says(
        json!({"tls": {"client_cert": text(200)}}),
        "tls: client_cert and client_key are required together",
    );
    upstream_says(
        json!({"tls": {"client_key": text(200), "client_cert": text(100), "verify": 1}}),
        "tls.verify: wrong type: expected boolean, got number\n\
         tls.client_cert: string too short, expected at least 128, got 100",
    );
    upstream_says(
        json!({"tls": {"client_cert": text(200), "client_key": text(200)}}),
        "tls.client_cert: expected a certificate in PEM",
    );
    upstream_says(
        json!({"tls": {"client_cert_id": "1 2", "verfy": true}}),
        "tls.client_cert_id: expected an id: 1 to 64 of the characters a-z A-Z 0-9 - _ .\n\
         tls.verfy: unknown property, did you mean \"verify\"?",
    );
    upstream_says(
        json!({"scheme": "https", "tls": {"verify": true}}),
        "accepted",
    );
}
