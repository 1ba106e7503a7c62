//! Runners that are real processes, which end and come back.
//!
//! Their tokens are numbered as the Go runner's are: from 1 on, in each process
//! anew. So an old token names another route's configuration after a restart.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use outrigger_host::{Absence, Connections, Settings, Timeouts};
use tokio::net::UnixListener;
use tokio::time::sleep;

use crate::support::{FakeRunner, Host, Peer, Plugins, conf};

const SOCKET: &str = "OUTRIGGER_TEST_SOCKET";

/// A process with an honest runner. Killed when dropped.
pub(crate) struct RunnerProcess(Child);

impl RunnerProcess {
    /// Started, but perhaps not listening yet.
    pub(crate) fn start(socket: &Path) -> Self {
        let program = std::env::current_exe().unwrap();
        Self::run(&mut Command::new(program), socket)
    }

    /// As another user, which only root may do.
    fn start_as(uid: u32, socket: &Path) -> Self {
        // Where that user may get at it.
        let program = socket.with_file_name("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        Self::run(Command::new(program).uid(uid), socket)
    }

    fn run(program: &mut Command, socket: &Path) -> Self {
        let process = program
            .args(["--exact", "--ignored", "restart::the_runner_process"])
            .env(SOCKET, socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(process)
    }

    pub(crate) fn kill(&mut self) {
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

/// How often a process did not know a token that it was sent.
pub(crate) fn lost_tokens(host: &Host) -> usize {
    let lines = host.log.lines();
    lines.iter().filter(|line| line.starts_with("lost")).count()
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
    assert_eq!(
        lost_tokens(&worker),
        0,
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
    assert_eq!(lost_tokens(&host), 0);
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

/// A thousand routes, each with a configuration of its own; every process
/// numbers them in the order in which they come, which is another each time.
#[tokio::test]
async fn a_thousand_routes_keep_their_confs_through_restarts() {
    let host = Host::with(Timeouts::default());
    tokio::spawn(host.runner.prepare_ahead());
    let mut confs: Vec<_> = (0..1000)
        .map(|number| conf(&format!("route#{number}")))
        .collect();
    for conf in &confs {
        conf.prepare_ahead(&host.runner);
    }
    let mut before: Option<(FakeRunner, RunnerProcess)> = None;
    for round in 1..=4 {
        let folder = FakeRunner::absent();
        let process = RunnerProcess::start(&folder.socket());
        if let Some((_, mut old)) = before.take() {
            old.kill();
            let why = "signal: 9 (SIGKILL)".to_owned();
            host.runner.unavailable(0, Absence::Passing, why);
        }
        host.runner.listening(0, folder.socket());
        confs.rotate_left(317);
        confs.reverse();
        for some in confs.chunks(100) {
            let calls = join_all(some.iter().map(|conf| host.call(conf))).await;
            for (call, conf) in calls.into_iter().zip(some) {
                assert_eq!(call.unwrap(), conf.key());
            }
        }
        let lines = host.log.lines();
        let prepared = lines.iter().filter(|line| line.starts_with("prepared"));
        assert_eq!(prepared.count(), round * 1000, "once for each process");
        before = Some((folder, process));
    }
    assert_eq!(lost_tokens(&host), 0);
}

/// Requests go on while processes are killed: each is answered, and by its own
/// configuration.
#[tokio::test]
async fn no_call_fails_while_processes_are_killed() {
    let host = Host::with(Timeouts::default());
    tokio::spawn(host.runner.prepare_ahead());
    let confs: Vec<_> = (0..8)
        .map(|number| conf(&format!("route#{number}")))
        .collect();
    let over = AtomicBool::new(false);
    let calling = join_all(confs.iter().map(|conf| async {
        let mut calls = 0;
        while !over.load(Ordering::Relaxed) {
            assert_eq!(host.call(conf).await.unwrap(), conf.key());
            calls += 1;
        }
        calls
    }));
    let killing = async {
        for _ in 0..5 {
            let folder = FakeRunner::absent();
            let mut process = RunnerProcess::start(&folder.socket());
            host.runner.listening(0, folder.socket());
            let before = host.log.lines().len();
            while host.log.lines().len() < before + 8 {
                sleep(Duration::from_millis(5)).await;
            }
            process.kill();
            // The control thread learns of it some time later.
            sleep(Duration::from_millis(5)).await;
            let why = "signal: 9 (SIGKILL)".to_owned();
            host.runner.unavailable(0, Absence::Passing, why);
        }
        let folder = FakeRunner::absent();
        let process = RunnerProcess::start(&folder.socket());
        host.runner.listening(0, folder.socket());
        over.store(true, Ordering::Relaxed);
        (folder, process)
    };
    let (calls, _last) = tokio::join!(calling, killing);
    assert!(calls.iter().all(|calls| *calls > 0), "{calls:?}");
    assert_eq!(lost_tokens(&host), 0);
}

const NOBODY: u32 = 65534;

#[tokio::test]
async fn another_users_process_is_not_called_unless_allowed() {
    if !rustix::process::geteuid().is_root() {
        // Only root can start one. What is allowed is tested beside the code.
        return;
    }
    let folder = FakeRunner::absent();
    let socket = folder.socket();
    let mode = fs::Permissions::from_mode(0o777);
    fs::set_permissions(socket.parent().unwrap(), mode).unwrap();
    let _process = RunnerProcess::start_as(NOBODY, &socket);
    let host = patient_host(&folder);
    let failure = host.failure(&conf("a")).await;
    assert_eq!(failure.kind(), "wrong-user");
    let story = format!(
        "the process that listens at {} belongs to user {NOBODY}, who is neither root nor the \
         gateway's own; if that is meant, add {NOBODY} to the runner's allowed_uids",
        socket.display()
    );
    assert_eq!(failure.to_string(), story);

    host.runner.configure(Settings {
        allowed_uids: vec![NOBODY],
        ..Settings::default()
    });
    assert_eq!(host.call(&conf("a")).await.unwrap(), "a");
}
