//! Output reaches the observer line by line, and never holds anything up.

use std::fs;
use std::time::Duration;

use outrigger_supervisor::{Stream, Supervisor};

use crate::support::{Recorder, Seen, kill, runs, script};

#[tokio::test]
async fn lines_are_told_with_their_stream_and_all_of_them_before_the_exit() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let text = r#"echo out; echo err >&2; printf 'not \377 utf-8\nno line end'; exit 7"#;
    let handle = Supervisor::start(script(dir.path(), text), recorder.clone());
    let (generation, _, _) = recorder.spawned(1).await;
    recorder.exited(generation).await;
    handle.stop().await;

    let of = |wanted: Stream| -> Vec<String> {
        let line = |seen| match seen {
            Seen::Output {
                generation: from,
                stream,
                line,
            } if stream == wanted && from == generation => Some(line),
            _ => None,
        };
        recorder.all().into_iter().filter_map(line).collect()
    };
    assert_eq!(
        of(Stream::Stdout),
        ["out", "not \u{fffd} utf-8", "no line end"]
    );
    assert_eq!(of(Stream::Stderr), ["err"]);
    let last_line =
        |seen: &Seen| matches!(seen, Seen::Output { line, .. } if line == "no line end");
    let exited = |seen: &Seen| matches!(seen, Seen::Exited { .. });
    assert!(recorder.position(last_line) < recorder.position(exited));
}

#[tokio::test]
async fn everything_written_just_before_the_exit_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    // Less than a pipe holds, so that the process is gone before it is read.
    let numbers: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
    fs::write(dir.path().join("numbers"), numbers.join("\n")).unwrap();
    let text = "read go < pipe; cat numbers";
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let handle = Supervisor::start(script(dir.path(), text), recorder.clone());
    let (generation, pid, _) = recorder.spawned(1).await;
    // Held up on purpose, with the runtime, until the process has gone.
    fs::write(dir.path().join("pipe"), "go\n").unwrap();
    while runs(pid) {
        std::thread::sleep(Duration::from_millis(1));
    }
    recorder.exited(generation).await;
    assert_eq!(recorder.lines(), numbers);
    drop(handle);
}

#[tokio::test]
async fn a_descendant_that_keeps_the_pipes_open_does_not_hold_up_the_respawn() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    // In a session of its own, out of reach of the group's signals.
    let text = "setsid sh -c 'echo daemon $$; exec sleep 300' & read go < /dev/null; wait";
    let handle = Supervisor::start(script(dir.path(), text), recorder.clone());
    let daemon: u32 = recorder.line("daemon ").await.parse().unwrap();
    let (first, pid, _) = recorder.spawned(1).await;
    kill(pid);
    recorder.exited(first).await;
    assert!(runs(daemon));
    kill(daemon);
    handle.stop().await;
    // The successor has one too.
    for line in recorder.lines() {
        let daemon: u32 = line.strip_prefix("daemon ").unwrap().parse().unwrap();
        if runs(daemon) {
            kill(daemon);
        }
    }
}

#[tokio::test]
async fn a_flood_of_output_leaves_the_runtime_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(script(dir.path(), "exec cat /dev/zero"), recorder.clone());
    let (generation, _, _) = recorder.spawned(1).await;
    recorder.line("\0").await;
    handle.stop().await;
    let cut = |seen: &Seen| matches!(seen, Seen::Output { .. });
    assert_eq!(recorder.all().iter().filter(|seen| cut(seen)).count(), 1);
    recorder.exited(generation).await;
}
