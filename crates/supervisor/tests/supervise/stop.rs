//! The end of a runner, wanted or not, leaves nothing behind.

use std::time::Duration;

use outrigger_supervisor::{Backoff, Exit, Supervisor};

use crate::support::{Recorder, Seen, command, kill, runs, script, spec, until_gone};

/// A script that ignores SIGTERM, as does its child, and tells both ids.
const STUBBORN: &str = r#"
    trap "" TERM
    (while :; do sleep 1; done) &
    echo "child $!"
    echo "ready"
    while :; do sleep 1; done
"#;

#[tokio::test]
async fn a_stop_removes_process_and_socket_and_reports_the_last_event() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec(dir.path()), recorder.clone());
    let (generation, pid, socket) = recorder.spawned(1).await;
    recorder.ready(generation).await;
    handle.stop().await;
    assert!(!runs(pid));
    assert!(!socket.exists());
    let exited = Seen::Exited {
        generation,
        status: Exit::Signal(15),
        requested: true,
    };
    let last = [Seen::Stopping { generation }, exited, Seen::Stopped];
    assert_eq!(recorder.all()[recorder.all().len() - 3..], last);
}

#[tokio::test]
async fn a_group_that_ignores_sigterm_is_killed_after_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = script(dir.path(), STUBBORN);
    spec.stop_grace = Duration::from_millis(50);
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec, recorder.clone());
    let child = recorder.line("child ").await.parse().unwrap();
    recorder.line("ready").await;
    let (generation, pid, _) = recorder.spawned(1).await;
    handle.stop().await;
    assert_eq!(recorder.exited(generation).await, (Exit::Signal(9), true));
    assert!(recorder.all().contains(&Seen::Killed { generation }));
    assert!(!runs(pid));
    until_gone(child).await;
}

#[tokio::test]
async fn what_the_leader_leaves_behind_has_the_rest_of_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"
        (
            trap 'echo tidied; exit' TERM
            echo ready
            while :; do sleep 0.01; done
        ) &
        exec sleep 300
    "#;
    let recorder = Recorder::new();
    let handle = Supervisor::start(script(dir.path(), text), recorder.clone());
    recorder.line("ready").await;
    handle.stop().await;
    assert!(
        recorder.lines().iter().any(|line| line == "tidied"),
        "{:?}",
        recorder.lines()
    );
}

#[tokio::test]
async fn what_a_dead_leader_leaves_behind_is_killed_before_the_respawn() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(script(dir.path(), STUBBORN), recorder.clone());
    let child = recorder.line("child ").await.parse().unwrap();
    let (_, pid, _) = recorder.spawned(1).await;
    kill(pid);
    recorder.spawned(2).await;
    assert!(!runs(child));
    drop(handle);
}

#[tokio::test]
async fn a_dropped_handle_kills_the_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(script(dir.path(), STUBBORN), recorder.clone());
    let child = recorder.line("child ").await.parse().unwrap();
    let (generation, pid, _) = recorder.spawned(1).await;
    drop(handle);
    assert_eq!(recorder.exited(generation).await, (Exit::Signal(9), true));
    assert!(!runs(pid));
    until_gone(child).await;
}

#[test]
fn a_runtime_that_shuts_down_kills_the_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let recorder = Recorder::new();
    let (handle, pids) = runtime.block_on(async {
        let handle = Supervisor::start(script(dir.path(), STUBBORN), recorder.clone());
        let child = recorder.line("child ").await.parse().unwrap();
        (handle, [recorder.spawned(1).await.1, child])
    });
    drop(runtime);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for pid in pids {
            until_gone(pid).await;
        }
    });
    drop(handle);
}

#[tokio::test]
async fn a_stop_whose_future_is_dropped_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec(dir.path()), recorder.clone());
    let (generation, _, _) = recorder.spawned(1).await;
    recorder.ready(generation).await;
    let mut stop = Box::pin(handle.stop());
    tokio::select! {
        biased;
        () = &mut stop => panic!("a stop takes more than one poll"),
        () = std::future::ready(()) => {}
    }
    drop(stop);
    assert_eq!(recorder.exited(generation).await, (Exit::Signal(15), true));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_next_try() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path());
    spec.cmd = command(&["no-such-program"]);
    let hour = Duration::from_secs(3600);
    spec.backoff = Backoff {
        first: hour,
        max: hour,
    };
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec, recorder.clone());
    recorder
        .first("failed spawn", |seen| {
            matches!(seen, Seen::SpawnFailed { .. }).then_some(())
        })
        .await;
    handle.stop().await;
    assert_eq!(recorder.all().last(), Some(&Seen::Stopped));
}

#[tokio::test]
async fn a_stop_before_the_first_spawn_spawns_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    // On this runtime the supervisor's task first runs when we wait for it.
    Supervisor::start(spec(dir.path()), recorder.clone())
        .stop()
        .await;
    assert_eq!(recorder.all().last(), Some(&Seen::Stopped));
    let spawned = recorder
        .all()
        .iter()
        .filter(|it| matches!(it, Seen::Spawned { .. }))
        .count();
    assert_eq!(spawned, 0, "{:?}", recorder.all());
}
