//! What a plugin learns about the request.

use outrigger_harness::{Request, Response};
use serde_json::{Value, json};

use super::Scenario;
use crate::program::Plugins::Conformance;
use crate::stage::Stage;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::shared("sees-the-request", request).with(Conformance),
    Scenario::shared("sees-repeated-values", repeated).with(Conformance),
    Scenario::shared("methods", methods).with(Conformance),
    Scenario::shared("variables", variables).with(Conformance),
    Scenario::shared("variables-without-value", no_value).with(Conformance),
    Scenario::shared("request-body", body).with(Conformance),
    Scenario::shared("request-body-2-mib", large_body).with(Conformance),
];

fn request(stage: &Stage<'_>) {
    stage.plugins(&[("conf-echo", json!({}))]);
    let seen = stage
        .gateway
        .post("/some%20where/%C3%BC?q=a%20b&plus=1%2B1&empty=")
        .host("shop.example")
        .header("X-Probe", "yes")
        .body("ignored")
        .send()
        .json();
    assert_eq!(seen["method"], "POST", "{seen}");
    assert_eq!(seen["path"], "/some where/ü", "{seen}");
    assert_eq!(seen["args"]["q"], json!(["a b"]), "{seen}");
    assert_eq!(seen["args"]["plus"], json!(["1+1"]), "{seen}");
    assert_eq!(seen["args"]["empty"], json!([""]), "{seen}");
    assert_eq!(seen["headers"]["x-probe"], json!(["yes"]), "{seen}");
    assert_eq!(seen["headers"]["host"], json!(["shop.example"]), "{seen}");
    assert_eq!(seen["source_ip"], "127.0.0.1", "{seen}");
    assert_ne!(seen["id"], 0, "{seen}");
}

fn repeated(stage: &Stage<'_>) {
    stage.plugins(&[("conf-echo", json!({}))]);
    let seen = stage
        .gateway
        .get("/?x=1&x=2&y&x=3")
        .header("X-Many", "one")
        .header("X-Many", "two")
        .send()
        .json();
    assert_eq!(seen["args"]["x"], json!(["1", "2", "3"]), "{seen}");
    assert_eq!(seen["headers"]["x-many"], json!(["one", "two"]), "{seen}");
}

/// All that runners know but HEAD, whose answer has no body to tell, and TRACE,
/// which the gateway refuses as nginx does.
fn methods(stage: &Stage<'_>) {
    stage.plugins(&[("conf-echo", json!({}))]);
    for method in [
        "GET",
        "POST",
        "PUT",
        "DELETE",
        "MKCOL",
        "COPY",
        "MOVE",
        "OPTIONS",
        "PROPFIND",
        "PROPPATCH",
        "LOCK",
        "UNLOCK",
        "PATCH",
    ] {
        let response = stage.gateway.request(method, "/").send();
        assert_eq!(response.status, 200, "{method}: {response:?}");
        assert_eq!(response.json()["method"], method);
    }
    let hits = stage.upstream.hits();
    let response = stage.gateway.request("PURGE", "/").send();
    assert_eq!(response.status, 503, "a method that runners do not know");
    assert_eq!(stage.upstream.hits(), hits);
}

fn vars(stage: &Stage<'_>, names: &[&str], ask: impl FnOnce() -> Request<'static>) -> Value {
    stage.plugins(&[("conf-vars", json!({"vars": names}))]);
    let response: Response = ask().send();
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

fn variables(stage: &Stage<'_>) {
    let names = [
        "remote_addr",
        "request_uri",
        "uri",
        "args",
        "arg_color",
        "http_x_probe",
        "cookie_session",
        "request_method",
        "scheme",
        "host",
        "route_id",
        "server_port",
        "request_id",
        "content_type",
    ];
    let values = vars(stage, &names, || {
        stage
            .gateway
            .request("PUT", "/a%20b?color=red&x=%41")
            .host("shop.example:81")
            .header("X-Probe", "yes")
            .header("Cookie", "theme=dark; session=42")
            .header("Content-Type", "text/css")
            .body("x")
    });
    for (name, expected) in [
        ("remote_addr", "127.0.0.1"),
        ("request_uri", "/a%20b?color=red&x=%41"),
        ("uri", "/a b"),
        ("args", "color=red&x=%41"),
        ("arg_color", "red"),
        ("http_x_probe", "yes"),
        ("cookie_session", "42"),
        ("request_method", "PUT"),
        ("scheme", "http"),
        ("host", "shop.example"),
        ("route_id", "main"),
        ("content_type", "text/css"),
    ] {
        assert_eq!(values[name], expected, "{name} in {values}");
    }
    let port = stage.gateway.client().address().port();
    assert_eq!(values["server_port"], port.to_string(), "{values}");
    let id = values["request_id"].as_str().unwrap_or_default();
    assert!(id.len() >= 16, "{values}");
}

fn no_value(stage: &Stage<'_>) {
    let names = ["nosuch_variable", "arg_nosuch", "cookie_session", "uri"];
    let values = vars(stage, &names, || stage.gateway.get("/here"));
    for name in &names[..3] {
        let value = &values[name];
        assert!(value.is_null() || value == "", "{name} in {values}");
    }
    assert_eq!(
        values["uri"], "/here",
        "an answer went to the wrong question"
    );
}

/// Sends `body` past a plugin that reads it, and looks at what plugin and
/// upstream got.
fn read_and_forwarded(stage: &Stage<'_>, body: &[u8], ask: Request<'_>) {
    let response = ask.send();
    assert_eq!(response.status, 200, "{response:?}");
    let seen = stage.upstream.last();
    assert!(seen.body == body, "{} bytes forwarded", seen.body.len());
    let length = seen.header("x-body-length");
    assert_eq!(length, Some(body.len().to_string().as_str()));
}

fn body(stage: &Stage<'_>) {
    stage.plugins(&[("conf-body", json!({}))]);
    let body: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    read_and_forwarded(stage, &body, stage.gateway.post("/echo").body(body.clone()));
    let digest = "db8f1d69251d95e2c88268d3c540533cc5182e0e33065a6f3f322f606a574489";
    let seen = stage.upstream.last();
    assert_eq!(seen.header("x-body-sha256"), Some(digest));
    let chunked = stage.gateway.post("/echo").chunked(["in ", "two chunks"]);
    read_and_forwarded(stage, b"in two chunks", chunked);
    read_and_forwarded(stage, b"", stage.gateway.get("/echo"));
}

fn large_body(stage: &Stage<'_>) {
    stage.plugins(&[("conf-body", json!({}))]);
    let body = vec![b'z'; 2 << 20];
    read_and_forwarded(stage, &body, stage.gateway.post("/echo").body(body.clone()));
}
