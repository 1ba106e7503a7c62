//! A plugin answers instead of the upstream.

use serde_json::json;

use super::Scenario;
use crate::program::Plugins::Conformance;
use crate::stage::Stage;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::shared("stop", stop).with(Conformance),
    Scenario::shared("stop-empty", stop_empty).with(Conformance),
    Scenario::shared("stop-repeated-header", repeated_header).with(Conformance),
    Scenario::shared("stop-large-body", large_body).with(Conformance),
    Scenario::shared("value-as-json", value_as_json).with(Conformance),
];

fn stop(stage: &Stage<'_>) {
    let conf = json!({"status": 418, "headers": {"X-Tea": "green"}, "body": "a teapot\n"});
    stage.plugins(&[("conf-stop", conf)]);
    let hits = stage.upstream.hits();
    let response = stage.gateway.get("/tea").send();
    assert_eq!(response.status, 418);
    assert_eq!(response.header("x-tea"), Some("green"));
    assert_eq!(response.text(), "a teapot\n");
    assert_eq!(stage.upstream.hits(), hits, "the upstream was asked");
    let head = stage.gateway.request("HEAD", "/tea").send();
    assert_eq!((head.status, head.body.len()), (418, 0));
}

fn stop_empty(stage: &Stage<'_>) {
    stage.plugins(&[("conf-stop", json!({"status": 403}))]);
    let response = stage.gateway.get("/").send();
    assert_eq!((response.status, response.text()), (403, ""));
    stage.plugins(&[("conf-stop", json!({"headers": {"X-Only": "1"}}))]);
    let response = stage.gateway.get("/").send();
    assert_eq!((response.status, response.text()), (200, ""));
    assert_eq!(response.header("x-only"), Some("1"));
    stage.plugins(&[("conf-stop", json!({"status": 204}))]);
    let response = stage.gateway.get("/").send();
    assert_eq!((response.status, response.text()), (204, ""));
}

fn repeated_header(stage: &Stage<'_>) {
    let conf = json!({
        "headers": {"X-Many": "one"},
        "add_headers": [["X-Many", "two"], ["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]],
        "body": "x",
    });
    stage.plugins(&[("conf-stop", conf)]);
    let response = stage.gateway.get("/").send();
    assert_eq!(response.headers.all("x-many"), ["one", "two"]);
    assert_eq!(response.headers.all("set-cookie"), ["a=1", "b=2"]);
}

fn large_body(stage: &Stage<'_>) {
    let body = "0123456789abcdef".repeat(64 << 10);
    stage.plugins(&[("conf-stop", json!({"body": body}))]);
    let response = stage.gateway.get("/").send();
    assert_eq!(response.status, 200);
    assert!(
        response.text() == body,
        "{} bytes came",
        response.body.len()
    );
}

fn value_as_json(stage: &Stage<'_>) {
    let conf = json!([{"name": "conf-stop", "value": {"body": "not a string"}}]);
    stage.route(&json!({"ext-plugin-pre-req": {"conf": conf}}));
    assert_eq!(stage.gateway.get("/").send().text(), "not a string");
}
