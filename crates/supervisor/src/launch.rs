//! Brings a runner's process to life.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Pid, getpid};
use tokio::process::{Child, Command};

use crate::between;
use crate::error::SpawnError;
use crate::group::Group;
use crate::lookup;
use crate::socket::Socket;
use crate::spec::{Generation, Spec};

/// A process just spawned, with its output pipes in `child`.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) generation: Generation,
    pub(crate) pid: u32,
    // In the order in which they must be dropped: the group is killed before
    // its leader may be waited for, the socket removed after that.
    pub(crate) group: Group,
    pub(crate) child: Child,
    pub(crate) socket: Socket,
}

/// Spawns a process of this runner in a process group of its own.
///
/// The child dies with the thread that calls this.
///
/// # Errors
/// A [`SpawnError`] naming what is wrong with the command or its surroundings.
pub(crate) fn launch(spec: &Spec) -> Result<Launched, SpawnError> {
    let dir = working_dir(spec)?;
    check_strings(spec)?;
    let path = spec
        .env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, path)| &**path);
    let program = lookup::program(spec.cmd.program(), &dir, path)?;
    let (socket, generation) = Socket::prepare(spec, &dir)?;

    let mut command = Command::new(&program);
    command
        .args(spec.cmd.args())
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .env("APISIX_LISTEN_ADDRESS", listen_address(&socket))
        .env(
            "APISIX_CONF_EXPIRE_TIME",
            spec.conf_expire_time.as_secs().to_string(),
        )
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let parent = getpid();
    #[allow(unsafe_code, reason = "there is no safe way to run code in the child")]
    // SAFETY: `set_up` keeps to async-signal-safe calls and does not allocate.
    unsafe {
        command.pre_exec(move || between::set_up(parent));
    }
    let child = command
        .spawn()
        .map_err(|error| lookup::explain(program, error))?;
    let pid = child
        .id()
        .expect("a child that was never polled has not been waited for");
    let leader = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let group = Group::new(leader.expect("process ids are positive"));
    Ok(Launched {
        generation,
        pid,
        group,
        child,
        socket,
    })
}

/// The working directory, absolute.
fn working_dir(spec: &Spec) -> Result<PathBuf, SpawnError> {
    let usable = || {
        let dir = std::path::absolute(&spec.working_dir)?;
        if fs::metadata(&dir)?.is_dir() {
            Ok(dir)
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    };
    usable().map_err(|source| SpawnError::WorkingDir {
        program: spec.cmd.program().to_owned(),
        dir: spec.working_dir.clone(),
        source,
    })
}

/// A NUL ends a string for the kernel, and an `=` ends a variable's name, so
/// these would arrive as something else than what was written.
fn check_strings(spec: &Spec) -> Result<(), SpawnError> {
    let malformed = |what| {
        Err(SpawnError::Malformed {
            program: spec.cmd.program().to_owned(),
            what,
        })
    };
    let has_nul = |text: &OsStr| text.as_bytes().contains(&0);
    if has_nul(spec.cmd.program()) {
        return malformed("its name contains a NUL byte".to_owned());
    }
    if let Some(index) = spec.cmd.args().iter().position(|arg| has_nul(arg)) {
        return malformed(format!(
            "argument {} of `cmd` contains a NUL byte",
            index + 1
        ));
    }
    for (name, value) in &spec.env {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.contains(&b'=') || has_nul(name) {
            return malformed(format!(
                "{name:?} cannot be the name of an environment variable"
            ));
        }
        if has_nul(value) {
            return malformed(format!(
                "the environment variable {name:?} contains a NUL byte"
            ));
        }
    }
    Ok(())
}

fn listen_address(socket: &Socket) -> OsString {
    let mut address = OsString::from("unix:");
    address.push(socket.path());
    address
}
