//! A runner that fails, dies or is not there.

use outrigger_harness::{Signal, Traffic, eventually};
use serde_json::{Value, json};

use super::Scenario;
use crate::limits;
use crate::program::Plugins::Conformance;
use crate::program::Program;
use crate::stage::{Mode, Setting, Stage, conf};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::shared("plugin-fails", plugin_fails).with(Conformance),
    Scenario::shared("plugin-fails-degraded", degraded).with(Conformance),
    Scenario::own("runner-exits-in-a-call", exits_in_a_call).with(Conformance),
    Scenario::own("runner-killed-and-back", killed_and_back),
    Scenario::own("runner-absent-at-first", absent).only(Mode::Path),
];

fn plugin_fails(stage: &Stage<'_>) {
    stage.plugins(&[("conf-fail", json!({"how": "throw"}))]);
    let hits = stage.upstream.hits();
    for _ in 0..3 {
        let response = stage.gateway.get("/").send();
        assert_eq!(response.status, 503, "{response:?}");
        let message = response.json();
        assert!(message["error_msg"].is_string(), "{message}");
    }
    assert_eq!(stage.upstream.hits(), hits, "it went on to the upstream");
    assert_eq!(stage.gateway.get("/plain").send().status, 200);
    stage.wait_ready();
}

fn degraded(stage: &Stage<'_>) {
    let mut failing = conf(&[("conf-fail", json!({"how": "throw"}))]);
    failing["allow_degradation"] = Value::Bool(true);
    stage.route(&json!({"ext-plugin-pre-req": failing}));
    let response = stage.gateway.post("/echo").body("goes on").send();
    assert_eq!((response.status, response.text()), (200, "goes on"));
}

/// A call waits for a runner that is gone, for as long as it may take.
fn short_calls() -> Value {
    json!({"timeout": {"call": limits::SHORT_CALL_MILLIS}})
}

fn exits_in_a_call(program: &Program, mode: Mode) {
    let setting = Setting {
        ext_plugin: short_calls(),
        ..Setting::default()
    };
    let stage = Stage::with(program, mode, setting);
    let first = stage.runner();
    stage.plugins(&[("conf-fail", json!({"how": "exit"}))]);
    assert_eq!(stage.gateway.get("/").send().status, 503);
    eventually("the runner is gone", || !first.is_alive());
    stage.start_runner();
    stage.wait_ready();
}

/// Two confs, asked for in the other order after the restart: a runner that
/// numbers its tokens from 1 would answer with the wrong one if the old tokens
/// were still believed.
fn killed_and_back(program: &Program, mode: Mode) {
    let stage = Stage::new(program, mode);
    let route = |name: &str| {
        let says = conf(&[program.says(name)]);
        let uri = format!("/{name}");
        json!({"id": name, "uri": uri, "plugins": {"ext-plugin-pre-req": says}})
    };
    stage.routes(vec![route("first"), route("second")]);
    for name in ["first", "second"] {
        assert_eq!(stage.gateway.get(&format!("/{name}")).send().text(), name);
    }
    let traffic = Traffic::start(stage.gateway.client(), "/plain", 2);
    traffic.wait_more(limits::UNNOTICED);
    let killed = stage.runner();
    killed.signal(Signal::KILL);
    eventually("the runner is gone", || !killed.is_alive());
    stage.start_runner();
    for name in ["second", "first"] {
        let mut last = stage.gateway.get("/plain").send();
        eventually("the runner answers again", || {
            last = stage.gateway.get(&format!("/{name}")).send();
            assert!(matches!(last.status, 200 | 503), "{last:?}");
            last.status == 200
        });
        assert_eq!(last.text(), name);
    }
    assert_ne!(stage.runner(), killed);
    traffic.wait_more(limits::UNNOTICED);
    let tally = traffic.stop();
    assert!(tally.only(200), "routes without plugins noticed: {tally:?}");
}

fn absent(program: &Program, mode: Mode) {
    let setting = Setting {
        ext_plugin: short_calls(),
        runner_absent: true,
        ..Setting::default()
    };
    let stage = Stage::with(program, mode, setting);
    let response = stage.gateway.get("/").send();
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(stage.gateway.get("/plain").send().status, 200);
    stage.start_runner();
    stage.wait_ready();
}
