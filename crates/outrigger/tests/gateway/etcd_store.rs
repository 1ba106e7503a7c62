//! etcd as the store: shared by gateways and by whatever else writes APISIX's
//! keys, lost and found again. Against a real etcd.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use outrigger_harness::{
    Authority, Etcd, Gateway, GatewayBuilder, Program, Response, Signal, Traffic, Upstream,
    eventually, together,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{OUTRIGGER, gateway, nodes, route, with};

/// The key of the Admin API that the harness shows.
const KEY: &str = "a-key-of-tests";

/// Waits on the gateway's side are short: what is waited for are processes of this machine.
fn etcd_at(url: &str) -> Value {
    json!({"host": [url], "timeout": 10, "resync_delay": 1, "health_check_timeout": 1})
}

fn deployment(role: &str, etcd: &Value) -> Value {
    let key = json!({"name": "admin", "key": KEY, "role": "admin"});
    let admin = json!({"admin_listen": {"port": 0}, "admin_key": [key]});
    match role {
        "data_plane" => json!({
            "role": role, "role_data_plane": {"config_provider": "etcd"}, "etcd": etcd,
        }),
        _ => json!({"role": role, "admin": admin, "etcd": etcd}),
    }
}

/// A gateway with the Admin API that keeps its resources in `etcd`.
fn traditional(etcd: &Value) -> GatewayBuilder {
    gateway().config(json!({"deployment": deployment("traditional", etcd)}))
}

fn data_plane(etcd: &Value) -> GatewayBuilder {
    gateway().config(json!({"deployment": deployment("data_plane", etcd)}))
}

/// A data folder that outlives gateways.
struct Data(TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The gateway with this folder.
    fn of(&self, builder: GatewayBuilder) -> GatewayBuilder {
        let folder = self.0.path();
        builder.config(json!({
            "outrigger": {"workers": 1, "runtime_dir": folder, "data_dir": folder.join("data")},
        }))
    }

    fn snapshot(&self) -> PathBuf {
        self.0.path().join("data/etcd.snapshot")
    }

    #[track_caller]
    fn wait_snapshot(&self, text: &str) {
        eventually("the snapshot is written", || {
            fs::read_to_string(self.snapshot()).is_ok_and(|found| found.contains(text))
        });
    }
}

#[track_caller]
fn must_put(gateway: &Gateway, path: &str, body: &Value) -> Response {
    let response = gateway.admin("PUT", path).json(body).send();
    assert!(matches!(response.status, 200 | 201), "{path}: {response:?}");
    response
}

#[track_caller]
fn eventually_status(gateway: &Gateway, target: &str, status: u16) {
    eventually(&format!("{target} is answered {status}"), || {
        gateway.get(target).send().status == status
    });
}

/// A route as APISIX writes one into etcd.
fn as_apisix_writes(id: &str, uri: &str, upstream: &Upstream) -> String {
    json!({
        "id": id, "uri": uri, "priority": 0, "status": 1,
        "create_time": 1_700_000_000, "update_time": 1_700_000_001,
        "upstream": {
            "type": "roundrobin", "scheme": "http", "pass_host": "pass", "hash_on": "vars",
            "nodes": {upstream.node(): 1},
        },
    })
    .to_string()
}

#[test]
fn what_one_gateway_writes_another_serves() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let settings = etcd_at(&etcd.url());
    let writer = traditional(&settings).start();
    let reader = data_plane(&settings).start();
    let planned = route("/a", nodes(&[&upstream]));
    let created = must_put(&writer, "routes/1", &planned);
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["key"], "/apisix/routes/1");
    // Whoever wrote it sees it at once.
    assert_eq!(writer.get("/a").send().status, 200);
    eventually_status(&reader, "/a", 200);

    let shown = writer.admin("GET", "routes/1").send().json();
    assert_eq!(shown["createdIndex"], shown["modifiedIndex"]);
    must_put(&writer, "routes/1", &route("/b", nodes(&[&upstream])));
    eventually_status(&reader, "/b", 200);
    eventually_status(&reader, "/a", 404);
    let changed = writer.admin("GET", "routes/1").send().json();
    assert_eq!(changed["createdIndex"], shown["createdIndex"]);
    assert!(changed["modifiedIndex"].as_u64() > shown["modifiedIndex"].as_u64());

    assert_eq!(writer.admin("DELETE", "routes/1").send().status, 200);
    eventually_status(&reader, "/b", 404);
    assert_eq!(etcd.keys("/apisix/routes/"), Vec::<String>::new());
}

#[test]
fn keys_and_values_are_those_of_apisix() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let gateway = traditional(&etcd_at(&etcd.url())).start();
    must_put(&gateway, "routes/1", &route("/a", nodes(&[&upstream])));
    must_put(&gateway, "upstreams/u", &nodes(&[&upstream]));
    must_put(&gateway, "consumers", &json!({"username": "jack"}));
    let key = json!({"plugins": {"key-auth": {"key": "in-the-open"}}});
    must_put(&gateway, "consumers/jack/credentials/c1", &key);
    assert_eq!(
        etcd.keys("/apisix/"),
        [
            "/apisix/consumers/jack",
            "/apisix/consumers/jack/credentials/c1",
            "/apisix/routes/1",
            "/apisix/upstreams/u",
        ]
    );
    let stored: Value = serde_json::from_str(&etcd.get("/apisix/routes/1").unwrap()).unwrap();
    assert_eq!(stored["id"], "1");
    assert_eq!(stored["create_time"], stored["update_time"]);
    assert!(stored["create_time"].as_u64().unwrap() > 1_700_000_000);
    // Secrets lie there as APISIX puts them.
    let credential = etcd.get("/apisix/consumers/jack/credentials/c1").unwrap();
    assert!(credential.contains("key-auth") && !credential.contains("in-the-open"));
}

#[test]
fn what_apisix_has_written_is_served() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    // Before the gateway starts: directories, instances, other kinds, damage.
    etcd.put("/apisix/routes/", "init_dir");
    etcd.put("/apisix/data_plane/server_info/5ff9", "{\"id\": \"5ff9\"}");
    etcd.put("/apisix/plugins", "[{\"name\": \"limit-count\"}]");
    etcd.put("/apisix/stream_routes/1", "{\"id\": \"1\"}");
    etcd.put("/apisix/routes/broken", "{\"uri\": ");
    etcd.put(
        "/apisix/routes/1",
        &as_apisix_writes("1", "/before", &upstream),
    );
    etcd.put(
        "/other/routes/2",
        &as_apisix_writes("2", "/other", &upstream),
    );
    let gateway = traditional(&etcd_at(&etcd.url())).start();
    assert_eq!(gateway.get("/before").send().status, 200);
    assert_eq!(gateway.get("/other").send().status, 404);
    gateway.wait_log("passed over: stream_routes");
    gateway.wait_log("routes/broken is left out");
    // While it runs.
    etcd.put(
        "/apisix/routes/3",
        &as_apisix_writes("3", "/meanwhile", &upstream),
    );
    eventually_status(&gateway, "/meanwhile", 200);
    etcd.put("/apisix/routes/1", "no json either");
    eventually_status(&gateway, "/before", 404);
    assert_eq!(gateway.get("/meanwhile").send().status, 200);
    // What is broken can be written anew.
    must_put(&gateway, "routes/1", &route("/mended", nodes(&[&upstream])));
    assert_eq!(gateway.get("/mended").send().status, 200);
    etcd.delete("/apisix/routes/3");
    eventually_status(&gateway, "/meanwhile", 404);
}

#[test]
fn what_lies_among_resources_does_not_stand_in_the_way_of_changes() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let gateway = traditional(&etcd_at(&etcd.url())).start();
    must_put(&gateway, "upstreams/u", &nodes(&[&upstream]));
    // As APISIX does at each start. A deletion rests on there being no newer route.
    etcd.put("/apisix/routes/", "init_dir");
    let deleted = gateway.admin("DELETE", "upstreams/u").send();
    assert_eq!(deleted.status, 200, "{deleted:?}");
}

#[test]
fn resources_lie_below_the_configured_prefix() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let settings = with(etcd_at(&etcd.url()), json!({"prefix": "/blue/gateway"}));
    let gateway = traditional(&settings).start();
    let created = must_put(&gateway, "routes/1", &route("/a", nodes(&[&upstream])));
    assert_eq!(created.json()["key"], "/blue/gateway/routes/1");
    assert_eq!(etcd.keys("/"), ["/blue/gateway/routes/1"]);
}

#[test]
fn no_request_fails_while_etcd_is_away_and_changes_are_refused() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let gateway = traditional(&etcd_at(&etcd.url())).start();
    must_put(&gateway, "routes/1", &route("/a", nodes(&[&upstream])));
    let traffic = Traffic::start(gateway.client(), "/a", 2);
    traffic.wait_more(10);
    etcd.kill();
    gateway.wait_log("etcd is away");
    let refused = gateway
        .admin("PUT", "routes/2")
        .json(&route("/b", nodes(&[&upstream])))
        .send();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(
        refused.text().contains("etcd cannot be reached"),
        "{refused:?}"
    );
    // Looking goes on.
    assert_eq!(gateway.admin("GET", "routes/1").send().status, 200);
    let told = gateway.control().get("/v1/etcd").send().json();
    assert_eq!(told["reachable"], false, "{told}");
    assert!(gateway.metrics().contains("\napisix_etcd_reachable 0\n"));

    let mark = gateway.log().mark();
    etcd.restart();
    gateway.log().wait_after(mark, "is followed");
    must_put(&gateway, "routes/2", &route("/b", nodes(&[&upstream])));
    assert_eq!(gateway.get("/b").send().status, 200);
    traffic.wait_more(10);
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
    // Said once, not at each try.
    assert_eq!(gateway.log().containing("etcd is away").len(), 1);
    assert!(gateway.metrics().contains("\napisix_etcd_reachable 1\n"));
}

#[test]
fn an_etcd_that_stands_still_is_noticed() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let gateway = traditional(&etcd_at(&etcd.url())).start();
    etcd.freeze();
    gateway.wait_log("etcd is away");
    etcd.thaw();
    etcd.put("/apisix/routes/1", &as_apisix_writes("1", "/a", &upstream));
    eventually_status(&gateway, "/a", 200);
}

#[test]
fn a_gateway_starts_from_its_snapshot_while_etcd_is_away() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let settings = etcd_at(&etcd.url());
    let data = Data::new();
    let gateway = data.of(traditional(&settings)).start();
    must_put(&gateway, "routes/1", &route("/a", nodes(&[&upstream])));
    must_put(
        &gateway,
        "consumers",
        &json!({"username": "jack", "plugins": {
        "key-auth": {"key": "in-the-open"}}}),
    );
    data.wait_snapshot("consumers/jack");
    let mode = fs::metadata(data.snapshot()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(data.snapshot()).unwrap();
    assert!(!text.contains("in-the-open"), "{text}");
    gateway.stop();
    etcd.kill();

    let gateway = data.of(traditional(&settings)).start();
    gateway.wait_log("the gateway starts with the resources that it had");
    assert_eq!(gateway.get("/a").send().status, 200);
    let shown = gateway.admin("GET", "routes/1").send();
    assert_eq!(shown.status, 200);
    assert_eq!(gateway.admin("DELETE", "routes/1").send().status, 503);
    let told = gateway.control().get("/v1/etcd").send().json();
    assert_eq!(told["from_snapshot"], true, "{told}");

    etcd.restart();
    gateway.wait_log("is followed");
    assert_eq!(gateway.admin("DELETE", "routes/1").send().status, 200);
    assert_eq!(gateway.get("/a").send().status, 404);
}

#[test]
fn without_etcd_and_snapshot_a_start_fails_and_says_what_to_do() {
    if Etcd::start().is_none() {
        return;
    }
    // Nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let settings = with(
        etcd_at(&url),
        json!({"startup_retry": 2, "user": "root",
        "password": "s3cret-word"}),
    );
    let exit = traditional(&settings).run();
    assert!(!exit.status.success());
    for part in [
        "etcd cannot be reached (tried 2 times)",
        "deployment.etcd.host",
    ] {
        assert!(exit.stderr.contains(part), "{exit:?}");
    }
    assert!(!exit.stderr.contains("s3cret-word"), "{exit:?}");
}

#[test]
fn what_etcd_forgot_while_nobody_listened_is_read_again() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let settings = with(etcd_at(&etcd.url()), json!({"watch_timeout": 1}));
    let gateway = traditional(&settings).start();
    must_put(&gateway, "routes/1", &route("/a", nodes(&[&upstream])));
    must_put(&gateway, "routes/2", &route("/b", nodes(&[&upstream])));
    // It stops listening; etcd does not keep what it misses.
    gateway.signal(Signal::STOP);
    etcd.restart();
    etcd.put("/apisix/routes/1", &as_apisix_writes("1", "/c", &upstream));
    etcd.delete("/apisix/routes/2");
    etcd.compact();
    gateway.signal(Signal::CONT);
    eventually_status(&gateway, "/c", 200);
    assert_eq!(gateway.get("/a").send().status, 404);
    assert_eq!(gateway.get("/b").send().status, 404);
    gateway.wait_log("all resources were read again");
}

#[test]
fn an_etcd_that_was_made_anew_is_read_anew() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let gateway = traditional(&etcd_at(&etcd.url())).start();
    for number in 0..5 {
        let uri = format!("/{number}");
        must_put(
            &gateway,
            &format!("routes/{number}"),
            &route(&uri, nodes(&[&upstream])),
        );
    }
    etcd.restart_empty();
    etcd.put("/apisix/routes/x", &as_apisix_writes("x", "/x", &upstream));
    eventually_status(&gateway, "/x", 200);
    assert_eq!(gateway.get("/0").send().status, 404);
    must_put(&gateway, "routes/y", &route("/y", nodes(&[&upstream])));
    assert_eq!(gateway.get("/y").send().status, 200);
}

#[test]
fn of_two_writers_none_undoes_what_the_other_did() {
    const EACH: usize = 15;
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let settings = etcd_at(&etcd.url());
    let gateways = [
        traditional(&settings).start(),
        traditional(&settings).start(),
    ];
    must_put(&gateways[0], "routes/1", &route("/a", nodes(&[&upstream])));
    eventually_status(&gateways[1], "/a", 200);
    // Each adds labels of its own to one route, a part at a time.
    together(2, |number| {
        for turn in 0..EACH {
            let labels = json!({"labels": {format!("l-{number}-{turn}"): "x"}});
            let patched = gateways[number]
                .admin("PATCH", "routes/1")
                .json(&labels)
                .send();
            assert_eq!(patched.status, 200, "{patched:?}");
        }
    });
    let shown = gateways[0].admin("GET", "routes/1").send().json();
    let labels = shown["value"]["labels"].as_object().unwrap().len();
    assert_eq!(labels, 2 * EACH);
    // And each gives ids of its own.
    together(2, |number| {
        for _ in 0..EACH {
            let made = gateways[number].admin("POST", "routes");
            let made = made.json(&route("/made", nodes(&[&upstream]))).send();
            assert_eq!(made.status, 201, "{made:?}");
        }
    });
    assert_eq!(etcd.keys("/apisix/routes/").len(), 1 + 2 * EACH);
}

#[test]
fn a_resource_with_a_time_to_live_goes_with_its_lease() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let gateway = traditional(&etcd_at(&etcd.url())).start();
    must_put(
        &gateway,
        "routes/brief?ttl=2",
        &route("/brief", nodes(&[&upstream])),
    );
    must_put(
        &gateway,
        "routes/long",
        &route("/long", nodes(&[&upstream])),
    );
    assert_eq!(gateway.get("/brief").send().status, 200);
    eventually_status(&gateway, "/brief", 404);
    assert_eq!(etcd.keys("/apisix/routes/"), ["/apisix/routes/long"]);
}

#[test]
fn users_of_etcd_need_their_password() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    etcd.only_for_root("s3cret-word");
    let with_password = |password: &str| {
        with(
            etcd_at(&etcd.url()),
            json!({"user": "root", "password": password}),
        )
    };
    let gateway = traditional(&with_password("s3cret-word")).start();
    must_put(&gateway, "routes/1", &route("/a", nodes(&[&upstream])));
    assert_eq!(gateway.get("/a").send().status, 200);
    // Its tokens do not outlive it: new ones are got.
    etcd.restart();
    etcd.log_in("root", "s3cret-word");
    etcd.put("/apisix/routes/2", &as_apisix_writes("2", "/b", &upstream));
    eventually_status(&gateway, "/b", 200);
    must_put(&gateway, "routes/3", &route("/c", nodes(&[&upstream])));
    assert!(!gateway.log().text().contains("s3cret-word"));

    for (settings, words) in [
        (
            with_password("wrong-word"),
            "(see deployment.etcd.user and password)",
        ),
        (
            etcd_at(&etcd.url()),
            "(set deployment.etcd.user and password)",
        ),
    ] {
        let exit = traditional(&settings).run();
        assert!(
            !exit.status.success() && exit.stderr.contains(words),
            "{exit:?}"
        );
        assert!(!exit.stderr.contains("-word"), "{exit:?}");
    }
}

#[test]
fn tls_is_spoken_with_certificates_on_both_sides() {
    let (authority, clients) = (Authority::new(), Authority::new());
    // etcd's gateway is a client of etcd itself, with the same certificate.
    let own = clients.certify("localhost");
    let Some(etcd) = Etcd::start_tls(&own, Some(&clients)) else {
        return;
    };
    let upstream = Upstream::echo();
    let ours = clients.certify("gateway.test");
    let files = |builder: GatewayBuilder| {
        builder
            .file("etcd-ca.pem", clients.certificate())
            .file("other-ca.pem", authority.certificate())
            .file("ours.pem", ours.certificate.clone())
            .file("ours.key", ours.key.clone())
    };
    let apisix = |trusted: &str| {
        json!({"apisix": {
        "node_listen": [{"ip": "127.0.0.1", "port": 0}], "control": {"port": 0},
        "ssl": {"enable": false, "ssl_trusted_certificate": trusted}}})
    };
    let with_tls = |tls: Value| with(etcd_at(&etcd.url()), json!({"tls": tls}));
    let identity = json!({"cert": "ours.pem", "key": "ours.key"});

    let gateway = files(traditional(&with_tls(identity.clone())).config(apisix("etcd-ca.pem")));
    let gateway = gateway.start();
    must_put(&gateway, "routes/1", &route("/a", nodes(&[&upstream])));
    assert_eq!(gateway.get("/a").send().status, 200);

    // Another authority's word is not taken, unless nobody's is asked for.
    let strict = files(traditional(&with_tls(identity.clone())).config(apisix("other-ca.pem")));
    let exit = strict.run();
    assert!(
        !exit.status.success() && exit.stderr.contains("certificate"),
        "{exit:?}"
    );
    let lax = with_tls(with(identity.clone(), json!({"verify": false})));
    let lax = files(data_plane(&lax).config(apisix("other-ca.pem"))).start();
    assert_eq!(lax.get("/a").send().status, 200);
    // The name in the certificate may be another than the host's.
    let by_address = etcd.url().replace("localhost", "127.0.0.1");
    let sni = with(
        etcd_at(&by_address),
        json!({"tls": with(identity, json!({"sni": "localhost"}))}),
    );
    let sni = files(data_plane(&sni).config(apisix("etcd-ca.pem"))).start();
    assert_eq!(sni.get("/a").send().status, 200);
}

#[test]
fn a_member_that_is_dead_is_passed_over() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let settings = with(etcd_at(&etcd.url()), json!({"host": [dead, etcd.url()]}));
    let gateway = traditional(&settings).start();
    must_put(&gateway, "routes/1", &route("/a", nodes(&[&upstream])));
    assert_eq!(gateway.get("/a").send().status, 200);
    let told = gateway.control().get("/v1/etcd").send().json();
    assert_eq!(told["host"], etcd.url(), "{told}");
}

#[test]
fn a_control_plane_writes_what_data_planes_serve() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let settings = etcd_at(&etcd.url());
    let control = gateway().config(json!({"deployment": deployment("control_plane", &settings)}));
    let control = control.listeners(0).start();
    let data = data_plane(&settings).start();
    must_put(&control, "routes/1", &route("/a", nodes(&[&upstream])));
    eventually_status(&data, "/a", 200);
    assert!(control.log().containing("listening on").is_empty());
    assert!(data.log().containing("Admin API").is_empty());
}

#[test]
fn many_resources_come_in_pages() {
    const ROUTES: usize = 2_500;
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let value = |number: usize| {
        let id = number.to_string();
        as_apisix_writes(&id, &format!("/{number}"), &upstream)
    };
    // In transactions of as much as one may hold.
    etcd.put_all((0..ROUTES).map(|number| (format!("/apisix/routes/{number}"), value(number))));
    let gateway = data_plane(&etcd_at(&etcd.url())).start();
    gateway.wait_log(&format!("store: {ROUTES} routes applied"));
    for number in [0, 999, 1000, 1001, ROUTES - 1] {
        assert_eq!(
            gateway.get(&format!("/{number}")).send().status,
            200,
            "{number}"
        );
    }
}

#[test]
fn metrics_tell_of_etcd_as_apisix_does() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let gateway = traditional(&etcd_at(&etcd.url())).start();
    must_put(&gateway, "routes/1", &route("/a", nodes(&[&upstream])));
    let shown = gateway.admin("GET", "routes/1").send().json();
    let modified = shown["modifiedIndex"].as_u64().unwrap();
    let metrics = gateway.metrics();
    for line in [
        "apisix_etcd_reachable 1".to_owned(),
        format!("apisix_etcd_modify_indexes{{key=\"routes\"}} {modified}"),
        format!("apisix_etcd_modify_indexes{{key=\"max_modify_index\"}} {modified}"),
        "apisix_etcd_modify_indexes{key=\"services\"} 0".to_owned(),
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
    assert!(metrics.contains("\noutrigger_etcd_last_contact_timestamp_seconds "));
}

#[test]
fn commands_speak_to_etcd_themselves() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::echo();
    let data = Data::new();
    let settings = etcd_at(&etcd.url());
    let config = data.0.path().join("config.yaml");
    let deployment = json!({"deployment": deployment("traditional", &settings)});
    fs::write(&config, deployment.to_string()).unwrap();
    let file = data.0.path().join("resources.json");
    let routes: Vec<_> = (0..300)
        .map(|number| {
            let uri = format!("/{number}");
            with(
                route(&uri, nodes(&[&upstream])),
                json!({"id": number.to_string()}),
            )
        })
        .collect();
    fs::write(&file, json!({"routes": routes}).to_string()).unwrap();
    let run = |arguments: &[&str]| {
        let program = Program::new(OUTRIGGER).args(arguments);
        let exit = program.arg("-c").arg(&config).run();
        assert!(exit.status.success(), "{exit:?}");
        exit.stdout
    };
    // More than one transaction can hold.
    run(&["import", file.to_str().unwrap()]);
    assert_eq!(etcd.keys("/apisix/routes/").len(), 300);
    let checked = run(&["check"]);
    assert!(
        checked.contains("etcd at /apisix: ok, 300 routes"),
        "{checked}"
    );
    let exported = run(&["export", "--format", "json"]);
    let exported: Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(exported["routes"].as_array().unwrap().len(), 300);
    // They leave nothing behind.
    assert!(!data.0.path().join("data/etcd.snapshot").exists());

    etcd.kill();
    let check = Program::new(OUTRIGGER)
        .arg("check")
        .arg("-c")
        .arg(&config)
        .run();
    assert_eq!(check.status.code(), Some(2), "{check:?}");
    assert!(check.stderr.contains("etcd cannot be reached"), "{check:?}");
}
