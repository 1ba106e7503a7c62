//! A runner on real unix sockets: many calls at once, and the end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use outrigger_a6::{RpcType, http_req_call};
use outrigger_runner::{BuildError, NoConf, Plugin, Request, Result, Runner, ServeError};
use outrigger_testkit::{Failure, FakeHost, FrameStream, Gate, frame};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// Lets requests pass when the gate is open, and counts who has come.
struct Gated {
    gate: Gate,
    waiting: Arc<AtomicUsize>,
}

impl Plugin for Gated {
    type Conf = NoConf;

    fn name(&self) -> &str {
        "gated"
    }

    async fn request(&self, _: &NoConf, request: &mut Request) -> Result {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.gate.opened().await;
        let n = request.var_str("n").await?;
        request.stop(200).body(n.unwrap_or_default());
        Ok(())
    }
}

/// A runner on a socket, with the plugin above.
struct Scene {
    folder: TempDir,
    gate: Gate,
    waiting: Arc<AtomicUsize>,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Scene {
    async fn start() -> Self {
        Self::start_with(Runner::new()).await
    }

    async fn start_with(runner: Runner) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (gate, waiting) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let runner = runner.plugin(Gated {
            gate: gate.clone(),
            waiting: Arc::clone(&waiting),
        });
        let (shutdown, asked) = oneshot::channel::<()>();
        let path = folder.path().join("runner.sock");
        let served = tokio::spawn(async move {
            let shutdown = async { asked.await.unwrap_or_default() };
            runner.serve_at(path, shutdown).await
        });
        let scene = Self {
            folder,
            gate,
            waiting,
            shutdown,
            served,
        };
        until(|| listens(&scene.socket())).await;
        scene
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("runner.sock")
    }

    fn host(&self) -> FakeHost {
        FakeHost::at(self.socket()).prepare("gated", json!({}))
    }

    /// Calls of as many hosts, each on a connection of its own and each with its
    /// number as a variable.
    async fn calls(&self, count: usize) -> JoinSet<(usize, String)> {
        let mut first = self.host();
        first.token().await.unwrap();
        let mut calls = JoinSet::new();
        for n in 0..count {
            let mut host = first.another();
            calls.spawn(async move {
                let call = host.request("GET", "/").var("n", n.to_string());
                (n, call.send().await.expect_stop().text())
            });
        }
        calls
    }

    async fn all_wait(&self, count: usize) {
        until(|| self.waiting.load(Ordering::SeqCst) == count).await;
    }
}

/// Whether somebody does; the file alone is there a moment earlier.
fn listens(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// Waits for a condition that others bring about.
async fn until(condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(10);
    tokio::time::timeout(limit, reached)
        .await
        .expect("the condition to come true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_calls_run_at_the_same_time_and_do_not_mix() {
    let scene = Scene::start().await;
    let calls = scene.calls(500).await;
    scene.all_wait(500).await;
    scene.gate.open();
    for (n, answer) in calls.join_all().await {
        assert_eq!(answer, n.to_string());
    }
}

#[tokio::test]
async fn a_runtime_of_one_thread_is_enough() {
    let scene = Scene::start().await;
    let calls = scene.calls(200).await;
    scene.all_wait(200).await;
    scene.gate.open();
    assert_eq!(calls.join_all().await.len(), 200);
}

#[tokio::test]
async fn calls_that_wait_do_not_wait_for_each_other() {
    struct Wait;

    impl Plugin for Wait {
        type Conf = NoConf;

        fn name(&self) -> &str {
            "wait"
        }

        async fn request(&self, _: &NoConf, _: &mut Request) -> Result {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(())
        }
    }

    let scene = Scene::start_with(Runner::new().plugin(Wait)).await;
    let mut first = FakeHost::at(scene.socket()).prepare("wait", json!({}));
    first.token().await.unwrap();
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let mut host = first.another();
        calls.spawn(async move { host.request("GET", "/").send().await.expect_unchanged() });
    }
    calls.join_all().await;
    let took = start.elapsed();
    assert!(
        took < Duration::from_secs(5),
        "20 s one after the other, and it took {took:?}"
    );
}

#[tokio::test]
async fn a_connection_serves_call_after_call() {
    let scene = Scene::start().await;
    scene.gate.open();
    let mut host = scene.host();
    for n in 0..100 {
        let call = host.request("GET", "/").var("n", n.to_string());
        assert_eq!(call.send().await.expect_stop().text(), n.to_string());
    }
}

#[tokio::test]
async fn shutdown_lets_calls_in_flight_end_and_takes_no_more() {
    let scene = Scene::start().await;
    let mut idle = scene.host();
    idle.token().await.unwrap();
    let calls = scene.calls(50).await;
    scene.all_wait(50).await;
    let socket = scene.socket();
    scene.shutdown.send(()).unwrap();
    until(|| !socket.exists()).await;
    let late = FakeHost::at(&socket)
        .token()
        .await
        .expect_err("nobody listens any more");
    assert!(matches!(late, Failure::Io(_)), "{late}");
    assert!(!scene.served.is_finished());
    scene.gate.open();
    assert_eq!(calls.join_all().await.len(), 50);
    scene.served.await.unwrap().unwrap();
    let failure = idle.request("GET", "/").send().await.expect_failure();
    assert!(matches!(failure, Failure::HungUp), "{failure}");
}

#[tokio::test]
async fn a_call_that_has_begun_to_come_when_the_end_begins_is_taken() {
    let scene = Scene::start().await;
    let mut host = FrameStream::new(UnixStream::connect(scene.socket()).await.unwrap());
    let call = frame(&http_req_call::Request::default());
    let (begin, rest) = call.split_at(3);
    host.send_bytes(begin).await.unwrap();
    let socket = scene.socket();
    scene.shutdown.send(()).unwrap();
    until(|| !socket.exists()).await;
    host.send_bytes(rest).await.unwrap();
    let reply = host.receive().await.unwrap().expect("an answer");
    assert_eq!(reply.ty, RpcType::Error, "its token is unknown");
    assert_eq!(host.receive().await.unwrap(), None);
    scene.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_has_connected_before_the_end_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runner.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let mut host = FakeHost::at(&path);
    // Connects and sends before anybody accepts.
    let token = tokio::spawn(async move { host.token().await });
    tokio::task::yield_now().await;
    Runner::new().run(listener, async {}).await.unwrap();
    token
        .await
        .unwrap()
        .expect("a token, in spite of the shutdown");
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_off() {
    let scene = Scene::start_with(Runner::new().drain_time(Duration::from_millis(20))).await;
    let mut host = scene.host();
    host.token().await.unwrap();
    let call = tokio::spawn(async move { host.request("GET", "/").send().await.expect_failure() });
    scene.all_wait(1).await;
    scene.shutdown.send(()).unwrap();
    scene.served.await.unwrap().unwrap();
    let failure = call.await.unwrap();
    assert!(matches!(failure, Failure::HungUp), "{failure}");
}

#[tokio::test]
async fn a_second_runner_does_not_disturb_the_first() {
    let scene = Scene::start().await;
    let second = Runner::new()
        .serve_at(scene.socket(), std::future::pending())
        .await;
    assert!(matches!(second, Err(ServeError::InUse(_))), "{second:?}");
    scene.gate.open();
    scene.host().request("GET", "/").send().await.expect_stop();
}

#[tokio::test]
async fn a_successors_socket_outlives_its_predecessor() {
    let scene = Scene::start().await;
    std::fs::remove_file(scene.socket()).unwrap();
    let successor = scene.socket();
    tokio::spawn(Runner::new().serve_at(successor.clone(), std::future::pending()));
    until(|| listens(&successor)).await;
    scene.shutdown.send(()).unwrap();
    scene.served.await.unwrap().unwrap();
    FakeHost::at(successor)
        .token()
        .await
        .expect("the successor is there");
}

#[tokio::test]
async fn only_the_owner_may_connect_unless_said_otherwise() {
    let mode = |scene: &Scene| scene.socket().metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&Scene::start().await), 0o600);
    let open = Scene::start_with(Runner::new().socket_mode(0o666)).await;
    assert_eq!(mode(&open), 0o666);
}

#[tokio::test]
async fn plugins_of_one_name_are_an_error_before_anything_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runner.sock");
    let gated = || Gated {
        gate: Gate::new(),
        waiting: Arc::default(),
    };
    let runner = Runner::new().plugin(gated()).plugin(gated());
    let error = runner
        .serve_at(&path, std::future::pending())
        .await
        .unwrap_err();
    let ServeError::Build(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error, BuildError::DuplicatePlugin("gated".to_owned()));
    assert!(!path.exists());
}
