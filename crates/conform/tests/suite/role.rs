//! What this program does when the suite starts it as a runner.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use outrigger_a6::RpcType;
use outrigger_a6::error::Code;
use outrigger_conform::Command;
use outrigger_testkit::{Answer, FakeRunner};
use tokio::signal::unix::{SignalKind, signal};

use crate::sdk;

/// The variable that names the role.
const ROLE: &str = "CONFORM_TEST_ROLE";

/// The command that starts this program as such a runner.
pub(crate) fn command(role: &str) -> Command {
    let program = std::env::current_exe().unwrap();
    // The one test below, on the main thread, with its output let through.
    let arguments = ["--exact", "role::play", "--nocapture"].map(OsString::from);
    Command {
        argv: [&[program.into_os_string()][..], &arguments].concat(),
        env: vec![(ROLE.into(), role.into())],
    }
}

/// Plays a role if this process was started for one; in an ordinary test run
/// there is none, and nothing to test.
#[test]
fn play() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    if role == "foreign" {
        return foreign();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        if role == "sdk" {
            return sdk::runner().serve_from_env().await.unwrap();
        }
        // It leaves its socket behind, and its tokens begin with 1.
        let runner = FakeRunner::start_at(address()).unwrap();
        if role == "no input" && address().ends_with("input.sock") {
            // When it has been seen to listen.
            runner.wait_until(|history| history.connections > 0).await;
            std::process::exit(4);
        }
        if role == "forgetful" {
            runner.always(RpcType::HttpReqCall, Answer::error(Code::ConfTokenNotFound));
        }
        if role == "dies of a call" {
            runner.always(
                RpcType::HttpReqCall,
                Answer::new().reply_with(|_| std::process::exit(5)),
            );
        }
        let mut terminated = signal(SignalKind::terminate()).unwrap();
        match role.as_str() {
            "stubborn" => loop {
                terminated.recv().await;
            },
            "slow" => {
                terminated.recv().await;
                tokio::time::sleep(Duration::from_millis(1200)).await;
                std::process::exit(0);
            }
            "greedy" => {
                terminated.recv().await;
                std::fs::remove_file(address()).unwrap();
                std::process::exit(0);
            }
            _ => {
                terminated.recv().await;
                std::process::exit(0);
            }
        }
    });
}

fn address() -> PathBuf {
    let address = std::env::var("APISIX_LISTEN_ADDRESS").unwrap();
    PathBuf::from(address.strip_prefix("unix:").unwrap())
}

/// Has another process listen, outside its group, which ends with it: it reads
/// from a pipe that nobody writes to.
fn foreign() {
    use std::os::unix::process::CommandExt as _;
    let Command { argv, .. } = command("");
    let mut child = std::process::Command::new(&argv[0]);
    child.args([
        "--exact",
        "role::listen_until_the_input_ends",
        "--nocapture",
    ]);
    child.env(ROLE, "listens for another");
    let child = child
        .stdin(std::process::Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = child.unwrap();
    // To wait would close it.
    let _pipe = child.stdin.take();
    child.wait().unwrap();
}

#[test]
fn listen_until_the_input_ends() {
    if std::env::var(ROLE).is_ok_and(|role| role == "listens for another") {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _context = runtime.enter();
        let _runner = FakeRunner::start_at(address()).unwrap();
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    }
}
