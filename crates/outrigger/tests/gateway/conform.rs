//! `outrigger conform`: the command line of the protocol's conformance suite.

use outrigger_harness::{Exit, Program};

use crate::support::OUTRIGGER;

/// Exit code, standard output and standard error of `outrigger conform`.
fn conform(arguments: &[&str]) -> (i32, String, String) {
    let program = Program::new(OUTRIGGER).args(["conform"]);
    let Exit {
        status,
        stdout,
        stderr,
    } = program.args(arguments).run();
    (status.code().expect("it exits"), stdout, stderr)
}

/// The same, with our own runner, on some rules.
fn conform_demo(arguments: &[&str]) -> (i32, String, String) {
    let rules = ["--rule", "empty-conf", "--rule", "stop"];
    let command = ["--cmd", OUTRIGGER, "demo-runner"];
    conform(&[&rules[..], arguments, &command].concat())
}

#[test]
fn a_runner_that_breaks_no_rule_is_told_so() {
    let (code, stdout, stderr) = conform_demo(&["--plugin", r#"say={"body":"hi"}:stop"#]);
    let expected = "\
configurations
  right        empty-conf

request plugins
  right        stop

2 right, 0 differently, 0 wrong";
    assert_eq!((code, stdout.as_str()), (0, expected), "{stderr}");
}

#[test]
fn a_broken_rule_is_exit_code_1_also_in_json() {
    // The plugin does not do what it is said to.
    let plugin = ["--plugin", r#"wait={"ms":1}:stop"#];
    let (code, stdout, stderr) = conform_demo(&[&["--json"][..], &plugin].concat());
    assert_eq!(code, 1, "{stderr}");
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["passed"], false);
    assert_eq!(json["rules"][1]["verdict"], "wrong");
    let seen = "it does not answer the request: None";
    assert_eq!(json["rules"][1]["seen"], seen);
}

#[test]
fn profile_and_exclusions_are_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let profile = "plugins: {stop: {conf: [{name: wait, value: {ms: 1}}]}}";
    let profile = file("profile.yaml", profile);
    let list = file("list.yaml", "[{rule: stop, reason: it waits}]");
    let (code, stdout, stderr) = conform_demo(&["--profile", &profile, "--exclusions", &list]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("known: it waits"), "{stdout}");
    let list = file("list.yaml", "[{rule: empty-conf, reason: none}]");
    let (code, stdout, _) = conform_demo(&["--exclusions", &list]);
    assert_eq!(code, 1, "an exclusion without need: {stdout}");
    let list = file("list.yaml", "[{rule: no-such, reason: none}]");
    let (code, _, stderr) = conform_demo(&["--exclusions", &list]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("list.yaml: [0]: \"no-such\" is no rule"),
        "{stderr}"
    );
}

#[test]
fn what_cannot_be_tried_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", folder.path().join("absent.sock").display());
    let (code, stdout, stderr) = conform(&[&address]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(
        stderr.contains("absent.sock: no runner listens there"),
        "{stderr}"
    );
    let (code, _, stderr) = conform(&["--cmd", "/no/such/program"]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("/no/such/program: cannot be started"),
        "{stderr}"
    );
    let (code, _, stderr) = conform(&[]);
    assert_eq!(code, 2);
    assert!(stderr.contains("<ADDRESS|"), "{stderr}");
}

#[test]
fn the_rules_are_listed() {
    let (code, stdout, _) = conform(&["--list"]);
    assert_eq!(code, 0);
    let line =
        "  empty-conf                The runner gives a token for a configuration without plugins.";
    assert!(stdout.lines().any(|one| one == line), "{stdout}");
}
