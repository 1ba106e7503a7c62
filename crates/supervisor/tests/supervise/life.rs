//! Spawn, readiness, respawn, restart.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use outrigger_supervisor::{Backoff, Exit, SocketPath, Spec, Supervisor};

use crate::role;
use crate::support::{Recorder, Seen, command, environment, kill, script, spec, until_gone};

#[tokio::test]
async fn a_runner_is_ready_once_it_listens_on_the_path_it_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let mut spec = spec(dir.path());
    spec.env = environment(&[
        (role::ROLE, "listen after"),
        (role::ARGUMENT, go.to_str().unwrap()),
    ]);
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec, recorder.clone());

    let (generation, _, socket) = recorder.spawned(1).await;
    assert_eq!(socket, dir.path().join(format!("test.{generation}.sock")));
    let is_ready = |seen: &Seen| matches!(seen, Seen::Ready { .. });
    assert!(!recorder.all().iter().any(is_ready));
    fs::write(go, "").unwrap();
    recorder.ready(generation).await;
    UnixStream::connect(socket).unwrap();
    handle.stop().await;
}

#[tokio::test]
async fn a_killed_runner_is_replaced_by_a_new_generation_on_a_new_path() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec(dir.path()), recorder.clone());
    let (first, pid, old_socket) = recorder.spawned(1).await;
    recorder.ready(first).await;
    kill(pid);

    let (second, _, new_socket) = recorder.spawned(2).await;
    assert!(second > first);
    assert_ne!(old_socket, new_socket);
    assert!(
        !old_socket.exists(),
        "a runner that was killed cannot remove its socket"
    );
    assert_eq!(recorder.exited(first).await, (Exit::Signal(9), false));
    let respawn = Seen::Respawn {
        in_: Duration::from_millis(50),
    };
    assert!(recorder.all().contains(&respawn));
    recorder.ready(second).await;
    handle.stop().await;
}

#[tokio::test]
async fn a_command_that_is_missing_is_named_and_tried_until_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path());
    spec.cmd = command(&["./late"]);
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec, recorder.clone());
    let (error, retry_in) = failure(&recorder).await;
    assert!(
        error.contains("/late") && error.contains("no such file"),
        "{error}"
    );
    assert_eq!(retry_in, Some(Duration::from_millis(50)));

    // Renamed into place, as a build does: nobody may execute it half-written.
    program(&dir.path().join("early"), "#!/bin/sh\nexec sleep 300\n");
    fs::rename(dir.path().join("early"), dir.path().join("late")).unwrap();
    recorder.spawned(1).await;
    handle.stop().await;
}

#[tokio::test]
async fn what_keeps_a_program_from_running_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    program(&dir.path().join("crlf"), "#!/bin/sh\r\nexit 0\r\n");
    program(
        &dir.path().join("uninterpreted"),
        "#! /opt/no/such/python3 -u\n",
    );
    fs::write(dir.path().join("occupied"), "a file").unwrap();
    let base = || spec(dir.path());
    let cmd = |argv: &[&str]| Spec {
        cmd: command(argv),
        ..base()
    };
    let long = dir.path().join("x".repeat(200));
    fs::create_dir(&long).unwrap();

    let cases = [
        (
            cmd(&["no-such-program"]),
            "nor in the runner's PATH (\"/usr/local/bin:/usr/bin:/bin\")",
        ),
        (cmd(&["./crlf"]), r#"asks for the interpreter "/bin/sh\r""#),
        (
            cmd(&["./uninterpreted"]),
            r#"asks for the interpreter "/opt/no/such/python3""#,
        ),
        (cmd(&["./occupied"]), "is not executable"),
        (cmd(&["/"]), "is not a regular file"),
        (
            cmd(&["sh", "a\0b"]),
            "argument 1 of `cmd` contains a NUL byte",
        ),
        (
            Spec {
                env: vec![("A=B".into(), "".into())],
                ..base()
            },
            "\"A=B\" cannot be the name",
        ),
        (
            Spec {
                working_dir: dir.path().join("none"),
                ..base()
            },
            "working directory",
        ),
        (
            Spec {
                socket: SocketPath::Fresh { dir: "none".into() },
                ..base()
            },
            "for its socket",
        ),
        (
            Spec {
                socket: SocketPath::Fresh { dir: long },
                ..base()
            },
            "longer than the 107 bytes",
        ),
        (
            Spec {
                socket: SocketPath::Fixed("occupied".into()),
                ..base()
            },
            "is not a socket",
        ),
    ];
    for (spec, expected) in cases {
        let recorder = Recorder::new();
        let handle = Supervisor::start(spec, recorder.clone());
        let (error, _) = failure(&recorder).await;
        assert!(error.contains(expected), "{expected:?} is not in: {error}");
        handle.stop().await;
    }
}

#[tokio::test]
async fn a_restart_keeps_the_old_process_until_the_new_one_is_ready_and_the_old_has_no_calls() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec(dir.path()), recorder.clone());
    let (old, _, old_socket) = recorder.spawned(1).await;
    recorder.ready(old).await;
    handle.restart();
    let (new, _, _) = recorder.spawned(2).await;
    recorder
        .first("retirement", |seen| {
            (*seen == Seen::Retired { generation: old }).then_some(())
        })
        .await;
    UnixStream::connect(&old_socket).expect("the old process still serves");
    handle.drained(old);
    assert_eq!(recorder.exited(old).await, (Exit::Signal(15), true));
    assert!(!old_socket.exists());
    let ready =
        |of| move |seen: &Seen| matches!(seen, Seen::Ready { generation, .. } if *generation == of);
    let stopping = |seen: &Seen| *seen == Seen::Stopping { generation: old };
    assert!(recorder.position(ready(new)) < recorder.position(stopping));
    handle.stop().await;
}

#[tokio::test]
async fn a_restart_on_a_fixed_path_ends_the_old_process_first() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let fixed = Spec {
        socket: SocketPath::Fixed("fixed.sock".into()),
        ..spec(dir.path())
    };
    let handle = Supervisor::start(fixed, recorder.clone());
    let (old, pid, socket) = recorder.spawned(1).await;
    assert_eq!(socket, dir.path().join("fixed.sock"));
    recorder.ready(old).await;
    handle.restart();
    let (new, _, _) = recorder.spawned(2).await;
    recorder.ready(new).await;
    assert_eq!(recorder.exited(old).await, (Exit::Signal(15), true));
    let exited = |seen: &Seen| matches!(seen, Seen::Exited { .. });
    let second =
        |seen: &Seen| matches!(seen, Seen::Spawned { generation, .. } if *generation == new);
    assert!(recorder.position(exited) < recorder.position(second));
    until_gone(pid).await;
    handle.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_restart_can_bring_another_command() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(
        script(dir.path(), "echo old; exec sleep 300"),
        recorder.clone(),
    );
    recorder.line("old").await;
    handle.restart_with(script(dir.path(), "echo new; exec sleep 300"));
    recorder.line("new").await;
    handle.stop().await;
}

#[tokio::test]
async fn a_program_that_keeps_failing_is_replaced_after_growing_delays() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let mut spec = script(dir.path(), "exit 3");
    spec.backoff = Backoff {
        first: Duration::from_millis(1),
        max: Duration::from_millis(4),
    };
    let handle = Supervisor::start(spec, recorder.clone());
    let (first, _, _) = recorder.spawned(1).await;
    assert_eq!(recorder.exited(first).await, (Exit::Code(3), false));
    recorder.spawned(5).await;
    let delay = |seen: Seen| match seen {
        Seen::Respawn { in_ } => Some(in_.as_millis()),
        _ => None,
    };
    let delays: Vec<_> = recorder
        .all()
        .into_iter()
        .filter_map(delay)
        .take(4)
        .collect();
    assert_eq!(delays, [1, 2, 4, 4]);
    handle.stop().await;
}

async fn failure(recorder: &Recorder) -> (String, Option<Duration>) {
    recorder
        .first("failed spawn", |seen| match seen {
            Seen::SpawnFailed { error, retry_in } => Some((error.clone(), *retry_in)),
            _ => None,
        })
        .await
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
