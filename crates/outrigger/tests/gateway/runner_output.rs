//! What a runner writes: its level, where it goes, and how much of it.

use std::fs;

use outrigger_harness::{Gateway, Signal, eventually};
use serde_json::{Value, json};

use crate::support::{gateway, with};

/// A gateway whose runner is this script, with more settings.
fn saying(script: &str, more: Value) -> Gateway {
    let cmd = json!({"cmd": ["sh", "-c", format!("{script}\nexec sleep 600")]});
    gateway()
        .config(json!({"ext-plugin": with(cmd, more)}))
        .start()
}

#[test]
fn lines_are_in_the_log_with_the_runners_name_at_the_level_that_they_say() {
    let script = r#"
        echo 'plain on stdout'
        echo 'plain \033[31mon stderr' >&2
        echo '{"level":"error","msg":"as json"}'
        echo 'time=1 level=warn msg="as logfmt"'
        printf '2026-01-01T00:00:00Z\tERROR\tserver.go:1\tas zap does\n'
        echo '2026-01-01 00:00:00,000 [main] INFO  a.B - as log4j does' >&2
        echo 'DEBUG: not in a log of level info'
        printf 'unfinished'
    "#;
    let gateway = saying(script, json!({}));
    for (text, level) in [
        ("plain on stdout", " INFO "),
        ("plain \\u{1b}[31mon stderr", " WARN "),
        ("as json", " ERROR "),
        ("as logfmt", " WARN "),
        ("as zap does", " ERROR "),
        ("as log4j does", " INFO "),
    ] {
        let line = gateway.wait_log(text);
        assert!(line.contains("runner=\"default\""), "{line}");
        let said = line
            .find(level)
            .is_some_and(|place| place < line.find(text).unwrap());
        assert!(said, "{level}: {line}");
    }
    assert!(!gateway.log().text().contains("not in a log"));
}

#[test]
fn the_least_level_is_a_setting() {
    let script = "echo 'INFO hidden'; echo 'ERROR shown'; echo WARN shown too";
    let gateway = saying(script, json!({"log": {"level": "warn"}}));
    gateway.wait_log("shown too");
    assert!(gateway.log().text().contains("ERROR shown"));
    assert!(!gateway.log().text().contains("hidden"));
}

#[test]
fn too_many_lines_are_left_out_and_counted() {
    let script = "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; exit 1";
    let gateway = saying(script, json!({"log": {"max_rate": 1, "burst": 20}}));
    let line = gateway.wait_log("lines of output were left out");
    assert!(line.contains("log.max_rate"), "{line}");
    let lines = gateway.log().lines();
    let shown = lines.iter().filter(|line| line.contains(" line ")).count();
    // Some more where the machine takes seconds for the loop.
    assert!((20..200).contains(&shown), "{shown}");
}

#[test]
fn lines_are_appended_to_a_file_that_sighup_opens_anew() {
    let gateway = saying("echo 'DEBUG first'", json!({"log": {"file": "runner.log"}}));
    let file = gateway.folder().join("runner.log");
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    eventually("the line is in the file", || read(&file) == "DEBUG first\n");

    let moved = gateway.folder().join("runner.log.1");
    fs::rename(&file, &moved).unwrap();
    gateway.signal(Signal::HUP);
    // The runner that SIGHUP starts says the same.
    eventually("a new file", || read(&file) == "DEBUG first\n");
    assert_eq!(read(&moved), "DEBUG first\n");

    // SIGUSR1 does that without restarting anything.
    fs::rename(&file, &moved).unwrap();
    gateway.signal(Signal::USR1);
    eventually("an empty file", || file.exists());
    assert_eq!(read(&file), "");
}

#[test]
fn a_file_that_cannot_be_written_is_told_and_stops_nothing() {
    let script = "echo to a full disk; echo said";
    let gateway = saying(script, json!({"log": {"file": "/dev/full"}}));
    gateway.wait_log("said");
    let line = gateway.wait_log("lines of output are missing in /dev/full: No space left");
    assert!(line.contains("WARN"), "{line}");
    assert!(gateway.stop().status.success());
}
