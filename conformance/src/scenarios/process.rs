//! The runner as a process: what it is given, where it runs, how it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use outrigger_harness::{Process, Signal, Traffic, eventually, until};
use serde_json::{Value, json};

use super::Scenario;
use crate::limits;
use crate::program::Plugins::Conformance;
use crate::program::Program;
use crate::stage::{Mode, Setting, Stage};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::own("environment", environment)
        .only(Mode::Cmd)
        .with(Conformance),
    Scenario::own("cmd-on-path-for-test", cmd_on_path)
        .only(Mode::Cmd)
        .with(Conformance),
    Scenario::own("output-in-the-log", output).only(Mode::Cmd),
    Scenario::own("ends-with-sigterm", sigterm).only(Mode::Cmd),
    Scenario::own("ends-with-sigkill", sigkill)
        .only(Mode::Cmd)
        .with(Conformance),
    Scenario::own("dies-with-the-gateway", dies_with_gateway).only(Mode::Cmd),
    Scenario::own("reload-restarts-it-unnoticed", reload).only(Mode::Cmd),
    Scenario::own("external-runner-outlives-the-gateway", outlives).only(Mode::Path),
];

/// What the runner says about itself.
fn told(stage: &Stage<'_>) -> Value {
    stage.plugins(&[("conf-env", json!({}))]);
    let response = stage.gateway.get("/").send();
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

fn environment(program: &Program, mode: Mode) {
    let setting = Setting {
        config: json!({"nginx_config": {"envs": [
            "CONF_PASSED", "CONF_SET=to this", "CONF_NOSUCH",
        ]}}),
        env: vec![("CONF_PASSED", "from outside"), ("CONF_HIDDEN", "secret")],
        ..Setting::default()
    };
    let stage = Stage::with(program, mode, setting);
    let told = told(&stage);
    let env = told["env"].as_object().expect("an object");
    assert_eq!(env.get("CONF_PASSED"), Some(&json!("from outside")));
    assert_eq!(env.get("CONF_SET"), Some(&json!("to this")));
    assert_eq!(env.get("APISIX_CONF_EXPIRE_TIME"), Some(&json!("3600")));
    let known = [
        "APISIX_LISTEN_ADDRESS",
        "APISIX_CONF_EXPIRE_TIME",
        "CONF_PASSED",
        "CONF_SET",
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "TMPDIR",
    ];
    let strange: Vec<_> = env
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert!(
        strange.is_empty(),
        "passed without being declared: {strange:?}"
    );
    let address = env["APISIX_LISTEN_ADDRESS"].as_str().unwrap_or_default();
    let socket = Path::new(address.strip_prefix("unix:").unwrap_or("not a unix socket"));
    assert!(socket.is_absolute(), "{address}");
    let folder = socket.parent().expect("an absolute path has a parent");
    let mode = folder.metadata().expect("the socket's folder exists");
    assert_eq!(mode.permissions().mode() & 0o777, 0o700, "{folder:?}");
    let home = stage.gateway.folder().canonicalize();
    let home = home.expect("the gateway's folder exists");
    assert_eq!(told["cwd"].as_str(), home.to_str(), "its working folder");
    assert_eq!(told["pid"], stage.runner().pid());
}

fn cmd_on_path(program: &Program, mode: Mode) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let socket = folder.path().join("given.sock");
    let setting = Setting {
        ext_plugin: json!({"path_for_test": socket}),
        ..Setting::default()
    };
    let stage = Stage::with(program, mode, setting);
    let address = format!("unix:{}", socket.display());
    assert_eq!(told(&stage)["env"]["APISIX_LISTEN_ADDRESS"], address);
}

fn output(program: &Program, mode: Mode) {
    let stage = Stage::new(program, mode);
    stage.gateway.wait_log(program.hello);
}

/// Stops the gateway and returns how long that took and what it logged.
fn stopped(stage: &Stage<'_>, runner: Process) -> (Duration, String) {
    let started = Instant::now();
    let exit = stage.gateway.stop();
    let elapsed = started.elapsed();
    assert!(exit.status.success(), "{exit:?}");
    assert!(!runner.is_alive(), "the runner was left behind");
    (elapsed, exit.stderr)
}

fn sigterm(program: &Program, mode: Mode) {
    let setting = Setting {
        ext_plugin: json!({"stop_grace": limits::LONG_GRACE_MILLIS}),
        ..Setting::default()
    };
    let stage = Stage::with(program, mode, setting);
    let (elapsed, log) = stopped(&stage, stage.runner());
    let grace = Duration::from_millis(limits::LONG_GRACE_MILLIS);
    assert!(
        elapsed < grace,
        "it took SIGKILL to end it, after {elapsed:?}"
    );
    if let Some(goodbye) = program.goodbye {
        assert!(log.contains(goodbye), "no {goodbye:?} in\n{log}");
    }
}

fn sigkill(program: &Program, mode: Mode) {
    let setting = Setting {
        ext_plugin: json!({"stop_grace": limits::STOP_GRACE_MILLIS}),
        lingers: true,
        ..Setting::default()
    };
    let stage = Stage::with(program, mode, setting);
    let (elapsed, log) = stopped(&stage, stage.runner());
    let grace = Duration::from_millis(limits::STOP_GRACE_MILLIS);
    assert!(elapsed >= grace, "killed after {elapsed:?}");
    if let Some(goodbye) = program.goodbye {
        assert!(log.contains(goodbye), "no {goodbye:?} in\n{log}");
    }
}

fn dies_with_gateway(program: &Program, mode: Mode) {
    let stage = Stage::new(program, mode);
    let runner = stage.runner();
    stage.gateway.signal(Signal::KILL);
    stage.gateway.wait_exit();
    eventually("the runner follows its gateway", || !runner.is_alive());
}

fn reload(program: &Program, mode: Mode) {
    let stage = Stage::new(program, mode);
    let first = stage.runner();
    stage.plugins(&[program.says("still here")]);
    let traffic = Traffic::start(stage.gateway.client(), "/", 2);
    traffic.wait_more(limits::UNNOTICED);
    stage.gateway.signal(Signal::HUP);
    let second = until("a new runner in place of the old one", || {
        match stage.gateway.runners()[..] {
            [only] if only != first => Some(only),
            _ => None,
        }
    });
    traffic.wait_more(limits::UNNOTICED);
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
    assert_eq!(stage.runner(), second);
}

fn outlives(program: &Program, mode: Mode) {
    let stage = Stage::new(program, mode);
    let runner = stage.runner();
    let exit = stage.gateway.stop();
    assert!(exit.status.success(), "{exit:?}");
    assert!(
        runner.is_alive(),
        "the gateway stopped what it had not started"
    );
}
