//! A changed `config.yaml`, put into effect while requests go on.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outrigger_harness::{
    Client, Connection, Gateway, Response, Signal, Traffic, Upstream, eventually, until,
};
use serde_json::{Value, json};

use crate::support::{gateway, nodes, route, routes, with};

/// Clients at once.
const CLIENTS: usize = 4;

/// A gateway that begins with `config`; its routes are an upstream's that echoes.
fn started(config: &Value) -> (Gateway, Upstream) {
    let upstream = Upstream::echo();
    let of_host = with(route("/*", nodes(&[&upstream])), json!({"host": "a.test"}));
    let exact = with(
        route("/which", nodes(&[&upstream])),
        json!({"plugins": {"proxy-rewrite": {"headers": {"set": {"X-Route": "exact"}}}}}),
    );
    let secure = json!({
        "uri": "/secure", "host": "a.test", "plugins": {"redirect": {"http_to_https": true}},
    });
    let rest = route("/*", nodes(&[&upstream]));
    let builder = gateway()
        .config(config)
        .routes(routes([of_host, exact, secure, rest]));
    (builder.start(), upstream)
}

/// Has the gateway read this `config.yaml`.
#[track_caller]
fn reload(gateway: &Gateway, config: &Value) -> Response {
    gateway.write_config(config);
    gateway.control().post("/v1/reload").send()
}

#[track_caller]
fn must_reload(gateway: &Gateway, config: &Value) {
    let response = reload(gateway, config);
    assert_eq!(response.status, 200, "{config}: {response:?}");
}

/// What the upstream was sent, by the name of a header.
fn seen_header(response: &Response, name: &str) -> Option<String> {
    let seen = response.json();
    let headers = seen["headers"].as_array()?;
    let header = headers.iter().find(|header| header[0] == name)?;
    header[1].as_str().map(str::to_owned)
}

/// Whoever uses one connection for as long as it may.
struct Faithful {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(usize, usize)>,
}

impl Faithful {
    fn start(client: Client) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut requests, mut connections) = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                let mut connection = client.connection();
                connections += 1;
                loop {
                    let response = connection.get("/hello").send();
                    assert_eq!(response.status, 200, "{response:?}");
                    requests += 1;
                    let last = response.header("connection") == Some("close");
                    if last || stopped.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
            (requests, connections)
        });
        Self { stop, thread }
    }

    /// How many requests it had, on how many connections; each had a good answer.
    fn stop(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// A change of the configuration, and what shows that it is in effect.
struct Change {
    config: Value,
    holds: fn(&Gateway) -> bool,
}

fn change(config: Value, holds: fn(&Gateway) -> bool) -> Change {
    Change { config, holds }
}

fn http(http: Value) -> Value {
    json!({"nginx_config": {"http": http}})
}

fn changes() -> Vec<Change> {
    vec![
        change(json!({"apisix": {"enable_server_tokens": false}}), |it| {
            it.get("/").send().header("server") == Some("outrigger")
        }),
        change(
            json!({"apisix": {"show_upstream_status_in_response_header": true}}),
            |it| it.get("/").send().header("x-apisix-upstream-status") == Some("200"),
        ),
        change(
            json!({"apisix": {"router": {"http": "radixtree_uri"}}}),
            |it| {
                let response = it.get("/which").host("a.test").send();
                seen_header(&response, "x-route").as_deref() == Some("exact")
            },
        ),
        change(
            json!({"apisix": {"trusted_addresses": ["127.0.0.1"]}}),
            |it| {
                let response = it.get("/").header("X-Forwarded-Host", "far.test").send();
                seen_header(&response, "x-forwarded-host").as_deref() == Some("far.test")
            },
        ),
        change(
            json!({"apisix": {"delete_uri_tail_slash": true, "normalize_uri_like_servlet": true}}),
            |it| {
                let response = it.get("/which;v=1/").send();
                // The upstream gets what the client sent.
                let as_sent = response.json()["uri"] == "/which;v=1/";
                as_sent && seen_header(&response, "x-route").as_deref() == Some("exact")
            },
        ),
        change(http(json!({"underscores_in_headers": "off"})), |it| {
            let response = it.get("/").header("X_User", "root").send();
            seen_header(&response, "x_user").is_none()
        }),
        change(
            json!({"plugin_attr": {
                "prometheus": {"export_addr": {"port": 0}},
                "redirect": {"https_port": 8443},
            }}),
            |it| {
                let response = it.get("/secure").host("a.test").send();
                response.header("location") == Some("https://a.test:8443/secure")
            },
        ),
        change(http(json!({"client_max_body_size": 4})), |it| {
            it.post("/").body("12345").send().status == 413
        }),
        change(http(json!({"large_client_header_buffers": "4 1k"})), |it| {
            it.get(&format!("/{}", "x".repeat(2000))).send().status == 414
        }),
        change(http(json!({"keepalive_timeout": 0})), |it| {
            it.get("/").send().header("connection") == Some("close")
        }),
        change(http(json!({"real_ip_from": ["127.0.0.1"]})), |it| {
            let response = it.get("/").header("X-Real-IP", "192.0.2.7").send();
            seen_header(&response, "x-real-ip").as_deref() == Some("192.0.2.7")
        }),
        change(
            http(json!({"access_log": "a.log", "access_log_format": "first $uri"})),
            |it| logged(it, "a.log", "first /logged"),
        ),
        change(
            http(json!({"access_log": "a.log", "access_log_format": "second $uri"})),
            |it| logged(it, "a.log", "second /logged"),
        ),
        change(
            http(json!({"access_log": "b.log", "access_log_format": "third $uri"})),
            |it| logged(it, "b.log", "third /logged"),
        ),
        change(json!({"plugins": ["proxy-rewrite", "redirect"]}), |it| {
            let schemas = it.control().get("/v1/schema").send().json();
            schemas["plugins"].as_object().unwrap().len() == 2
        }),
        change(
            json!({"plugin_attr": {"prometheus": {
                "export_addr": {"port": 0}, "export_uri": "/elsewhere",
            }}}),
            |it| metrics_at(it, "/elsewhere"),
        ),
        change(json!({"apisix": {"status": {"port": 0}}}), |it| {
            let line = it.wait_log("status: http://");
            let url = line.split_once("http://").unwrap().1;
            let client = Client::new(url.split_once('/').unwrap().0.parse().unwrap());
            let ready = client.get("/status/ready").send();
            ready.status == 200 && ready.json() == json!({"status": "ok"})
        }),
    ]
}

/// Whether a request is logged in this file like this, before long.
fn logged(gateway: &Gateway, file: &str, line: &str) -> bool {
    assert_eq!(gateway.get("/logged").send().status, 200);
    let file = gateway.folder().join(file);
    eventually(line, || {
        fs::read_to_string(&file).is_ok_and(|text| text.lines().any(|it| it == line))
    });
    true
}

/// Whether the metrics are handed out at this path.
fn metrics_at(gateway: &Gateway, path: &str) -> bool {
    let line = gateway.wait_log("metrics: http://");
    let url = line.split_once("http://").unwrap().1;
    let client = Client::new(url.split_once('/').unwrap().0.parse().unwrap());
    client.get(path).send().status == 200
}

#[test]
fn each_change_takes_effect_at_once_and_its_return_too_and_no_request_fails() {
    let usual = json!({});
    let (gateway, _upstream) = started(&usual);
    let traffic = Traffic::start(gateway.client(), "/hello", CLIENTS);
    let faithful = Faithful::start(gateway.client());
    for Change { config, holds } in changes() {
        let is_log = config.to_string().contains("access_log");
        assert!(
            is_log || config.to_string().contains("status\"") || !holds(&gateway),
            "{config}"
        );
        traffic.wait_more(CLIENTS);
        must_reload(&gateway, &config);
        assert!(holds(&gateway), "{config}");
        traffic.wait_more(CLIENTS);
    }
    must_reload(&gateway, &usual);
    for name in ["server", "x-apisix-upstream-status"] {
        let response = gateway.get("/").send();
        let expected =
            (name == "server").then_some(concat!("outrigger/", env!("CARGO_PKG_VERSION")));
        assert_eq!(response.header(name), expected);
    }
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
    let (requests, connections) = faithful.stop();
    assert!(
        requests > connections,
        "{requests} requests, {connections} connections"
    );
}

/// The addresses that the gateway says it listens on, less those that it says it does
/// no longer, once there are so many.
#[track_caller]
fn listening(gateway: &Gateway, count: usize) -> Vec<SocketAddr> {
    until("it listens on so many addresses", || {
        let addresses = said_to_listen(gateway);
        (addresses.len() == count).then_some(addresses)
    })
}

fn said_to_listen(gateway: &Gateway) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for line in gateway.log().lines() {
        let Some((before, url)) = line.split_once("listening on http://") else {
            continue;
        };
        let address: SocketAddr = url.trim().parse().unwrap();
        match before.ends_with("no longer ") {
            true => addresses.retain(|known| *known != address),
            false => addresses.push(address),
        }
    }
    addresses
}

fn listen(count: usize) -> Value {
    let listens = vec![json!({"ip": "127.0.0.1", "port": 0}); count];
    json!({"apisix": {"node_listen": listens, "control": {"port": 0}}, "outrigger": {"workers": 2}})
}

#[test]
fn listeners_come_and_go_and_no_connection_is_lost() {
    // Two workers, so that there are two listeners of each address.
    let (gateway, _upstream) = started(&listen(1));
    let first = gateway.addresses()[0];
    let traffic = Traffic::start(gateway.client(), "/hello", CLIENTS);
    for _ in 0..3 {
        must_reload(&gateway, &listen(3));
        let now = listening(&gateway, 3);
        assert_eq!(now[0], first);
        let added = Client::new(now[2]);
        assert_eq!(added.get("/hello").send().status, 200);
        // It has connected, and sends its request when nobody listens any more.
        let mut slow = added.connection();
        let mut kept = added.connection();
        assert_eq!(kept.get("/hello").send().header("connection"), None);
        must_reload(&gateway, &listen(1));
        assert_eq!(listening(&gateway, 1), [first]);
        for connection in [&mut slow, &mut kept] {
            let response = connection.get("/hello").send();
            assert_eq!(response.status, 200);
            assert_eq!(response.header("connection"), Some("close"));
        }
        eventually("nobody listens", || TcpStream::connect(now[2]).is_err());
    }
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
}

#[test]
fn a_connection_that_is_in_use_ends_after_the_request_that_comes_next() {
    let (gateway, upstream) = started(&json!({}));
    let mut idle = gateway.client().connection();
    assert_eq!(idle.get("/hello").send().header("connection"), None);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| gateway.get("/slow/1500").send());
        upstream.wait_hits(2);
        must_reload(&gateway, &http(json!({"send_timeout": "20s"})));
        assert!(!slow.is_finished(), "the machine is too slow for this test");
        assert_eq!(slow.join().unwrap().text(), "slow\n");
    });
    let last = idle.get("/hello").send();
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(idle.read_to_end(), b"");
    // What does not concern connections does not end them.
    let mut idle: Connection = gateway.client().connection();
    assert_eq!(idle.get("/hello").send().status, 200);
    let both = json!({"http": {"send_timeout": "20s", "client_max_body_size": 3}});
    must_reload(&gateway, &json!({"nginx_config": both}));
    assert_eq!(
        idle.request("POST", "/hello").body("1234").send().status,
        413
    );
}

#[test]
fn a_reload_that_is_refused_changes_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port();
    let (gateway, _upstream) = started(&json!({}));
    let telling = "enable_server_tokens: false, \"control\": {\"port\": 0}";
    let own = "\"node_listen\": [{\"ip\": \"127.0.0.1\", \"port\": 0}]";
    let more = format!(
        "\"node_listen\": [{{\"ip\": 127.0.0.1, \"port\": 0}}, {{\"ip\": 127.0.0.1, \"port\": {taken}}}]"
    );
    let rows = [
        (
            format!("apisix: {{{telling}, {more}}}"),
            format!("cannot listen on 127.0.0.1:{taken}: "),
        ),
        (
            format!("apisix: {{{telling}, {own}, status: {{port: {taken}}}}}"),
            format!("cannot listen on 127.0.0.1:{taken} for the status: "),
        ),
        (
            format!("apisix: {{{telling}, {own}}}\nplugins: [redirect]"),
            "the plugin [proxy-rewrite] is switched off".to_owned(),
        ),
        (
            format!("apisix: {{{telling}, {own}}}\nnginx_config: {{http: {{access_log: ./}}}}"),
            "the access log ".to_owned(),
        ),
        (
            format!("apisix: {{{telling}, {own}, enable_http3: true}}"),
            "config.yaml:1:".to_owned(),
        ),
    ];
    let before = listening(&gateway, 1);
    for (config, why) in rows {
        gateway.write_config(&config);
        let refused = gateway.control().post("/v1/reload").send();
        assert_eq!(refused.status, 400, "{config}");
        assert!(refused.text().contains(&why), "{}", refused.text());
        let server = gateway.get("/which").send();
        assert_eq!(
            server.header("server"),
            Some(concat!("outrigger/", env!("CARGO_PKG_VERSION")))
        );
        assert_eq!(seen_header(&server, "x-route").as_deref(), Some("exact"));
    }
    assert_eq!(said_to_listen(&gateway), before);
}

#[test]
fn what_waits_for_the_next_start_is_said_with_both_values() {
    let (gateway, _upstream) = started(&json!({"outrigger": {"workers": 1}}));
    let mark = gateway.log().mark();
    gateway.write_config(json!({"outrigger": {"workers": 2, "data_dir": "elsewhere"}}));
    gateway.signal(Signal::HUP);
    let workers = gateway.log().wait_after(mark, "outrigger.workers");
    let expected = "config.yaml: outrigger.workers (from 1 to 2): takes effect at the next start";
    assert!(workers.ends_with(expected), "{workers}");
    let folder = gateway.log().wait_after(mark, "outrigger.data_dir");
    assert!(
        folder.contains("/elsewhere): takes effect at the next start"),
        "{folder}"
    );
    assert_eq!(gateway.get("/hello").send().status, 200);
}

#[test]
fn the_log_tells_what_the_file_says_unless_the_command_line_does() {
    let (gateway, _upstream) = started(&json!({}));
    let level = |level: &str| json!({"nginx_config": {"error_log_level": level}});
    // Each goes by the level of the one before: the first and the last are told of.
    for said in ["error", "error", "notice", "notice"] {
        must_reload(&gateway, &level(said));
    }
    let wrong = reload(&gateway, &level("loud"));
    assert!(
        wrong.text().contains("nginx_config.error_log_level: "),
        "{}",
        wrong.text()
    );
    // Everything before it has come when this has.
    gateway.wait_log("nothing was reloaded");
    let lines = gateway.log().lines();
    let told = lines
        .iter()
        .filter(|line| line.contains("INFO reloading: "));
    assert_eq!(told.count(), 2, "{}", gateway.log().text());
}

#[test]
fn keys_and_addresses_of_the_admin_api_change_while_it_serves() {
    let deployment = |key: &str, from: &str| {
        let keys = json!([{"name": "admin", "key": key, "role": "admin"}]);
        let listen = json!({"port": 0});
        let admin = json!({"admin_key": keys, "allow_admin": [from], "admin_listen": listen});
        json!({"deployment": {"role": "traditional", "admin": admin}})
    };
    let builder = gateway().config(deployment("first", "127.0.0.0/8"));
    let gateway = builder.start();
    let asked = |connection: &mut Connection, key: &str| {
        let request = connection.get("/apisix/admin/routes");
        request.header("X-API-KEY", key).send().status
    };
    let mut open = gateway.admin_api().connection();
    assert_eq!(
        (asked(&mut open, "first"), asked(&mut open, "second")),
        (200, 401)
    );
    must_reload(&gateway, &deployment("second", "127.0.0.0/8"));
    assert_eq!(
        (asked(&mut open, "first"), asked(&mut open, "second")),
        (401, 200)
    );
    must_reload(&gateway, &deployment("second", "192.0.2.0/24"));
    assert_eq!(asked(&mut open, "second"), 403);
    let text = gateway.log().text();
    assert!(
        !text.contains("second") && !text.contains("first\""),
        "{text}"
    );
    // A role is for a process's life; what goes with it stays as well.
    let mark = gateway.log().mark();
    must_reload(&gateway, &json!({}));
    gateway
        .log()
        .wait_after(mark, "deployment.role (from a store to ");
    assert_eq!(asked(&mut open, "second"), 403);
}

#[test]
fn an_api_moves_to_another_address() {
    let control = |ip: &str| {
        json!({"apisix": {
            "node_listen": [{"ip": "127.0.0.1", "port": 0}],
            "control": {"ip": ip, "port": 0},
        }})
    };
    let gateway = gateway().config(control("127.0.0.1")).start();
    let before = gateway.control();
    // The answer comes from the server that goes.
    must_reload(&gateway, &control("127.0.0.2"));
    let line = gateway.wait_log("control API: http://127.0.0.2:");
    let after = line
        .split_once("http://")
        .unwrap()
        .1
        .trim()
        .parse()
        .unwrap();
    assert_eq!(Client::new(after).get("/v1/schema").send().status, 200);
    eventually("nobody listens where it was", || {
        TcpStream::connect(before.address()).is_err()
    });
}

#[test]
fn the_time_to_stop_is_that_of_the_latest_settings() {
    let (gateway, upstream) = started(&json!({}));
    must_reload(
        &gateway,
        &json!({"nginx_config": {"worker_shutdown_timeout": "100ms"}}),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| gateway.get("/slow/60000").try_send());
        upstream.wait_hits(1);
        gateway.signal(Signal::TERM);
        // Far less than the request would take, and the usual time.
        eventually("it has ended", || !gateway.process().is_alive());
    });
}
