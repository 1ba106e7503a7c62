//! Runners that are not there: that cannot be started, exit, or do not listen.

use outrigger_harness::{Gateway, Upstream};
use serde_json::{Value, json};

use crate::policies::{assert_calls_fail, assert_failed, every_policy};
use crate::runners::Scripted;
use crate::support::{OUTRIGGER, gateway};

/// A gateway whose runner is started by these words, with a short time for
/// calls, which wait for it as long.
fn started_by(cmd: &Value, upstream: &Upstream) -> Gateway {
    let runner = json!({"cmd": cmd, "timeout": {"call": 500}});
    gateway()
        .config(json!({"ext-plugin": runner}))
        .routes(every_policy(upstream))
        .start()
}

#[test]
fn a_runner_that_cannot_be_started_is_named_with_the_error_and_the_remedy() {
    let upstream = Upstream::echo();
    for (cmd, error, remedy) in [
        (
            json!(["./no-such-runner", "run"]),
            "no-such-runner\": there is no such file",
            "correct `cmd`",
        ),
        (
            json!(["no-such-runner"]),
            "\"no-such-runner\": there is no such file in",
            "install it",
        ),
        (
            json!(["./config.yaml"]),
            "config.yaml\": it is not executable",
            "chmod +x",
        ),
        (
            json!(["/"]),
            "\"/\": it is not a regular file",
            "let `cmd` name the program itself",
        ),
    ] {
        let gateway = started_by(&cmd, &upstream);
        let line = gateway.wait_log("cannot start");
        assert!(line.contains("ERROR"), "{line}");
        assert!(line.contains(error), "{line}");
        assert!(line.contains(remedy), "{line}");
        assert!(line.contains("runner=\"default\""), "{line}");
        assert_calls_fail(&gateway, &upstream, "unavailable");
        assert!(gateway.runners().is_empty());
    }
}

#[test]
fn a_runner_that_can_be_started_later_is() {
    let upstream = Upstream::echo();
    let gateway = started_by(&json!(["sh", "./later.sh"]), &upstream);
    gateway.wait_log("exited");
    assert_calls_fail(&gateway, &upstream, "unavailable");
    let script = format!("exec '{OUTRIGGER}' demo-runner\n");
    std::fs::write(gateway.folder().join("later.sh"), script).unwrap();
    gateway.wait_log("listens on");
    let response = gateway.get("/pre").send();
    assert_failed(&response, "ext-plugin-pre-req", "refused");
}

#[test]
fn a_runner_that_does_not_listen_is_unavailable() {
    let upstream = Upstream::echo();
    let gateway = started_by(&json!(["sleep", "600"]), &upstream);
    assert_calls_fail(&gateway, &upstream, "unavailable");
    let line = gateway.wait_log("does not listen after");
    assert!(line.contains("APISIX_LISTEN_ADDRESS=unix:/"), "{line}");
}

#[test]
fn a_runner_that_exits_at_once_is_unavailable() {
    let upstream = Upstream::echo();
    let gateway = started_by(
        &json!(["sh", "-c", "echo no licence >&2; exit 7"]),
        &upstream,
    );
    assert_calls_fail(&gateway, &upstream, "unavailable");
    gateway.wait_log("no licence");
    gateway.wait_log("status 7");
    gateway.wait_log("a new process follows in");
}

#[test]
fn without_a_runner_calls_are_unavailable() {
    let upstream = Upstream::echo();
    let gateway = gateway().routes(every_policy(&upstream)).start();
    let response = gateway.get("/pre").send();
    assert_failed(&response, "ext-plugin-pre-req", "unavailable");
    gateway.wait_log("set ext-plugin.cmd or ext-plugin.path_for_test in config.yaml");
}

#[test]
fn nobody_at_path_for_test_is_unavailable_until_there_is_somebody() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let elsewhere = runner.path().with_extension("later");
    let settings = json!({"path_for_test": elsewhere, "timeout": {"call": 500}});
    let gateway = gateway()
        .config(json!({"ext-plugin": settings}))
        .routes(every_policy(&upstream))
        .start();
    assert_calls_fail(&gateway, &upstream, "unavailable");
    std::fs::hard_link(runner.path(), &elsewhere).unwrap();
    assert_eq!(gateway.get("/pre").send().status, 200);
}
