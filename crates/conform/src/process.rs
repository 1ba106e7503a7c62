//! A process of the runner under test.
//!
//! Unlike a gateway's supervisor it is started once, never again, and nothing is
//! cleaned up behind it: what the process leaves is what the suite looks at.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::time::{Instant, timeout};

use crate::limits::{CONNECT_EVERY, OUTPUT_LINE_BYTES, OUTPUT_LINES};

/// What starts a runner: a program with its arguments, and its environment.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program, looked up in the `PATH` of `env`, and its arguments. There
    /// is at least the program.
    pub argv: Vec<OsString>,
    /// The whole environment, but for `APISIX_LISTEN_ADDRESS` and
    /// `APISIX_CONF_EXPIRE_TIME`.
    pub env: Vec<(OsString, OsString)>,
}

/// A process in a group of its own. Dropped, the whole group is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    pub(crate) socket: PathBuf,
    output: Output,
}

/// The last lines of what it wrote.
#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<VecDeque<String>>>);

impl Process {
    /// Starts a process that is told to listen at `socket`.
    ///
    /// # Errors
    /// A text that names the program.
    pub(crate) fn start(
        command: &Command,
        socket: &Path,
        conf_lifetime: Duration,
    ) -> Result<Self, String> {
        let (program, arguments) = command.argv.split_first().ok_or("no program is named")?;
        let mut address = OsString::from("unix:");
        address.push(socket);
        let spawned = tokio::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(command.env.iter().map(|(name, value)| (name, value)))
            .env("APISIX_LISTEN_ADDRESS", address)
            .env(
                "APISIX_CONF_EXPIRE_TIME",
                conf_lifetime.as_secs().to_string(),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = spawned
            .map_err(|error| format!("{}: cannot be started: {error}", program.display()))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let group = pid.and_then(Pid::from_raw);
        let output = Output::default();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(output.clone().keep(stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(output.clone().keep(stderr));
        }
        Ok(Self {
            child,
            group: group.expect("a child that was never waited for has an id above 0"),
            socket: socket.to_owned(),
            output,
        })
    }

    /// Waits until it listens.
    ///
    /// # Errors
    /// A text that says what it does instead.
    pub(crate) async fn listens_within(&mut self, limit: Duration) -> Result<(), String> {
        let started = Instant::now();
        while UnixStream::connect(&self.socket).await.is_err() {
            if let Some(status) = self.exited() {
                // What it wrote last may still be on its way.
                tokio::time::sleep(CONNECT_EVERY).await;
                let output = self.output.shown();
                return Err(format!(
                    "it ended with {} before it listened{output}",
                    ended(status)
                ));
            }
            if started.elapsed() > limit {
                let (socket, output) = (self.socket.display(), self.output.shown());
                return Err(format!(
                    "it does not listen at {socket} after {limit:?}{output}"
                ));
            }
            tokio::time::sleep(CONNECT_EVERY).await;
        }
        Ok(())
    }

    /// How it ended, if it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        let running = self.child.id().is_some();
        let status = self.child.try_wait().ok().flatten();
        if running && status.is_some() {
            self.kill_group();
        }
        status
    }

    /// Sends SIGTERM to its group, as a gateway does that stops it.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        Ok(kill_process_group(self.group, Signal::TERM)?)
    }

    /// Waits for its end; how long it took, or `None` where it does not come.
    pub(crate) async fn ends_within(&mut self, limit: Duration) -> Option<Duration> {
        let start = Instant::now();
        let running = self.child.id().is_some();
        timeout(limit, self.child.wait()).await.ok()?.ok()?;
        let took = start.elapsed();
        if running {
            self.kill_group();
        }
        Some(took)
    }

    /// Kills it and waits for its end. Its socket's file stays.
    pub(crate) async fn kill(&mut self) {
        self.kill_group();
        let _ = self.child.wait().await;
    }

    /// Kills whoever is left of its group. To be called while its leader is there
    /// or has just been waited for: later, the number may be another group's.
    fn kill_group(&self) {
        let _ = kill_process_group(self.group, Signal::KILL);
    }

    /// Whether a process belongs to it: it is the one that was started, or in
    /// the same group.
    pub(crate) fn owns(&self, pid: i32) -> bool {
        let group = Pid::from_raw(pid).map(|pid| rustix::process::getpgid(Some(pid)));
        matches!(group, Some(Ok(group)) if group == self.group)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Otherwise it has been done when the leader was waited for.
        if self.child.id().is_some() {
            self.kill_group();
        }
    }
}

/// How a process ended, in words.
pub(crate) fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "a status unknown".to_owned(),
    }
}

impl Output {
    /// Takes lines until there are no more. The rest of a long line counts as
    /// another one.
    async fn keep(self, pipe: impl AsyncRead + Unpin) {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut pipe)
                .take(OUTPUT_LINE_BYTES as u64)
                .read_until(b'\n', &mut line)
                .await;
            if !matches!(read, Ok(1..)) {
                return;
            }
            let text = String::from_utf8_lossy(&line);
            let text: String = text.trim_end().escape_debug().collect();
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == OUTPUT_LINES {
                lines.pop_front();
            }
            lines.push_back(text);
        }
    }

    /// The last lines, to be put behind a sentence.
    fn shown(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shown = String::new();
        for line in lines.iter() {
            shown.push_str("\n  | ");
            shown.push_str(line);
        }
        if shown.is_empty() {
            return "; it wrote nothing".to_owned();
        }
        format!("; its last output:{shown}")
    }
}
