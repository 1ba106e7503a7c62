//! Programs and gateways as child processes, with shell scripts in their place.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use outrigger_harness::{Gateway, Process, Program, Signal, eventually};
use serde_json::json;

fn script(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("script");
    std::fs::write(&path, format!("#!/bin/sh\n{text}")).expect("a file can be written");
    let executable = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, executable).expect("its mode can be set");
    path
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

#[test]
fn a_program_runs_to_its_end() {
    let exit = Program::new("sh")
        .args(["-c", "echo $GREETING; pwd >&2; exit 3"])
        .env("GREETING", "hello")
        .dir("/")
        .run();
    assert_eq!(exit.status.code(), Some(3));
    assert_eq!((exit.stdout.as_str(), exit.stderr.as_str()), ("hello", "/"));
}

#[test]
fn a_program_is_signalled_and_waited_for() {
    let running = Program::new("sh")
        .args([
            "-c",
            "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
        ])
        .start();
    running.stdout().wait("ready");
    assert!(running.exited().is_none());
    assert!(running.wait_within(Duration::from_millis(20)).is_none());
    running.signal(Signal::TERM);
    assert!(running.wait().status.success());
    assert_eq!(running.stdout().containing("bye"), ["bye"]);
}

#[test]
fn dropping_a_program_leaves_no_process_behind() {
    let running = Program::new("sh")
        .args(["-c", "sleep 600 & echo $!; wait"])
        .start();
    let line = running.stdout().wait("");
    let grandchild = Process::find(line.parse().unwrap()).unwrap();
    let process = running.process();
    assert_eq!(process.descendants(), [grandchild]);
    assert_eq!(grandchild.command_line(), ["sleep", "600"]);
    drop(running);
    assert!(!process.is_alive());
    assert!(!grandchild.is_alive());
}

#[test]
fn a_gateway_gets_its_files_and_tells_its_address() {
    let folder = folder();
    let program = script(
        &folder,
        "cat \"$3\" >&2; echo \"PEARL=$PEARL\" >&2
         echo 'INFO listening on http://127.0.0.1:4321' >&2
         exec sleep 600",
    );
    let gateway = Gateway::build()
        .program(&program)
        .config("ext-plugin: {cmd: [x]}")
        .routes(json!({"routes": [{"uri": "/a"}]}))
        .file("extra.txt", "more")
        .env("PEARL", "white")
        .start();
    assert_eq!(gateway.addresses(), ["127.0.0.1:4321".parse().unwrap()]);
    assert_eq!(gateway.client().address().port(), 4321);
    gateway.wait_log("ext-plugin: {cmd: [x]}");
    gateway.wait_log("PEARL=white");
    gateway.wait_log(
        "apisix: {\"node_listen\":[{\"ip\":\"127.0.0.1\",\"port\":0}],\"control\":{\"port\":0}}",
    );
    let read = |name| std::fs::read_to_string(gateway.folder().join(name)).unwrap();
    assert_eq!(read("apisix.yaml"), "routes: [{\"uri\":\"/a\"}]\n\n#END\n");
    assert_eq!(read("extra.txt"), "more");
    assert!(gateway.runners().is_empty());
    assert_eq!(gateway.stop().status.signal(), Some(15));
}

#[test]
fn new_routes_are_waited_for_until_they_are_applied() {
    let folder = folder();
    let program = script(
        &folder,
        "cd \"$(dirname \"$3\")\"
         echo 'apisix.yaml: 1 routes applied' >&2
         echo 'listening on http://127.0.0.1:1' >&2
         until grep -q second apisix.yaml; do sleep 0.01; done
         echo seen >&2
         echo 'INFO apisix.yaml: 2 routes applied' >&2
         exec sleep 600",
    );
    let gateway = Gateway::build().program(&program).start();
    gateway.set_routes("second: []");
    assert_eq!(gateway.log().containing("seen"), ["seen"]);
    gateway.set_routes("second: []");
}

#[test]
#[should_panic(expected = "apisix.yaml was not applied")]
fn routes_that_the_gateway_refuses_fail_the_test() {
    let folder = folder();
    let program = script(
        &folder,
        "cd \"$(dirname \"$3\")\"
         echo 'listening on http://127.0.0.1:1' >&2
         until grep -q wrong apisix.yaml; do sleep 0.01; done
         echo 'WARN /etc/apisix.yaml: not applied' >&2
         exec sleep 600",
    );
    let gateway = Gateway::build().program(&program).start();
    gateway.set_routes("wrong: []");
}

#[test]
fn runners_are_the_gateways_children_and_go_with_it() {
    let folder = folder();
    let program = script(
        &folder,
        "sleep 600 & sleep 601 &
         echo 'listening on http://127.0.0.1:1' >&2
         wait",
    );
    let gateway = Gateway::build().program(&program).start();
    let runners = gateway.wait_runners(2);
    eventually("both are what they are to be", || {
        runners
            .iter()
            .all(|runner| runner.command_line()[0] == "sleep")
    });
    runners[0].signal(Signal::KILL);
    assert_eq!(gateway.wait_runners(1), runners[1..]);
    gateway.kill();
    assert!(!runners[1].is_alive());
}

#[test]
fn a_gateway_with_wrong_settings_is_run_to_its_end() {
    let folder = folder();
    let program = script(&folder, "echo 'config.yaml: no such key' >&2; exit 2");
    let exit = Gateway::build().program(&program).config("x: 1").run();
    assert_eq!(exit.status.code(), Some(2));
    assert!(exit.stderr.contains("no such key"), "{exit:?}");
}

#[test]
#[should_panic(expected = "the gateway does not serve")]
fn a_gateway_that_ends_instead_of_serving_is_a_failure() {
    let folder = folder();
    let program = script(&folder, "echo oh no >&2; exit 1");
    Gateway::build().program(&program).start();
}
