//! Looks after one child: hands on its output, passes signals to its group,
//! waits for its end, and leaves nothing of it behind.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::sync::mpsc;

use crate::event::{Event, Exit, Observer, Stream};
use crate::group::{Group, Signal};
use crate::launch::Launched;
use crate::limits;
use crate::lines::Lines;
use crate::socket::Socket;
use crate::spec::Generation;

/// Takes the events of one process.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) runner: Arc<str>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Reporter {
    pub(crate) fn report(&self, event: &Event<'_>) {
        self.observer.event(&self.runner, event);
    }
}

/// A child in the care of its task. Dropped before its end, it is killed with
/// its group and waited for by the runtime.
pub(crate) struct Process {
    generation: Generation,
    // Dropped in this order; see `Launched`.
    group: Group,
    child: Child,
    socket: Socket,
    stdout: Output,
    stderr: Output,
    signals: mpsc::Receiver<Signal>,
    /// The last signal sent. Once told to stop, what is left of the group when
    /// the leader has exited still has its grace.
    told: Option<Signal>,
}

impl Process {
    /// Takes over a child that was just spawned.
    ///
    /// # Errors
    /// If its output pipes cannot be watched.
    pub(crate) fn new(
        launched: Launched,
        signals: mpsc::Receiver<Signal>,
        reporter: &Reporter,
    ) -> io::Result<Self> {
        let Launched {
            generation,
            pid,
            group,
            mut child,
            socket,
        } = launched;
        let output = |fd: Option<io::Result<OwnedFd>>, stream| {
            let fd = fd.ok_or(io::ErrorKind::BrokenPipe)??;
            Ok::<_, io::Error>(Output {
                pipe: Some(Receiver::from_owned_fd(fd)?),
                lines: Lines::default(),
                sink: Sink {
                    generation,
                    pid,
                    stream,
                    reporter: reporter.clone(),
                },
                buffer: vec![0; limits::READ_BYTES],
            })
        };
        let stdout = output(
            child.stdout.take().map(ChildStdout::into_owned_fd),
            Stream::Stdout,
        )?;
        let stderr = output(
            child.stderr.take().map(ChildStderr::into_owned_fd),
            Stream::Stderr,
        )?;
        Ok(Self {
            generation,
            group,
            child,
            socket,
            stdout,
            stderr,
            signals,
            told: None,
        })
    }

    /// Runs until the process and its group are gone, their output is handed on
    /// and the socket is removed.
    pub(crate) async fn run(mut self) -> (Generation, Exit) {
        let status = self.until_leader_exits().await;
        if self.told == Some(Signal::Term) {
            self.until_group_exits().await;
        }
        self.group.signal(Signal::Kill);
        self.group.wait_gone().await;
        self.stdout.finish();
        self.stderr.finish();
        drop(self.socket);
        (self.generation, status)
    }

    async fn until_leader_exits(&mut self) -> Exit {
        loop {
            tokio::select! {
                status = self.child.wait() => return status.map_or(Exit::Unknown, Exit::from),
                Some(signal) = self.signals.recv() => self.signal(signal),
                () = self.stdout.pump() => {}
                () = self.stderr.pump() => {}
            }
        }
    }

    /// Until the leader's descendants have ended too, or are to be killed.
    async fn until_group_exits(&mut self) {
        while self.told != Some(Signal::Kill) && self.group.has_members() {
            tokio::select! {
                Some(signal) = self.signals.recv() => self.signal(signal),
                () = tokio::time::sleep(limits::GROUP_POLL) => {}
                () = self.stdout.pump() => {}
                () = self.stderr.pump() => {}
            }
        }
    }

    fn signal(&mut self, signal: Signal) {
        self.told = Some(signal);
        self.group.signal(signal);
    }
}

/// One output stream of a process.
struct Output {
    /// `None` once its end was read.
    pipe: Option<Receiver>,
    lines: Lines,
    sink: Sink,
    buffer: Vec<u8>,
}

impl Output {
    /// Waits for output and hands on what one read gives. Never returns once the
    /// stream has ended.
    async fn pump(&mut self) {
        let Some(pipe) = &mut self.pipe else {
            return std::future::pending().await;
        };
        match pipe.read(&mut self.buffer).await {
            Ok(0) | Err(_) => self.pipe = None,
            Ok(length) => self
                .lines
                .push(&self.buffer[..length], |line| self.sink.line(line)),
        }
    }

    /// Hands on what is still in the pipe. It does not wait for the pipe's end:
    /// a descendant outside the group may hold it open for ever.
    fn finish(&mut self) {
        // Read directly: the runtime may not have noticed yet that there is
        // something to read.
        let pipe = self
            .pipe
            .take()
            .and_then(|pipe| pipe.into_nonblocking_fd().ok());
        if let Some(mut pipe) = pipe.map(File::from) {
            let mut taken = 0;
            while taken < limits::LAST_OUTPUT_BYTES {
                match pipe.read(&mut self.buffer) {
                    Ok(length @ 1..) => {
                        taken += length;
                        self.lines
                            .push(&self.buffer[..length], |line| self.sink.line(line));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break,
                }
            }
        }
        self.lines.finish(|line| self.sink.line(line));
    }
}

/// Where the lines of one stream go.
struct Sink {
    generation: Generation,
    pid: u32,
    stream: Stream,
    reporter: Reporter,
}

impl Sink {
    fn line(&self, line: &str) {
        let Self {
            generation,
            pid,
            stream,
            ..
        } = *self;
        self.reporter.report(&Event::Output {
            generation,
            pid,
            stream,
            line,
        });
    }
}
