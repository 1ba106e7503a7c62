//! A replacement that does not come up, a halt and a start.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use outrigger_supervisor::{SocketPath, Spec, State, Supervisor, Trouble};

use crate::support::{Recorder, Seen, command, kill, runs, script, spec};

#[tokio::test]
async fn a_replacement_that_cannot_start_leaves_the_process_that_works_and_its_command() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec(dir.path()), recorder.clone());
    let (old, pid, socket) = recorder.spawned(1).await;
    recorder.ready(old).await;
    for broken in [
        Spec {
            cmd: command(&["./no-such-program"]),
            ..spec(dir.path())
        },
        script(dir.path(), "echo broken; exit 1"),
        Spec {
            start_limit: Duration::from_millis(20),
            ..script(dir.path(), "exec sleep 300")
        },
    ] {
        let before = fallbacks(&recorder.all()).len();
        handle.restart_with(broken);
        recorder
            .until("falling back", |seen| {
                (fallbacks(seen).len() > before).then_some(())
            })
            .await;
        UnixStream::connect(&socket).expect("the old process serves");
    }
    assert!(runs(pid));
    let [by_absence, by_end, by_time] = fallbacks(&recorder.all())[..] else {
        panic!("{:#?}", recorder.all())
    };
    let ends = Trouble::Ends { times: 3 };
    assert_eq!((by_absence, by_end), ((ends, true), (ends, true)));
    assert!(
        matches!(by_time, (Trouble::Late { .. }, true)),
        "{by_time:?}"
    );

    kill(pid);
    let next = ready_after(&recorder, old).await;
    UnixStream::connect(next).expect("its successor is one like it");
    handle.stop().await;
}

/// What is told of each replacement given up, and whether a process serves.
fn fallbacks(seen: &[Seen]) -> Vec<(Trouble, bool)> {
    let told = seen.iter().filter_map(|seen| match seen {
        Seen::FellBack { trouble, serving } => Some((*trouble, serving.is_some())),
        _ => None,
    });
    told.collect()
}

/// The socket of a process that is ready, other than `old`.
async fn ready_after(
    recorder: &Recorder,
    old: outrigger_supervisor::Generation,
) -> std::path::PathBuf {
    recorder
        .first("successor", |seen| match seen {
            Seen::Ready { generation, socket } if *generation > old => Some(socket.clone()),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn on_a_fixed_path_a_process_as_before_follows_a_replacement_that_cannot_start() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let fixed = |spec: Spec| Spec {
        socket: SocketPath::Fixed("fixed.sock".into()),
        ..spec
    };
    let handle = Supervisor::start(fixed(spec(dir.path())), recorder.clone());
    let (old, _, _) = recorder.spawned(1).await;
    recorder.ready(old).await;
    handle.restart_with(fixed(script(dir.path(), "exit 1")));
    let socket = ready_after(&recorder, old).await;
    UnixStream::connect(socket).unwrap();
    assert_eq!(
        fallbacks(&recorder.all()),
        [(Trouble::Ends { times: 3 }, false)]
    );
    handle.stop().await;
}

#[tokio::test]
async fn a_halted_runner_has_no_process_until_it_is_started_or_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec(dir.path()), recorder.clone());
    for round in 1..4 {
        let (generation, pid, _) = recorder.spawned(round).await;
        recorder.ready(generation).await;
        handle.halt();
        recorder
            .first("retirement", |seen| {
                (*seen == Seen::Retired { generation }).then_some(())
            })
            .await;
        handle.drained(generation);
        recorder
            .until("halt", |seen| {
                let halts = seen.iter().filter(|seen| **seen == Seen::Halted);
                (halts.count() == round).then_some(())
            })
            .await;
        assert!(!runs(pid));
        if round == 1 {
            handle.restart();
        } else {
            handle.start();
        }
    }
    recorder.spawned(4).await;
    handle.stop().await;
}

#[tokio::test]
async fn the_status_follows_what_happens() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec(dir.path()), recorder.clone());
    assert_eq!(handle.status().state, State::Starting);
    let (first, pid, _) = recorder.spawned(1).await;
    recorder.ready(first).await;
    let status = handle.until(State::Running).await;
    assert_eq!((status.generation, status.pid), (Some(first), Some(pid)));
    assert_eq!((status.restarts, status.crashes), (0, 0));
    kill(pid);
    let (second, _, _) = recorder.spawned(2).await;
    recorder.ready(second).await;
    let status = handle.until(State::Running).await;
    assert_eq!((status.restarts, status.crashes), (1, 1));
    assert_eq!(status.generation, Some(second));

    handle.restart_with(script(dir.path(), "exit 1"));
    recorder
        .until("falling back", |seen| fallbacks(seen).pop())
        .await;
    let status = handle.until(State::Running).await;
    assert_eq!(status.generation, Some(second));
    assert_eq!(status.crashes, 4);
    handle.halt();
    handle.drained(second);
    let status = handle.until(State::Stopped).await;
    assert_eq!((status.generation, status.pid), (None, None));
    handle.stop().await;
}

#[tokio::test]
async fn a_runner_that_never_comes_up_is_failing() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let handle = Supervisor::start(script(dir.path(), "exit 1"), recorder.clone());
    let trouble = recorder
        .first("failing", |seen| match seen {
            Seen::Failing(trouble) => Some(*trouble),
            _ => None,
        })
        .await;
    assert_eq!(trouble, Trouble::Ends { times: 4 });
    handle.until(State::Failing).await;
    handle.restart_with(spec(dir.path()));
    handle.until(State::Running).await;
    handle.stop().await;
}
