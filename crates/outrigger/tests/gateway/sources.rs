//! The same resources mean the same, wherever they come from.
//!
//! One set of resources of all kinds, and one table of requests. What is answered, and
//! what the upstream is sent, is compared between all sources, and with what it
//! should be.

use std::fs;

use outrigger_harness::{Authority, Etcd, Gateway, GatewayBuilder, Program, Upstream, eventually};
use serde_json::{Map, Value, json};

use crate::support::{OUTRIGGER, external, gateway, nodes, plugin};

/// Collections, so that what is named by others comes first.
const ORDER: [&str; 11] = [
    "ssls",
    "protos",
    "secrets",
    "upstreams",
    "services",
    "plugin_configs",
    "consumer_groups",
    "consumers",
    "plugin_metadata",
    "global_rules",
    "routes",
];

/// Every header that a request is answered with tells which resource made it.
fn set(headers: Value) -> Value {
    json!({"response-rewrite": {"headers": {"set": headers}}})
}

/// Resources of all kinds, each with an id, of which some are numbers.
fn resources(upstream: &Upstream, other: &Upstream) -> Value {
    let certified = Authority::new().certify("one.test");
    let by_array = json!([{"host": "127.0.0.1", "port": other.address().port(), "weight": 1}]);
    json!({
        "ssls": [{
            "id": "tls", "sni": "one.test", "cert": certified.certificate, "key": certified.key,
        }],
        "protos": [{"id": "p", "content": "syntax = \"proto3\";"}],
        "secrets": [{"id": "vault/1", "uri": "http://127.0.0.1:1", "prefix": "kv/a", "token": "t"}],
        "upstreams": [
            {"id": "one", "type": "roundrobin", "nodes": nodes(&[upstream])["nodes"], "name": "n"},
            {"id": 2, "nodes": by_array, "pass_host": "rewrite", "upstream_host": "up.test",
             "retries": 1, "timeout": {"connect": 5, "send": 5, "read": 5}},
        ],
        "services": [
            {"id": "s", "upstream_id": "one", "plugins": set(json!({"X-Service": "s"}))},
            {"id": "hosted", "upstream_id": 2, "hosts": ["*.svc.test"]},
        ],
        "plugin_configs": [{"id": "pc", "plugins": set(json!({"X-Shared": "pc"}))}],
        "consumer_groups": [{"id": "gold", "plugins": set(json!({"X-Group": "gold"}))}],
        "consumers": [
            {"username": "jack", "group_id": "gold", "labels": {"custom_id": "77"},
             "plugins": {"basic-auth": {"username": "jo", "password": "pw"}}},
            {"username": "jill", "plugins": {"key-auth": {"key": "jill-key"}}},
            {"id": "jack/credentials/c1", "plugins": {"key-auth": {"key": "jack-key"}}},
            {"id": "jack/credentials/c2", "plugins": {"key-auth": {"key": "$env://JACKS_KEY"}}},
        ],
        "plugin_metadata": [{"id": "cors", "anything": 1}],
        "global_rules": [
            {"id": 1, "plugins": {"ip-restriction": {"blacklist": ["203.0.113.0/24"]}}},
            {"id": "rule", "plugins": {"request-id": {"header_name": "X-Id", "algorithm": "uuid"}}},
        ],
        "routes": routes(),
    })
}

fn routes() -> Value {
    let say = |body: &str| external([plugin("say", json!({"body": body}))]);
    let rewrite = |way: &str| json!({"headers": {"set": {"X-Way": way}}});
    let way = |way: &str| json!({"proxy-rewrite": rewrite(way)});
    json!([
        {"id": 1, "uri": "/exact", "upstream_id": "one", "name": "exact", "plugins": way("exact")},
        {"id": "prefix", "uris": ["/p/*", "/q/*"], "upstream_id": 2, "plugins": way("prefix")},
        {"id": "named", "uri": "/user/:name/*rest", "upstream_id": "one", "plugins": {
            "proxy-rewrite": {"uri": "/$uri_param_name", "headers": {"set": {"X-Way": "named"}}}}},
        {"id": "host", "uri": "/h", "hosts": ["one.test", "*.wild.test"], "upstream_id": "one",
         "plugins": way("host")},
        {"id": "any-host", "uri": "/h", "upstream_id": "one", "plugins": way("any-host")},
        {"id": "get", "uri": "/m", "methods": ["GET"], "upstream_id": "one", "plugins": way("get")},
        {"id": "post", "uri": "/m", "methods": ["POST"], "upstream_id": "one",
         "plugins": way("post")},
        {"id": "low", "uri": "/v", "upstream_id": "one", "priority": 1, "plugins": way("low")},
        {"id": "high", "uri": "/v", "upstream_id": "one", "priority": 9, "plugins": way("high"),
         "vars": [["arg_a", "in", ["1", "2"]], ["http_x-b", "~~", "^b.*$"]]},
        {"id": "or", "uri": "/or", "upstream_id": "one", "plugins": way("or"),
         "vars": ["OR", ["arg_a", ">", 3], ["cookie_c", "==", "x"], ["arg_list", "!", "has", "z"]]},
        {"id": "far", "uri": "/far", "remote_addr": "203.0.113.0/24", "upstream_id": "one"},
        {"id": "near", "uri": "/near", "remote_addrs": ["127.0.0.0/8", "::1"],
         "upstream_id": "one"},
        {"id": "off", "uri": "/off", "status": 0, "upstream_id": "one"},
        {"id": "of-service", "uri": "/s", "service_id": "s", "plugin_config_id": "pc",
         "plugins": {"cors": {}}},
        {"id": "of-host", "uri": "/s", "service_id": "hosted"},
        {"id": "own", "uri": "/own", "plugins": way("own"),
         "upstream": {"nodes": {"127.0.0.1:1": 1}, "type": "roundrobin"}},
        {"id": "key", "uri": "/key", "service_id": "s", "plugins": {"key-auth": {}}},
        {"id": "basic", "uri": "/basic", "upstream_id": "one", "plugins": {
            "basic-auth": {}, "consumer-restriction": {"whitelist": ["jack"]}}},
        {"id": "say", "uri": "/say", "plugins": {"ext-plugin-pre-req": say("said by a runner")}},
        {"id": "meta", "uri": "/meta", "upstream_id": "one", "plugins": {
            "redirect": {"uri": "/to$uri", "ret_code": 302,
                         "_meta": {"filter": [["arg_go", "==", "1"]]}},
            "fault-injection": {"abort": {"http_status": 418}, "_meta": {"disable": true}}}},
        {"id": "teapot", "uri": "/teapot", "labels": {"a": "b"}, "desc": "${{HOME}} of tea",
         "plugins": {"fault-injection": {"abort": {"http_status": 418, "body": "short"}}}},
    ])
}

/// A request, and what should come of it in a word: which resource, or which status.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const REQUESTS: &[Row] = &[
    ("GET", "/exact?x=1", &[], "exact"),
    ("GET", "/exact/", &[], "404"),
    ("GET", "/p/a%20b", &[], "prefix"),
    ("GET", "/q/", &[], "prefix"),
    ("GET", "/user/jo/more/x", &[], "named"),
    ("GET", "/h", &[], "any-host"),
    ("GET", "/h", &[("Host", "one.test")], "host"),
    ("GET", "/h", &[("Host", "a.wild.test")], "host"),
    ("GET", "/m", &[], "get"),
    ("POST", "/m", &[], "post"),
    ("PUT", "/m", &[], "404"),
    ("GET", "/v?a=2", &[("X-B", "bb")], "high"),
    ("GET", "/v?a=3", &[("X-B", "bb")], "low"),
    ("GET", "/v?a=2", &[("X-B", "ab")], "low"),
    ("GET", "/or?a=4", &[], "or"),
    ("GET", "/or?a=1", &[("Cookie", "c=x")], "or"),
    ("GET", "/far", &[], "404"),
    ("GET", "/near", &[], "200"),
    ("GET", "/off", &[], "404"),
    ("GET", "/s", &[], "200"),
    ("GET", "/s", &[("Host", "a.svc.test")], "200"),
    ("OPTIONS", "/s", &[("Origin", "http://a.test")], "200"),
    ("GET", "/own", &[], "502"),
    ("GET", "/key", &[], "401"),
    ("GET", "/key", &[("apikey", "jill-key")], "200"),
    ("GET", "/key", &[("apikey", "jack-key")], "200"),
    ("GET", "/key", &[("apikey", "of-environment")], "200"),
    ("GET", "/key", &[("apikey", "$env://JACKS_KEY")], "401"),
    (
        "GET",
        "/basic",
        &[("Authorization", "Basic am86cHc=")],
        "200",
    ),
    (
        "GET",
        "/basic",
        &[("Authorization", "Basic am86d3I=")],
        "401",
    ),
    ("GET", "/say", &[], "200"),
    ("GET", "/meta", &[], "200"),
    ("GET", "/meta?go=1", &[], "302"),
    ("GET", "/teapot", &[], "418"),
];

/// What comes of every request of the table, as text.
fn behaviour(gateway: &Gateway, upstreams: [&Upstream; 2]) -> Vec<String> {
    let hits = || upstreams.map(Upstream::hits);
    let mut told = Vec::new();
    for (method, target, headers, expected) in REQUESTS {
        let before = hits();
        let mut request = gateway.request(method, target).host("localhost");
        for (name, value) in *headers {
            request = match *name {
                "Host" => request.host(value),
                name => request.header(name, value),
            };
        }
        let response = request.send();
        let mut lines = vec![format!(
            "{method} {target} {headers:?}: {}",
            response.status
        )];
        let own = response.headers.iter();
        lines.extend(own.map(|header| format!("  {}: {}", header.name(), header.text())));
        let after = hits();
        let reached = (0..2).find(|&index| after[index] > before[index]);
        let seen = reached.map(|index| (index, upstreams[index].last()));
        let way = seen.as_ref().and_then(|(_, seen)| seen.header("x-way"));
        let said = way.map_or_else(|| response.status.to_string(), str::to_owned);
        assert_eq!(said, *expected, "{method} {target} {headers:?}: {lines:?}");
        if seen.is_none() {
            lines.push(format!("  {}", String::from_utf8_lossy(&response.body)));
        }
        if let Some((index, seen)) = &seen {
            // The upstream answers with what it was sent, which is told here.
            lines.retain(|line| !line.starts_with("  content-length"));
            lines.push(format!("  upstream {index}: {} {}", seen.method, seen.uri));
            let sent = seen.headers.iter();
            lines.extend(sent.map(|header| format!("    {}: {}", header.name(), header.text())));
        }
        lines.retain(|line| !differs_each_time(line));
        told.push(lines.join("\n"));
    }
    told
}

fn differs_each_time(line: &str) -> bool {
    let name = line.trim_start().split(':').next().unwrap_or_default();
    ["date", "x-id", "x-forwarded-port"].contains(&name.to_ascii_lowercase().as_str())
}

/// A gateway for these resources, but for where they come from.
fn builder() -> GatewayBuilder {
    gateway()
        .config(json!({
            "apisix": {"router": {"http": "radixtree_uri_with_parameter"}},
            "ext-plugin": {"cmd": [OUTRIGGER, "demo-runner"]},
        }))
        .env("JACKS_KEY", "of-environment")
}

fn provider(name: &str) -> Value {
    let role = json!({"role": "data_plane", "role_data_plane": {"config_provider": name}});
    json!({"deployment": role})
}

/// Writes every resource through the Admin API.
fn put_all(gateway: &Gateway, resources: &Value) {
    for collection in ORDER {
        for resource in resources[collection].as_array().unwrap() {
            let mut resource = resource.as_object().unwrap().clone();
            let path = path(collection, &mut resource);
            let put = gateway.admin("PUT", &path).json(&Value::Object(resource));
            let response = put.send();
            assert_eq!(response.status, 201, "{path}: {response:?}");
        }
    }
}

/// Where the Admin API takes a resource, which loses an id that stands there too.
fn path(collection: &str, resource: &mut Map<String, Value>) -> String {
    match resource.remove("id") {
        Some(Value::String(id)) => format!("{collection}/{id}"),
        Some(id) => format!("{collection}/{id}"),
        None => collection.to_owned(),
    }
}

#[test]
fn the_same_resources_behave_the_same_whatever_their_source() {
    let (one, two) = (Upstream::echo(), Upstream::echo());
    let resources = resources(&one, &two);
    let of = |gateway: &Gateway| behaviour(gateway, [&one, &two]);

    let yaml = builder().routes(&resources).start();
    let expected = of(&yaml);
    let json = builder()
        .config(provider("json"))
        .file("apisix.json", resources.to_string())
        .start();
    same("apisix.json", &of(&json), &expected);

    let store = builder().traditional().start();
    put_all(&store, &resources);
    same("the store", &of(&store), &expected);

    // Carried from the store to another one, which runs.
    let carried = builder().traditional().start();
    let (from, to) = (store.folder(), carried.folder());
    let file = to.join("carried.yaml");
    outrigger(&["export", "-o", file.to_str().unwrap()], from);
    outrigger(&["import", file.to_str().unwrap()], to);
    same("an import", &of(&carried), &expected);
    // And to a file, as it is.
    let exported = fs::read_to_string(&file).unwrap();
    let file = builder().routes(exported.as_str()).start();
    same("an export as apisix.yaml", &of(&file), &expected);
}

/// A gateway on the resources below `prefix` in an etcd.
fn of_etcd(etcd: &Etcd, prefix: &str, role: &str) -> GatewayBuilder {
    let key = json!({"name": "admin", "key": "a-key-of-tests", "role": "admin"});
    let mut deployment = json!({
        "role": role,
        "etcd": {"host": [etcd.url()], "prefix": prefix, "timeout": 10},
    });
    match role {
        "data_plane" => deployment["role_data_plane"] = json!({"config_provider": "etcd"}),
        _ => deployment["admin"] = json!({"admin_listen": {"port": 0}, "admin_key": [key]}),
    }
    builder().config(json!({"deployment": deployment}))
}

/// Every resource as APISIX writes it into etcd.
fn as_apisix_writes(prefix: &str, resources: &Value) -> Vec<(String, String)> {
    let mut written = Vec::new();
    for collection in ORDER {
        for resource in resources[collection].as_array().unwrap() {
            let mut resource = resource.as_object().unwrap().clone();
            let path = match path(collection, &mut resource) {
                path if path == collection => {
                    format!("{path}/{}", resource["username"].as_str().unwrap())
                }
                path => path,
            };
            if resource.get("username").is_none() {
                let id = match collection {
                    "secrets" => path.trim_start_matches("secrets/"),
                    _ => path.rsplit('/').next().unwrap(),
                };
                resource.insert("id".to_owned(), id.into());
            }
            resource.insert("create_time".to_owned(), 1_700_000_000.into());
            resource.insert("update_time".to_owned(), 1_700_000_001.into());
            let value = Value::Object(resource).to_string();
            written.push((format!("{prefix}/{path}"), value));
        }
    }
    written
}

#[test]
fn the_same_resources_in_an_etcd_behave_the_same() {
    let Some(etcd) = Etcd::start() else { return };
    let (one, two) = (Upstream::echo(), Upstream::echo());
    let resources = resources(&one, &two);
    let of = |gateway: &Gateway| behaviour(gateway, [&one, &two]);
    let expected = of(&builder().routes(&resources).start());

    etcd.put_all(as_apisix_writes("/apisix", &resources));
    let read = of_etcd(&etcd, "/apisix", "data_plane").start();
    same("what APISIX wrote", &of(&read), &expected);

    // Written through the Admin API of one gateway, read by it and by another one.
    let writer = of_etcd(&etcd, "/ours", "traditional").start();
    put_all(&writer, &resources);
    same("the gateway that wrote", &of(&writer), &expected);
    let reader = of_etcd(&etcd, "/ours", "data_plane").start();
    same("another gateway", &of(&reader), &expected);

    // Carried from there to where a gateway follows.
    let follower = of_etcd(&etcd, "/carried", "traditional").start();
    let file = writer.folder().join("carried.json");
    outrigger(&["export", "-o", file.to_str().unwrap()], writer.folder());
    outrigger(&["import", file.to_str().unwrap()], follower.folder());
    eventually("the last of it has arrived", || {
        let all = follower.admin("GET", "routes").send().json();
        all["total"] == json!(resources["routes"].as_array().unwrap().len())
    });
    eventually("requests run on it", || {
        follower.get("/teapot").send().status == 418
    });
    same("an import", &of(&follower), &expected);
}

#[track_caller]
fn same(source: &str, got: &[String], expected: &[String]) {
    for (got, expected) in got.iter().zip(expected) {
        assert_eq!(got, expected, "{source}");
    }
}

#[track_caller]
fn outrigger(args: &[&str], folder: &std::path::Path) {
    let config = folder.join("config.yaml");
    let command = Program::new(OUTRIGGER).args(args).arg("-c").arg(config);
    let exit = command.env("JACKS_KEY", "of-environment").run();
    assert_eq!(exit.status.code(), Some(0), "{args:?}: {exit:?}");
}
