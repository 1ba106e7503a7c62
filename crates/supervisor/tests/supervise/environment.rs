//! A child gets what it was given, and nothing of the gateway's.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use outrigger_supervisor::{Spec, Supervisor};
use rustix::fs::{CWD, FileType, Mode};

use crate::role;
use crate::support::{PATIENCE, Recorder, command, environment, script, spec};

/// What a process of this command prints before it exits.
async fn output(spec: Spec) -> Vec<String> {
    let recorder = Recorder::new();
    let handle = Supervisor::start(spec, recorder.clone());
    let (generation, _, _) = recorder.spawned(1).await;
    recorder.exited(generation).await;
    let lines = recorder.lines();
    handle.stop().await;
    lines
}

#[tokio::test]
async fn the_environment_is_what_was_declared_and_the_two_names_of_the_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path());
    spec.cmd = command(&["env"]);
    spec.env = environment(&[("A", "1"), ("APISIX_CONF_EXPIRE_TIME", "overridden")]);
    let mut lines = output(spec).await;
    lines.sort();
    let [a, expire, address, path] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(a, "A=1");
    assert_eq!(expire, "APISIX_CONF_EXPIRE_TIME=3600");
    let beginning = format!("APISIX_LISTEN_ADDRESS=unix:{}/test.", dir.path().display());
    assert!(address.starts_with(&beginning), "{address}");
    assert_eq!(path, "PATH=/usr/local/bin:/usr/bin:/bin");
}

#[tokio::test]
async fn the_child_runs_in_its_working_directory_with_an_empty_input() {
    let dir = tempfile::tempdir().unwrap();
    let lines = output(script(dir.path(), "pwd -P; cat; echo end")).await;
    assert_eq!(
        lines,
        [dir.path().canonicalize().unwrap().to_str().unwrap(), "end"]
    );
}

#[tokio::test]
async fn the_child_leads_a_process_group_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let lines = output(script(dir.path(), "echo $$; cut -d ' ' -f 5 /proc/$$/stat")).await;
    assert_eq!(lines[0], lines[1]);
}

#[tokio::test]
async fn no_descriptor_but_the_standard_ones_is_inherited() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::open("/dev/null").unwrap();
    // As if the gateway had inherited it itself: open across `exec`.
    let leak = rustix::io::fcntl_dupfd_cloexec(&file, 100).unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let mut spec = spec(dir.path());
    spec.cmd = command(&["ls", "/proc/self/fd"]);
    // 3 is the folder being listed.
    assert_eq!(output(spec).await, ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn no_signal_is_blocked_or_ignored() {
    let dir = tempfile::tempdir().unwrap();
    change_signal_handling();
    let mut spec = spec(dir.path());
    spec.cmd = command(&["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]);
    for line in output(spec).await {
        let (_, set) = line.split_once('\t').unwrap();
        let set = u64::from_str_radix(set, 16).unwrap();
        // Signals 32 and 33 belong to the C library, which sets them as it needs.
        assert_eq!(set & !(0b11 << 31), 0, "{line}");
    }
}

/// Blocks one signal on this thread and ignores another in this process.
#[allow(unsafe_code, reason = "the standard library has no calls for these")]
fn change_signal_handling() {
    // SAFETY: the set is initialised by `sigemptyset` before use; neither signal
    // is used by anything else here.
    unsafe {
        libc::signal(libc::SIGUSR2, libc::SIG_IGN);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

#[test]
fn the_child_dies_with_a_gateway_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let argv = role::command();
    let mut gateway = Command::new(argv.program())
        .args(argv.args())
        .env(role::ROLE, "gateway")
        .env(role::ARGUMENT, &pipe)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // Opens when the runner opens its end, and ends when the runner does.
        let mut pipe = File::open(&pipe).unwrap();
        tell.send("open").unwrap();
        assert_eq!(pipe.read(&mut [0]).unwrap(), 0);
        tell.send("closed").unwrap();
    });
    assert_eq!(told.recv_timeout(PATIENCE), Ok("open"));
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok("closed"));
}
