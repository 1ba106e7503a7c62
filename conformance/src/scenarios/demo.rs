//! The plugins of `outrigger demo-runner`.

use serde_json::json;

use super::Scenario;
use crate::program::Plugins::Demo;
use crate::stage::Stage;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::shared("demo-say", say).with(Demo),
    Scenario::shared("demo-header-rewrite", header_rewrite).with(Demo),
    Scenario::shared("demo-fault-injection", fault_injection).with(Demo),
    Scenario::shared("demo-limit-req", limit_req).with(Demo),
    Scenario::shared("demo-request-body-rewrite", body_rewrite).with(Demo),
    Scenario::shared("demo-wrong-conf", wrong_conf).with(Demo),
];

fn say(stage: &Stage<'_>) {
    stage.plugins(&[("say", json!({"body": "hello from the demo\n"}))]);
    let response = stage.gateway.get("/").send();
    assert_eq!(
        (response.status, response.text()),
        (200, "hello from the demo\n")
    );
    stage.plugins(&[("say", json!({"body": ""}))]);
    assert_eq!(stage.gateway.get("/hello").send().text(), "hello world\n");
}

fn header_rewrite(stage: &Stage<'_>) {
    let conf = json!({"headers": {"X-A6-Runner": "Rust", "X-Old": "new"}});
    stage.plugins(&[("header-rewrite", conf)]);
    stage.gateway.get("/").header("X-Old", "old").send();
    let seen = stage.upstream.last();
    assert_eq!(seen.headers.all("x-a6-runner"), ["Rust"]);
    assert_eq!(seen.headers.all("x-old"), ["new"]);
}

fn fault_injection(stage: &Stage<'_>) {
    let conf = json!({"http_status": 418, "body": "broken on purpose"});
    stage.plugins(&[("fault-injection", conf)]);
    let response = stage.gateway.get("/").send();
    assert_eq!(
        (response.status, response.text()),
        (418, "broken on purpose")
    );
    let conf = json!({"http_status": 418, "percentage": 0});
    stage.plugins(&[("fault-injection", conf)]);
    assert_eq!(stage.gateway.get("/hello").send().status, 200);
}

fn limit_req(stage: &Stage<'_>) {
    stage.plugins(&[("limit-req", json!({"rate": 0.001, "burst": 1}))]);
    assert_eq!(stage.gateway.get("/hello").send().status, 200);
    stage.plugins(&[("limit-req", json!({"rate": 1000.0, "burst": 100}))]);
    for _ in 0..5 {
        assert_eq!(stage.gateway.get("/hello").send().status, 200);
    }
}

fn body_rewrite(stage: &Stage<'_>) {
    stage.plugins(&[("request-body-rewrite", json!({"new_body": "a new body"}))]);
    let response = stage.gateway.post("/echo").body("the old one").send();
    assert_eq!(response.text(), "a new body");
    let seen = stage.upstream.last();
    assert_eq!(seen.headers.all("content-length"), ["10"]);
}

/// A conf that its plugin does not understand, and a plugin that there is not,
/// fail the calls of their route and no other.
fn wrong_conf(stage: &Stage<'_>) {
    for plugin in [("say", json!({"body": 7})), ("no-such-plugin", json!({}))] {
        stage.plugins(std::slice::from_ref(&plugin));
        let response = stage.gateway.get("/").send();
        assert_eq!(response.status, 503, "{plugin:?}: {response:?}");
        assert_eq!(stage.gateway.get("/plain").send().status, 200);
    }
}
