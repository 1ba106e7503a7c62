//! The Admin API and the store behind it, as far as the recorded scenarios do not
//! tell.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use outrigger_harness::{Client, Gateway, Program, Response, Running, Upstream, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::runners::Scripted;
use crate::support::{OUTRIGGER, external, gateway, nodes, plugin, route, with};

fn put(gateway: &Gateway, path: &str, body: &Value) -> Response {
    gateway.admin("PUT", path).json(body).send()
}

#[track_caller]
fn must_put(gateway: &Gateway, path: &str, body: &Value) {
    let response = put(gateway, path, body);
    assert!(matches!(response.status, 200 | 201), "{path}: {response:?}");
}

/// A gateway that keeps its resources in a folder which outlives it.
struct Kept {
    folder: TempDir,
}

const KEY: &str = "kept";

impl Kept {
    fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sockets = folder.path().display();
        let config = format!(
            "apisix: {{node_listen: [{{ip: 127.0.0.1, port: 0}}], control: {{port: 0}}}}\n\
             outrigger: {{workers: 1, runtime_dir: {sockets}}}\n\
             plugin_attr: {{prometheus: {{export_addr: {{port: 0}}}}}}\n\
             {more}\n"
        );
        fs::write(folder.path().join("config.yaml"), config).unwrap();
        Self { folder }
    }

    /// One with a key that everybody knows.
    fn with_key() -> Self {
        Self::with(&format!(
            "deployment: {{admin: {{admin_listen: {{port: 0}}, admin_key: [{{key: {KEY}}}]}}}}"
        ))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&self) -> Started {
        self.start_as(Program::new(OUTRIGGER))
    }

    fn start_as(&self, program: Program) -> Started {
        let config = self.path().join("config.yaml");
        let running = program.arg("run").arg("-c").arg(config).start();
        let address = |what: &str| {
            let line = running.stderr().wait(what);
            let url = line.split_once("http://").unwrap().1.to_owned();
            Client::new(url.trim().parse().unwrap())
        };
        Started {
            admin: address("Admin API: http://"),
            data: address("listening on http://"),
            running,
        }
    }
}

struct Started {
    running: Running,
    admin: Client,
    data: Client,
}

impl Started {
    fn call(&self, key: &str, method: &str, path: &str, body: Option<&Value>) -> Response {
        let target = format!("/apisix/admin/{path}");
        let request = self.admin.request(method, &target).header("X-API-KEY", key);
        match body {
            Some(body) => request.json(body).send(),
            None => request.send(),
        }
    }
}

#[test]
fn a_change_is_in_effect_when_it_is_answered() {
    let upstream = Upstream::echo();
    let gateway = gateway().traditional().start();
    for version in 0..20 {
        let mark = json!({"headers": {"set": {"X-Version": version.to_string()}}});
        let plugins = json!({"plugins": {"proxy-rewrite": mark}});
        must_put(
            &gateway,
            "routes/1",
            &with(route("/*", nodes(&[&upstream])), plugins),
        );
        gateway.get("/").send();
        assert_eq!(
            upstream.last().header("x-version"),
            Some(version.to_string().as_str())
        );
    }
    assert_eq!(gateway.admin("DELETE", "routes/1").send().status, 200);
    assert_eq!(gateway.get("/").send().status, 404);
}

#[test]
fn changes_under_load_cost_no_request() {
    let upstream = Upstream::echo();
    let gateway = gateway().traditional().start();
    let to_upstream = route("/*", nodes(&[&upstream]));
    // A version says its number in every part of a route that a request passes.
    let of_version = |version: usize| {
        let number = version.to_string();
        let plugins = json!({
            "proxy-rewrite": {"headers": {"set": {"X-Version": number}}},
            "response-rewrite": {"headers": {"set": {"X-Version": number}}},
        });
        let upstream = json!({
            "nodes": nodes(&[&upstream])["nodes"],
            "pass_host": "rewrite",
            "upstream_host": format!("version-{version}.test"),
        });
        with(
            to_upstream.clone(),
            json!({"plugins": plugins, "upstream": upstream}),
        )
    };
    must_put(&gateway, "routes/1", &of_version(0));
    let client = gateway.client();
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // A failed assertion of the changes must not leave the others asking on and on.
        let _stop = OnDrop(|| stop.store(true, Ordering::Relaxed));
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = client.connection();
                let mut newest = 0;
                while !stop.load(Ordering::Relaxed) {
                    let version = version_of(&connection.get("/anything").send());
                    assert!(version >= newest, "{version} after {newest}");
                    newest = version;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for change in 1..=200 {
            must_put(&gateway, "routes/1", &of_version(change));
            must_put(
                &gateway,
                &format!("routes/more-{}", change % 7),
                &to_upstream,
            );
            let seen = version_of(&client.get("/anything").send());
            assert_eq!(seen, change, "it is live when it is answered");
        }
        let so_far = answered.load(Ordering::Relaxed);
        eventually("more requests", || {
            answered.load(Ordering::Relaxed) > so_far + 20
        });
    });
}

/// The version of the route that a request has passed, in all of its parts.
fn version_of(response: &Response) -> usize {
    assert_eq!(response.status, 200, "{response:?}");
    let received = response.json();
    let headers = received["headers"].as_array().unwrap().iter();
    let header = |name: &str| {
        let mut headers = headers.clone();
        let found = headers.find(|it| it[0].as_str().unwrap().eq_ignore_ascii_case(name));
        found.unwrap()[1].as_str().unwrap().to_owned()
    };
    let version = header("x-version");
    assert_eq!(
        header("host"),
        format!("version-{version}.test"),
        "a mixture"
    );
    assert_eq!(
        response.header("x-version"),
        Some(version.as_str()),
        "a mixture"
    );
    version.parse().unwrap()
}

/// Does something when it is dropped.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// How often the gateway is killed, unless the environment says.
const KILLS: usize = 10;

/// Tells how often, for longer checks.
const KILLS_VARIABLE: &str = "OUTRIGGER_KILLS";

#[test]
fn what_was_answered_survives_a_kill() {
    let kept = Kept::with_key();
    let rounds = std::env::var(KILLS_VARIABLE).ok();
    let rounds = rounds.map_or(KILLS, |rounds| rounds.parse().unwrap());
    let mut acknowledged = 0;
    for round in 0..rounds {
        let gateway = kept.start();
        let listed = gateway.call(KEY, "GET", "routes", None).json();
        assert!(
            listed["total"].as_u64().unwrap() >= acknowledged,
            "{listed}"
        );
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let mut written = 0;
                loop {
                    let path = format!("/apisix/admin/routes/r-{round}-{written}");
                    let request = gateway.admin.request("PUT", &path).header("X-API-KEY", KEY);
                    let body = json!({"uri": format!("/{round}/{written}"), "plugins": {}});
                    match request.json(&body).try_send() {
                        Ok(response) if response.status == 201 => written += 1,
                        Ok(response) => panic!("{response:?}"),
                        Err(_) => return written,
                    }
                }
            });
            let before = acknowledged;
            eventually("some were written", || {
                let listed = gateway.call(KEY, "GET", "routes", None).json();
                listed["total"].as_u64().unwrap() > before + 5
            });
            gateway.running.kill();
            acknowledged += writing.join().unwrap();
        });
    }
    let gateway = kept.start();
    let listed = gateway.call(KEY, "GET", "routes", None).json();
    // The one on its way when the gateway was killed may be there or not.
    let total = listed["total"].as_u64().unwrap();
    assert!(
        (acknowledged..=acknowledged + rounds as u64).contains(&total),
        "{total} of {acknowledged}"
    );
    assert_eq!(
        gateway.data.get("/0/0").send().status,
        503,
        "it has no upstream"
    );
}

#[test]
fn a_full_disk_refuses_changes_and_loses_none() {
    let kept = Kept::with_key();
    // No file may grow beyond 8 MiB (in units of 512 bytes), and whoever tries is
    // told so instead of killed.
    let limited =
        Program::new("sh").args(["-c", "trap '' XFSZ; ulimit -f 16384; exec \"$@\"", "sh"]);
    let gateway = kept.start_as(limited.arg(OUTRIGGER));
    let long = plugin("a", json!("x".repeat(1_000_000)));
    let body = json!({"uri": "/a", "plugins": {"ext-plugin-pre-req": external([long])}});
    let mut acknowledged = 0;
    let refused = loop {
        let path = format!("routes/{acknowledged}");
        let response = gateway.call(KEY, "PUT", &path, Some(&body));
        match response.status {
            201 if acknowledged < 64 => acknowledged += 1,
            _ => break response,
        }
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(
        refused.text().contains("the store cannot write"),
        "{refused:?}"
    );
    assert!(acknowledged > 0);
    let total =
        |gateway: &Started| gateway.call(KEY, "GET", "routes", None).json()["total"].clone();
    assert_eq!(total(&gateway), acknowledged);
    assert_eq!(
        gateway.data.get("/a").send().status,
        503,
        "routes are served on"
    );
    gateway.running.kill();

    let gateway = kept.start();
    assert_eq!(total(&gateway), acknowledged);
    let response = gateway.call(KEY, "PUT", "routes/more", Some(&body));
    assert_eq!(response.status, 201, "{response:?}");
}

#[test]
fn without_a_key_one_is_made_up_and_never_is_the_door_open() {
    let kept = Kept::with("deployment: {admin: {admin_listen: {port: 0}}}");
    let shown = "The key of the Admin API, shown this once: ";
    let gateway = kept.start();
    let line = gateway.running.stderr().wait(shown);
    let key = line.split_once(shown).unwrap().1.trim().to_owned();
    assert_eq!(key.len(), 32, "{key}");
    let file = kept.path().join("data/admin.key");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(gateway.call(&key, "GET", "routes", None).status, 200);
    for wrong in ["", "edd1c9f034335f136f87ad84b625c8f1"] {
        let refused = gateway.call(wrong, "GET", "routes", None);
        assert_eq!(refused.status, 401, "{wrong}");
        assert_eq!(refused.json()["error_msg"], "failed to check token");
    }
    assert_eq!(gateway.admin.get("/apisix/admin/routes").send().status, 401);
    gateway.running.kill();

    let gateway = kept.start();
    assert_eq!(gateway.call(&key, "GET", "routes", None).status, 200);
    assert!(gateway.running.stderr().containing(shown).is_empty());
}

#[test]
fn a_viewer_looks_and_changes_nothing() {
    let key = json!([{"key": "all"}, {"key": "look", "role": "viewer"}]);
    let kept = Kept::with(&format!(
        "deployment: {{admin: {{admin_listen: {{port: 0}}, admin_key: {key}}}}}"
    ));
    let gateway = kept.start();
    let body = json!({"uri": "/a", "plugins": {}});
    assert_eq!(
        gateway.call("look", "PUT", "routes/1", Some(&body)).status,
        401
    );
    assert_eq!(
        gateway.call("all", "PUT", "routes/1", Some(&body)).status,
        201
    );
    assert_eq!(gateway.call("look", "GET", "routes/1", None).status, 200);
    assert_eq!(gateway.call("look", "DELETE", "routes/1", None).status, 401);
}

#[test]
fn addresses_that_are_not_allowed_get_nothing() {
    let kept = Kept::with(&format!(
        "deployment: {{admin: {{admin_listen: {{port: 0}}, allow_admin: [10.0.0.0/8], \
         admin_key: [{{key: {KEY}}}]}}}}"
    ));
    let gateway = kept.start();
    assert_eq!(gateway.call(KEY, "GET", "routes", None).status, 403);
}

#[test]
fn a_second_gateway_on_one_store_does_not_start() {
    let kept = Kept::with_key();
    let _first = kept.start();
    let config = kept.path().join("config.yaml");
    let exit = Program::new(OUTRIGGER)
        .arg("run")
        .arg("-c")
        .arg(config)
        .run();
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    assert!(
        exit.stderr.contains("is used by another gateway"),
        "{exit:?}"
    );
}

#[test]
fn a_resource_with_a_time_to_live_goes() {
    let gateway = gateway().traditional().start();
    must_put(
        &gateway,
        "routes/brief?ttl=0.2",
        &json!({"uri": "/a", "plugins": {}}),
    );
    eventually("it is gone", || gateway.get("/a").send().status == 404);
    assert_eq!(gateway.admin("GET", "routes/brief").send().status, 404);
}

#[test]
fn two_consumers_cannot_have_one_key() {
    let upstream = Upstream::echo();
    let gateway = gateway().traditional().start();
    let with_key =
        |name: &str, key: &str| json!({"username": name, "plugins": {"key-auth": {"key": key}}});
    must_put(&gateway, "consumers", &with_key("zed", "one"));
    // Whoever comes first by name.
    let refused = put(&gateway, "consumers", &with_key("abe", "one"));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(
        refused.text().contains("is known by the same"),
        "{refused:?}"
    );
    must_put(&gateway, "consumers", &with_key("abe", "two"));
    let credential = json!({"plugins": {"key-auth": {"key": "one"}}});
    let refused = put(&gateway, "consumers/abe/credentials/c1", &credential);
    assert_eq!(refused.status, 400, "{refused:?}");
    let credential = json!({"plugins": {"key-auth": {"key": "three"}}});
    must_put(&gateway, "consumers/abe/credentials/c1", &credential);

    let plugins = json!({"plugins": {"key-auth": {}}});
    must_put(
        &gateway,
        "routes/1",
        &with(route("/*", nodes(&[&upstream])), plugins),
    );
    for (key, consumer) in [("one", "zed"), ("two", "abe"), ("three", "abe")] {
        let response = gateway.get("/").header("apikey", key).send();
        assert_eq!(response.status, 200, "{key}: {response:?}");
        assert_eq!(
            upstream.last().header("x-consumer-username"),
            Some(consumer)
        );
    }
    assert_eq!(
        gateway
            .admin("DELETE", "consumers/abe/credentials/c1")
            .send()
            .status,
        200
    );
    assert_eq!(
        gateway.get("/").header("apikey", "three").send().status,
        401
    );
}

#[test]
fn a_reload_that_would_break_a_route_is_refused() {
    let runner = Scripted::start();
    let named = json!({"ext-plugin": {"runners": {"mine": {"path": runner.path()}}}});
    let gateway = gateway().traditional().config(&named).start();
    let call = with(
        external([plugin("a", json!({}))]),
        json!({"runner": "mine"}),
    );
    let uses = json!({"uri": "/a", "plugins": {"ext-plugin-pre-req": call}});
    must_put(&gateway, "routes/1", &uses);
    let mut unknown = uses.clone();
    unknown["plugins"]["ext-plugin-pre-req"]["runner"] = json!("other");
    let refused = put(&gateway, "routes/2", &unknown);
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("there is no runner of this name"),
        "{refused:?}"
    );

    let config = fs::read_to_string(gateway.folder().join("config.yaml")).unwrap();
    fs::write(
        gateway.folder().join("config.yaml"),
        config.replace("mine", "gone"),
    )
    .unwrap();
    let reload = gateway.control().post("/v1/reload").send();
    assert_eq!(reload.status, 400, "{reload:?}");
    assert!(reload.text().contains("routes/1: "), "{reload:?}");
}

#[test]
fn what_can_be_told_before_it_is_kept_is_told() {
    let gateway = gateway().traditional().start();
    for (path, body, expected) in [
        (
            "routes/1",
            json!({"uri": "/a", "plugins": {}, "create_time": 1}),
            "the property is forbidden: create_time",
        ),
        (
            "routes/1",
            json!({"uri": "/a", "plugins": {}, "id": "2"}),
            "wrong route id",
        ),
        (
            "secrets/vault/1",
            json!({"uri": "x"}),
            "property \"uri\" validation failed: failed to match pattern",
        ),
        ("secrets/1", json!({"uri": "x"}), "missing secret id"),
        ("protos/1", json!({}), "property \"content\" is required"),
        (
            "routes/1",
            json!({"uri": "/a", "plugins": {"ext-plugin-pre-req": {"conf": [{"name": "a"}]}}}),
            "failed to check the configuration of plugin ext-plugin-pre-req err: property \"conf\" \
             validation failed: failed to validate item 1: property \"value\" is required",
        ),
    ] {
        let refused = put(&gateway, path, &body);
        assert!(refused.status >= 400, "{path}: {refused:?}");
        assert!(
            refused.text().contains(&expected.replace('"', "\\\"")),
            "{refused:?}"
        );
    }
    let broken = gateway.admin("PUT", "routes/1").body("{\"uri\": }").send();
    assert_eq!(broken.status, 400);
    assert!(
        broken.text().contains("invalid request body: "),
        "{broken:?}"
    );
    let long = gateway
        .admin("PUT", "routes/1")
        .body(vec![b' '; 2 << 20])
        .send();
    assert_eq!(long.status, 413);
    assert_eq!(gateway.admin("GET", "routes").send().json()["total"], 0);

    let valid = gateway.admin("POST", "schema/validate/routes");
    assert_eq!(
        valid
            .json(&json!({"uri": "/a", "plugins": {}}))
            .send()
            .status,
        200
    );
    let invalid = gateway.admin("POST", "schema/validate/routes");
    let invalid = invalid.json(&json!({"uri": 5})).send();
    assert_eq!(invalid.status, 400);
    assert_eq!(
        invalid.json()["error_msg"],
        "property \"uri\" validation failed: wrong type: expected string, got number"
    );
}

#[test]
fn lists_are_filtered() {
    let gateway = gateway().traditional().start();
    let route = |name: &str, uri: &str, team: &str| json!({"name": name, "uri": uri, "labels": {"team": team}, "plugins": {}});
    must_put(&gateway, "routes/1", &route("shop-a", "/shop", "red"));
    must_put(&gateway, "routes/2", &route("shop-b", "/b", "blue"));
    must_put(&gateway, "routes/3", &route("other", "/other", "blue"));
    for (query, ids) in [
        ("name=shop", vec!["1", "2"]),
        ("uri=shop", vec!["1"]),
        ("label=team", vec!["1", "2", "3"]),
        ("label=team:blue", vec!["2", "3"]),
        ("name=shop&label=team:blue", vec!["2"]),
        ("filter=name%3Dother", vec!["3"]),
        ("name=none", vec![]),
    ] {
        let listed = gateway
            .admin("GET", &format!("routes?{query}"))
            .send()
            .json();
        let list = listed["list"].as_array().unwrap();
        let found: Vec<_> = list
            .iter()
            .map(|item| item["value"]["id"].as_str().unwrap())
            .collect();
        assert_eq!(found, ids, "{query}");
        assert_eq!(listed["total"], ids.len(), "{query}");
    }
}

#[test]
fn an_id_is_given_to_what_is_posted() {
    let gateway = gateway().traditional().start();
    let post = || {
        let posted = gateway.admin("POST", "routes");
        let posted = posted.json(&json!({"uri": "/a", "plugins": {}})).send();
        assert_eq!(posted.status, 201, "{posted:?}");
        posted.json()["value"]["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (post(), post());
    assert!(first < second && first.len() == 20, "{first}, {second}");
    assert_eq!(gateway.admin("GET", "routes").send().json()["total"], 2);
}

#[test]
fn pages_may_use_it_with_a_key_unless_that_is_switched_off() {
    let gateway = gateway().traditional().start();
    let preflight = gateway
        .admin_api()
        .request("OPTIONS", "/apisix/admin/routes")
        .send();
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    let kept =
        Kept::with("deployment: {admin: {admin_listen: {port: 0}, enable_admin_cors: false}}");
    let closed = kept.start();
    let preflight = closed
        .admin
        .request("OPTIONS", "/apisix/admin/routes")
        .send();
    assert_eq!(preflight.header("access-control-allow-origin"), None);
}
