//! A plugin sees and changes the upstream's response.

use serde_json::{Value, json};

use super::Scenario;
use crate::program::Plugins::Conformance;
use crate::stage::{Stage, conf};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::shared("response-status-and-headers", status_and_headers).with(Conformance),
    Scenario::shared("response-new-body", new_body).with(Conformance),
    Scenario::shared("response-body-read", body_read).with(Conformance),
    Scenario::shared("response-without-body", without_body).with(Conformance),
    Scenario::shared("response-streams-through", streams_through).with(Conformance),
];

/// `ext-plugin-post-resp` with one plugin.
fn responding(stage: &Stage<'_>, name: &str, value: Value) {
    stage.route(&json!({"ext-plugin-post-resp": conf(&[(name, value)])}));
}

fn status_and_headers(stage: &Stage<'_>) {
    let headers = json!({"X-New": "1", "Content-Type": "application/x-new"});
    responding(
        stage,
        "conf-response",
        json!({"status": 203, "headers": headers}),
    );
    let response = stage.gateway.get("/multi").send();
    assert_eq!(response.status, 203);
    assert_eq!(response.header("x-new"), Some("1"));
    assert_eq!(response.header("content-type"), Some("application/x-new"));
    assert_eq!(response.headers.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(response.text(), "multi\n");
}

fn new_body(stage: &Stage<'_>) {
    responding(stage, "conf-response", json!({"body": "a new body\n"}));
    let response = stage.gateway.get("/multi").send();
    assert_eq!((response.status, response.text()), (200, "a new body\n"));
    assert_eq!(response.header("content-length"), Some("11"));
    assert_eq!(response.header("etag"), None);
    assert_eq!(response.headers.all("set-cookie"), ["a=1", "b=2"]);
}

fn body_read(stage: &Stage<'_>) {
    responding(stage, "conf-response-body", json!({}));
    for target in ["/hello", "/chunked"] {
        let response = stage.gateway.get(target).send();
        assert_eq!((response.status, response.text()), (200, "HELLO WORLD\n"));
        assert_eq!(response.header("content-length"), Some("12"));
    }
}

fn without_body(stage: &Stage<'_>) {
    responding(stage, "conf-response", json!({"headers": {"X-New": "1"}}));
    for (method, target, status) in [
        ("HEAD", "/hello", 200),
        ("GET", "/status/204", 204),
        ("GET", "/status/304", 304),
    ] {
        let hits = stage.upstream.hits();
        let response = stage.gateway.request(method, target).send();
        assert_eq!((response.status, response.text()), (status, ""));
        assert_eq!(response.header("x-new"), Some("1"));
        assert_eq!(stage.upstream.hits(), hits + 1);
    }
}

fn streams_through(stage: &Stage<'_>) {
    responding(stage, "conf-response", json!({"headers": {"X-New": "1"}}));
    // More than the protocol could carry.
    let response = stage.gateway.get("/big/20000000").send();
    assert_eq!(response.header("x-new"), Some("1"));
    assert_eq!(response.body.len(), 20_000_000);
}
