//! Runners that are real processes, which end and come back.
//!
//! Their tokens are numbered as the Go runner's are: from 1 on, in each process
//! anew. So an old token names another route's configuration after a restart.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use outrigger_host::{Absence, Connections, Timeouts};
use tokio::net::UnixListener;

use crate::support::{FakeRunner, Host, Peer, Plugins, conf};

const SOCKET: &str = "OUTRIGGER_TEST_SOCKET";

/// A process with an honest runner. Killed when dropped.
struct RunnerProcess(Child);

impl RunnerProcess {
    /// Started, but perhaps not listening yet.
    fn start(socket: &Path) -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "restart::the_runner_process"])
            .env(SOCKET, socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(process)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for RunnerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test]
#[ignore = "the body of the processes that the other tests start"]
async fn the_runner_process() {
    let socket = std::env::var_os(SOCKET).expect("started by another test");
    let listener = UnixListener::bind(socket).unwrap();
    let plugins = Arc::new(Plugins::default());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(Arc::clone(&plugins).serve(Peer::from(stream)));
    }
}

/// A host that waits long enough for a process to start on a busy machine.
fn patient_host(folder: &FakeRunner) -> Host {
    let host = Host::with(Timeouts {
        connect: Duration::from_secs(30),
        ..Timeouts::default()
    });
    host.runner.listening(0, folder.socket());
    host
}

/// The same runner as another worker sees it.
fn other_worker(host: &Host) -> Host {
    Host {
        connections: Connections::new(),
        runner: Arc::clone(&host.runner),
        log: Arc::clone(&host.log),
    }
}

/// As with an external runner: nobody tells the host.
#[tokio::test]
async fn after_a_restart_no_call_runs_with_another_routes_conf() {
    let folder = FakeRunner::absent();
    let mut process = RunnerProcess::start(&folder.socket());
    let worker = patient_host(&folder);
    let other = other_worker(&worker);
    let confs = ["a", "b", "c", "d"].map(conf);
    for host in [&worker, &other] {
        for conf in &confs {
            assert_eq!(host.call(conf).await.unwrap(), conf.key());
        }
    }
    for _ in 0..3 {
        process.kill();
        fs::remove_file(folder.socket()).unwrap();
        process = RunnerProcess::start(&folder.socket());
        // In another order, so that each number means something else now.
        for host in [&worker, &other] {
            for conf in confs.iter().rev() {
                assert_eq!(host.call(conf).await.unwrap(), conf.key());
            }
        }
    }
    assert_eq!(worker.log.count("process changed"), 3);
    let lost = worker
        .log
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("lost"))
        .count();
    assert_eq!(
        lost, 0,
        "no token was sent to a process that did not give it"
    );
}

/// A new process takes the path while the old one still serves what it has.
#[tokio::test]
async fn a_successor_beside_its_predecessor_gets_its_own_tokens() {
    let folder = FakeRunner::absent();
    let _old = RunnerProcess::start(&folder.socket());
    let host = patient_host(&folder);
    let (a, b) = (conf("a"), conf("b"));
    for conf in [&a, &b] {
        assert_eq!(host.call(conf).await.unwrap(), conf.key());
    }
    fs::remove_file(folder.socket()).unwrap();
    let _new = RunnerProcess::start(&folder.socket());

    let other = other_worker(&host);
    for conf in [&b, &a] {
        assert_eq!(
            other.call(conf).await.unwrap(),
            conf.key(),
            "on a new connection"
        );
        assert_eq!(
            host.call(conf).await.unwrap(),
            conf.key(),
            "with an idle one at hand"
        );
    }
    assert_eq!(host.log.count("process changed"), 1);
    assert_eq!(
        host.log.count("closed: outdated"),
        1,
        "the idle one was the old process's"
    );
    let lost = host
        .log
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("lost"))
        .count();
    assert_eq!(lost, 0);
}

/// As the supervisor does it: each process on its own path.
#[tokio::test]
async fn a_new_generation_on_a_new_path_gets_its_own_tokens() {
    let (first, second) = (FakeRunner::absent(), FakeRunner::absent());
    let mut old = RunnerProcess::start(&first.socket());
    let host = patient_host(&first);
    let (a, b) = (conf("a"), conf("b"));
    for conf in [&a, &b] {
        assert_eq!(host.call(conf).await.unwrap(), conf.key());
    }
    old.kill();
    host.runner
        .unavailable(0, Absence::Passing, "signal: 9 (SIGKILL)".to_owned());
    let _new = RunnerProcess::start(&second.socket());
    let (call, ()) = tokio::join!(host.call(&b), async {
        tokio::task::yield_now().await;
        host.runner.listening(0, second.socket());
    });
    assert_eq!(call.unwrap(), "b");
    assert_eq!(host.call(&a).await.unwrap(), "a");
    assert_eq!(host.log.count("process changed"), 1);
}
