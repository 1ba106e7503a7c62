//! A runner as a process of its own, started as a gateway starts it.
//!
//! The process is this test binary again, with one test that is ignored
//! otherwise and serves a runner.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(
    clippy::print_stdout,
    reason = "the child tells its parent how far it is"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use outrigger_runner::{NoConf, Plugin, Request, Result, Runner};
use outrigger_testkit::{Failure, FakeHost};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

/// Answers once the file that the variable `until` names is there.
struct WaitForFile;

impl Plugin for WaitForFile {
    type Conf = NoConf;

    fn name(&self) -> &str {
        "wait-for-file"
    }

    async fn request(&self, _: &NoConf, request: &mut Request) -> Result {
        let path = request
            .var_str("until")
            .await?
            .ok_or("no variable `until`")?;
        println!("waiting");
        while !Path::new(&path).exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        request.stop(200).body("done");
        Ok(())
    }
}

#[test]
#[ignore = "not a test: the process that the tests start"]
fn serve_as_a_child() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let runner = Runner::new().plugin(WaitForFile);
    if let Err(error) = runtime.block_on(runner.serve_from_env()) {
        eprintln!("Error: {error:?}");
        std::process::exit(1);
    }
}

/// A process with a runner. Killed when dropped.
struct Process {
    child: Child,
    socket: PathBuf,
    folder: TempDir,
}

fn command() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "serve_as_a_child", "--nocapture"]);
    command
        .env_remove("APISIX_LISTEN_ADDRESS")
        .env_remove("APISIX_CONF_EXPIRE_TIME");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Process {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("runner.sock");
        let mut command = command();
        command.env(
            "APISIX_LISTEN_ADDRESS",
            format!("unix:{}", socket.display()),
        );
        command.env("APISIX_CONF_EXPIRE_TIME", "3600");
        let process = Self {
            child: command.spawn().unwrap(),
            socket,
            folder,
        };
        wait_until("it listens", || {
            UnixStream::connect(&process.socket).is_ok()
        });
        process
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for a line on its standard output.
    fn printed(&mut self, line: &str) {
        let output = BufReader::new(self.child.stdout.as_mut().unwrap());
        let found = output
            .lines()
            .map_while(Result::ok)
            .any(|printed| printed == line);
        assert!(found, "it never printed {line:?}");
    }

    /// Makes a call that waits for a file, in the background.
    fn call_until(&self, file: &Path) -> std::thread::JoinHandle<Result<String, Failure>> {
        let (socket, file) = (self.socket.clone(), file.display().to_string());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let mut host = FakeHost::at(socket).prepare("wait-for-file", json!({}));
                let outcome = host.request("GET", "/").var("until", &file).send().await;
                outcome.result.map(|verdict| format!("{verdict:?}"))
            })
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "waited in vain until {what}"
        );
        std::thread::yield_now();
    }
}

#[test]
fn sigterm_drains_removes_the_socket_and_ends_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start();
        let file = process.path("go");
        let call = process.call_until(&file);
        process.printed("waiting");
        process.signal(signal);
        wait_until("the socket is gone", || !process.socket.exists());
        assert!(
            process.child.try_wait().unwrap().is_none(),
            "a call is still under way"
        );
        fs::write(&file, "").unwrap();
        let answer = call.join().unwrap().expect("the call to end as it would");
        assert!(answer.contains("status: 200"), "{answer}");
        assert!(process.ended().success());
    }
}

#[test]
fn a_killed_runner_leaves_its_socket_and_the_next_one_takes_it_over() {
    let mut process = Process::start();
    process.signal(Signal::KILL);
    assert!(!process.ended().success());
    assert!(process.socket.exists());
    let mut next = command();
    next.env(
        "APISIX_LISTEN_ADDRESS",
        format!("unix:{}", process.socket.display()),
    );
    process.child = next.spawn().unwrap();
    let file = process.path("go");
    fs::write(&file, "").unwrap();
    wait_until("the next one answers", || {
        process.call_until(&file).join().unwrap().is_ok()
    });
    process.signal(Signal::TERM);
    assert!(process.ended().success());
    assert!(!process.socket.exists());
}

#[test]
fn started_by_hand_it_fails_and_says_what_to_do() {
    let output = command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let expected = "Error: APISIX_LISTEN_ADDRESS is not set, so there is nowhere to listen.";
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn a_socket_in_use_is_an_error_that_names_it() {
    let process = Process::start();
    let mut second = command();
    second.env(
        "APISIX_LISTEN_ADDRESS",
        format!("unix:{}", process.socket.display()),
    );
    let mut second = second.spawn().unwrap();
    let mut stderr = String::new();
    second
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(1));
    assert!(
        stderr.contains("another process is listening there already"),
        "{stderr}"
    );
    assert!(stderr.contains("runner.sock"), "{stderr}");
    assert!(process.socket.exists());
}
