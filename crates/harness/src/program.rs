//! A program under test as a child process: its output line by line, signals,
//! exit status, and no trace of it afterwards.

use std::ffi::OsStr;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits;
use crate::output::Output;
use crate::processes::{Process, Signal};
use crate::wait;

/// A program to [start](Program::start).
#[derive(Debug)]
pub struct Program {
    command: Command,
}

impl Program {
    /// The program at `path`, or on PATH. It inherits the environment.
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(path);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes an environment variable.
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the working folder.
    pub fn dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn start(mut self) -> Running {
        let spawned = wait::until("the program's file is no longer written to", || {
            match self.command.spawn() {
                // A test has just written it, and a fork of another test still
                // holds its descriptor.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => None,
                spawned => Some(spawned),
            }
        });
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => panic!("cannot start {:?}: {error}", self.command),
        };
        Running {
            process: Process::of_child(child.id()),
            stdout: Output::collect(child.stdout.take().expect("stdout is piped")),
            stderr: Output::collect(child.stderr.take().expect("stderr is piped")),
            child: Mutex::new(child),
        }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started, or does not end within [`limits::WAIT`].
    #[track_caller]
    pub fn run(self) -> Exit {
        self.start().wait()
    }
}

/// A child process. Dropping it kills it and all that it has started.
#[derive(Debug)]
pub struct Running {
    child: Mutex<Child>,
    process: Process,
    stdout: Output,
    stderr: Output,
}

/// How a program ended.
pub struct Exit {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl fmt::Debug for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n--- stdout\n{}\n", self.status, self.stdout)?;
        write!(f, "--- stderr\n{}", self.stderr)
    }
}

impl Running {
    /// The process.
    pub fn process(&self) -> Process {
        self.process
    }

    /// What it writes to stdout.
    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// What it writes to stderr.
    pub fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Its exit status, if it has ended.
    pub fn exited(&self) -> Option<ExitStatus> {
        let mut child = self.child();
        child.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within [`limits::WAIT`].
    #[track_caller]
    pub fn wait(&self) -> Exit {
        match self.wait_within(limits::WAIT) {
            Some(exit) => exit,
            None => panic!("it does not end; stderr:\n{}", self.stderr.text()),
        }
    }

    /// Waits for its end; `None` if it runs on after `within`.
    pub fn wait_within(&self, within: Duration) -> Option<Exit> {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.exited() {
                break status;
            }
            if started.elapsed() > within {
                return None;
            }
            std::thread::sleep(limits::POLL);
        };
        self.stdout.wait_closed(limits::LAST_OUTPUT);
        self.stderr.wait_closed(limits::LAST_OUTPUT);
        Some(Exit {
            status,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        })
    }

    /// Kills it and all that it has started, and waits until they are gone.
    pub fn kill(&self) {
        let orphans = self.process.descendants();
        {
            let mut child = self.child();
            // An error means that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        // They are to follow by themselves; none may be left behind either way.
        let started = Instant::now();
        while orphans.iter().any(|orphan| orphan.is_alive()) {
            if started.elapsed() > limits::ORPHANS {
                for orphan in &orphans {
                    orphan.signal(Signal::KILL);
                }
            }
            std::thread::sleep(limits::POLL);
        }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
