//! The runner under test: where it is, or what starts it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::limits::SOCKET_PATH_BYTES;
use crate::process::{Command, Process, ended};
use crate::times::Times;

/// The runner under test.
#[derive(Debug, Clone)]
pub enum Target {
    /// It runs already, and listens at this socket.
    Socket(PathBuf),
    /// It is started by this command, as often as the rules need it.
    Command(Command),
}

impl Target {
    /// A runner that listens at `address`: a path, with or without the `unix:`
    /// that `APISIX_LISTEN_ADDRESS` begins with.
    pub fn at(address: &Path) -> Self {
        let bytes = address.as_os_str().as_bytes();
        let path = bytes.strip_prefix(b"unix:").unwrap_or(bytes);
        Self::Socket(Path::new(std::ffi::OsStr::from_bytes(path)).to_owned())
    }
}

/// Why the suite did not begin.
#[derive(Debug, thiserror::Error)]
pub enum CannotRun {
    /// Nobody listens at the address.
    #[error("{}: no runner listens there: {why}", socket.display())]
    NotListening {
        /// The address.
        socket: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The command's process does not listen where it is told to.
    #[error("the runner does not come up: {0}")]
    NotStarted(String),
    /// There is no folder for its sockets.
    #[error("no folder for sockets: {0}")]
    Folder(#[from] std::io::Error),
    /// The folder for its sockets has too long a path.
    #[error("the folder for sockets, {}, has too long a path for a unix socket; set TMPDIR to a shorter one", .0.display())]
    LongPath(PathBuf),
    /// A rule is asked for that does not exist.
    #[error("there is no rule {0:?}; --list names them")]
    NoRule(String),
}

/// The process that rules are tried on by default, and where it listens. Started
/// again where it dies.
#[derive(Debug)]
pub(crate) struct Started {
    command: Command,
    folder: TempDir,
    process: Process,
    count: u32,
}

impl Started {
    pub(crate) async fn new(command: Command, times: &Times) -> Result<Self, CannotRun> {
        let folder = tempfile::tempdir()?;
        // The longest name that a rule gives a socket, and more.
        if folder.path().as_os_str().len() + 24 > SOCKET_PATH_BYTES {
            return Err(CannotRun::LongPath(folder.path().to_owned()));
        }
        let process = start(&command, &folder, 0, times).await?;
        Ok(Self {
            command,
            folder,
            process,
            count: 0,
        })
    }

    /// What rules need to start further processes.
    pub(crate) fn command(&self) -> (Command, PathBuf) {
        (self.command.clone(), self.folder.path().to_owned())
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.process.socket
    }

    /// How the process ended, if it does within this time.
    pub(crate) async fn ended_within(&mut self, limit: Duration) -> Option<String> {
        self.process.ends_within(limit).await?;
        Some(ended(self.process.exited()?))
    }

    pub(crate) async fn start_again(&mut self, times: &Times) -> Result<(), CannotRun> {
        self.count += 1;
        self.process = start(&self.command, &self.folder, self.count, times).await?;
        Ok(())
    }
}

/// The usual lifetime of a configuration.
const CONF_LIFETIME: Duration = Duration::from_secs(3600);

async fn start(
    command: &Command,
    folder: &TempDir,
    count: u32,
    times: &Times,
) -> Result<Process, CannotRun> {
    let socket = folder.path().join(format!("{count}.sock"));
    let started = Process::start(command, &socket, CONF_LIFETIME);
    let mut process = started.map_err(CannotRun::NotStarted)?;
    let listening = process.listens_within(times.start).await;
    listening.map_err(CannotRun::NotStarted)?;
    Ok(process)
}
