//! The access log: a line for every request, in a file, with APISIX's keys.

use std::fs;
use std::path::PathBuf;

use outrigger_harness::{Gateway, GatewayBuilder, Signal, Upstream, eventually, together};
use serde_json::{Value, json};

use crate::runners::demo_runner;
use crate::support::{
    OUTRIGGER, all_to, answer_to, external, gateway, nodes, plugin, route, routes, with,
};

/// A gateway to configure whose `nginx_config.http` says this.
fn logging(http: Value) -> GatewayBuilder {
    gateway().config(json!({"nginx_config": {"http": http}}))
}

/// As [`logging`], with lines that are JSON of these variables.
fn logging_json(variables: &[&str]) -> Value {
    let fields = variables
        .iter()
        .map(|name| format!("\"{name}\":\"${name}\""));
    let fields = fields.collect::<Vec<_>>().join(",");
    json!({"access_log_format": format!("{{{fields}}}"), "access_log_format_escape": "json"})
}

fn file(gateway: &Gateway) -> PathBuf {
    gateway.folder().join("logs/access.log")
}

/// Waits for this many lines in a file beside the settings.
#[track_caller]
pub(crate) fn wait_lines_of(gateway: &Gateway, name: &str, count: usize) -> Vec<String> {
    let file = gateway.folder().join(name);
    let lines = || fs::read_to_string(&file).unwrap_or_default();
    eventually("lines of the access log", || {
        lines().lines().count() >= count
    });
    lines().lines().map(str::to_owned).collect()
}

fn lines(gateway: &Gateway) -> Vec<String> {
    let text = fs::read_to_string(file(gateway)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits for this many lines, and returns them.
#[track_caller]
fn wait_lines(gateway: &Gateway, count: usize) -> Vec<String> {
    eventually(&format!("{count} lines of the access log"), || {
        lines(gateway).len() >= count
    });
    lines(gateway)
}

#[track_caller]
fn wait_json(gateway: &Gateway, count: usize) -> Vec<Value> {
    let lines = wait_lines(gateway, count);
    let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    lines.iter().map(parse).collect()
}

#[test]
fn without_a_key_that_asks_for_it_there_is_none() {
    let upstream = Upstream::echo();
    for http in [
        json!({"client_max_body_size": 0}),
        json!({"enable_access_log": false, "access_log": "logs/access.log"}),
        json!({"access_log": "off"}),
    ] {
        let gateway = logging(http).routes(all_to(&upstream)).start();
        gateway.get("/hello").send();
        gateway.stop();
        assert!(!gateway.folder().join("logs").exists());
    }
}

#[test]
fn the_default_format_is_apisixs() {
    let upstream = Upstream::echo();
    let gateway = logging(json!({"enable_access_log": true}))
        .routes(all_to(&upstream))
        .start();
    let response = gateway
        .get("/hello?a=b")
        .host("a.test:81")
        .header("User-Agent", "it\"self")
        .header("Authorization", "Basic am9lOnNlY3JldA==")
        .send();
    assert_eq!(response.status, 200);
    let line = wait_lines(&gateway, 1).remove(0);
    let (start, rest) = line.split_once(" [").unwrap();
    let (time, rest) = rest.split_once("] ").unwrap();
    assert_eq!(start, "127.0.0.1 - joe");
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert!(
        shape.starts_with("00/") && shape[6..20] == *"/0000:00:00:00",
        "{time}"
    );
    let node = upstream.node();
    let words: Vec<&str> = rest.split(' ').collect();
    assert_eq!(
        words[..6],
        [
            "a.test:81",
            "\"GET",
            "/hello?a=b",
            "HTTP/1.1\"",
            "200",
            "12"
        ]
    );
    assert!(
        words[6].parse::<f64>().is_ok_and(|time| time < 60.0),
        "{line}"
    );
    assert_eq!(words[7..11], ["\"-\"", "\"it\\x22self\"", &node, "200"]);
    assert!(
        words[11].parse::<f64>().is_ok_and(|time| time < 60.0),
        "{line}"
    );
    assert_eq!(words[12], "\"http://a.test:81/hello?a=b\"");
    assert!(!line.contains("secret"));
}

#[test]
fn every_request_has_its_line_whatever_became_of_it() {
    let silent = Upstream::raw(|connection| {
        connection.read_request();
        connection.wait_closed();
    });
    let gone = Upstream::echo().node();
    let upstream = Upstream::echo();
    let http = logging_json(&["request", "status", "body_bytes_sent", "request_completion"]);
    let gateway = logging(with(http, json!({"client_max_body_size": 10})))
        .routes(routes([
            route("/silent", nodes(&[&silent])),
            route("/gone", json!({"nodes": {gone: 1}})),
            route("/echo", nodes(&[&upstream])),
        ]))
        .start();
    let mut expected = Vec::new();
    let mut expect = |request: &str, status: &str, sent: usize, completion: &str| {
        expected.push(json!({
            "request": request, "status": status,
            "body_bytes_sent": sent.to_string(), "request_completion": completion,
        }));
        let count = expected.len();
        let lines = wait_json(&gateway, count);
        assert_eq!(lines, expected);
    };
    let none = gateway.get("/none").send();
    expect("GET /none HTTP/1.1", "404", none.body.len(), "OK");
    let bad = gateway.get("/echo?x").host("a/b").send();
    expect("GET /echo?x HTTP/1.1", "400", bad.body.len(), "OK");
    let large = gateway.post("/echo").body("longer than that").send();
    expect("POST /echo HTTP/1.1", "413", large.body.len(), "OK");
    let down = gateway.get("/gone").send();
    expect("GET /gone HTTP/1.1", "502", down.body.len(), "OK");
    let (garbage, _) = answer_to(&gateway, "no request at all\r\n\r\n");
    assert_eq!(garbage.status, 400);
    expect("", "400", 0, "OK");
    let mut connection = gateway.client().connection();
    connection.write(b"GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
    silent.wait_hits(1);
    drop(connection);
    expect("GET /silent HTTP/1.1", "499", 0, "");
}

#[test]
fn values_are_escaped_as_asked_for() {
    let upstream = Upstream::echo();
    let format = "$http_x_odd|$http_x_none|$sent_http_content_length|$sent_http_server";
    for (escape, expected) in [
        ("default", "\\x22\\xC3\\xA9\\x5C|-|12|outrigger\\x22"),
        ("json", "\\\"é\\\\|||12"),
        ("none", "\"é\\||12|outrigger"),
    ] {
        let http = json!({"access_log_format": format, "access_log_format_escape": escape});
        let gateway = logging(http).routes(all_to(&upstream)).start();
        gateway.get("/hello").header("X-Odd", "\"é\\").send();
        let line = wait_lines(&gateway, 1).remove(0);
        let same = |part: &str| line.starts_with(part);
        let expected = expected
            .replace("|||", "||")
            .replace("outrigger\\x22", "outrigger");
        assert!(same(&expected), "{escape}: {line}");
    }
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let upstream = Upstream::echo();
    let http = json!({"access_log_format": "$request_uri"});
    let gateway = logging(http).routes(all_to(&upstream)).start();
    for (number, signal) in [Signal::USR1, Signal::HUP].into_iter().enumerate() {
        gateway.get(&format!("/{number}")).send();
        assert_eq!(wait_lines(&gateway, 1), [format!("/{number}")]);
        let moved = gateway.folder().join("moved");
        fs::rename(file(&gateway), &moved).unwrap();
        gateway.signal(signal);
        eventually("a new file", || file(&gateway).exists());
        assert_eq!(fs::read_to_string(moved).unwrap(), format!("/{number}\n"));
    }
    gateway.get("/last").send();
    assert_eq!(wait_lines(&gateway, 1), ["/last"]);
}

#[test]
fn no_line_is_lost_when_the_gateway_stops() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .config(
            json!({"nginx_config": {"http": {"access_log_format": "$request_uri $connection"}}}),
        )
        .config(json!({"outrigger": {"workers": 3, "runtime_dir": "."}}))
        .routes(all_to(&upstream))
        .start();
    together(8, |client| {
        let mut connection = gateway.client().connection();
        for number in 0..500 {
            let target = format!("/hello?{client}-{number}");
            assert_eq!(connection.get(&target).send().status, 200);
        }
    });
    gateway.stop();
    let lines = lines(&gateway);
    assert_eq!(lines.len(), 4000);
    let connections: std::collections::HashSet<_> = lines
        .iter()
        .map(|line| line.split_once(' ').unwrap().1.to_owned())
        .collect();
    assert_eq!(connections.len(), 8, "no two have one number");
}

#[test]
fn it_can_go_to_standard_output() {
    let upstream = Upstream::echo();
    let http = json!({"access_log": "/dev/stdout", "access_log_format": "line $uri"});
    let gateway = logging(http).routes(all_to(&upstream)).start();
    gateway.get("/hello").send();
    let stdout = gateway.stop().stdout;
    assert_eq!(stdout.trim_end(), "line /hello");
}

#[test]
fn the_time_in_external_plugins_is_told() {
    let upstream = Upstream::echo();
    let names = [
        "ext_plugin_time",
        "ext_plugin_pre_req_time",
        "ext_plugin_post_req_time",
        "ext_plugin_post_resp_time",
    ];
    let wait = external([plugin("wait", json!({"ms": 30}))]);
    let plugins = json!({"plugins": {
        "ext-plugin-pre-req": wait,
        "ext-plugin-post-resp": external([plugin("response-rewrite", json!({}))]),
    }});
    let gateway = demo_runner()
        .config(json!({"nginx_config": {"http": logging_json(&names)}}))
        .routes(routes([
            with(route("/hello", nodes(&[&upstream])), plugins),
            route("/*", nodes(&[&upstream])),
        ]))
        .start();
    gateway.get("/hello").send();
    gateway.get("/").send();
    let lines = wait_json(&gateway, 2);
    let [sum, before, after, response] =
        names.map(|name| lines[0][name].as_str().unwrap().parse::<f64>());
    let (sum, before, response) = (sum.unwrap(), before.unwrap(), response.unwrap());
    assert!(after.is_err(), "it had nothing to do");
    assert!((0.030..60.0).contains(&before), "{before}");
    assert!(response > 0.0 && (sum - before - response).abs() < 0.000_003);
    assert_eq!(lines[1]["ext_plugin_time"], "");
}

#[test]
fn what_cannot_be_is_said_at_the_start() {
    let ended = logging(json!({"access_log": "apisix.yaml/no/folder"})).run();
    assert!(!ended.status.success());
    assert!(
        ended
            .stderr
            .contains("apisix.yaml/no/folder cannot be opened: "),
        "{ended:?}"
    );
    let gateway = logging(json!({"access_log_format": "$nonsense $uri"}))
        .routes(json!({"routes": []}))
        .start();
    gateway.wait_log("there is no variable $nonsense");
    gateway.get("/a").send();
    assert_eq!(wait_lines(&gateway, 1), ["- /a"]);
    let config = gateway.folder().join("config.yaml");
    let checked = outrigger_harness::Program::new(OUTRIGGER)
        .arg("check")
        .arg("-c")
        .arg(config)
        .start()
        .wait();
    assert!(
        checked
            .stdout
            .contains("note: nginx_config.http.access_log_format: there is no variable $nonsense")
    );
}
