//! What happens to a runner, as it is told to the caller.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use crate::error::SpawnError;
use crate::spec::Generation;

/// Hears of everything that happens to a runner.
pub trait Observer: Send + Sync + 'static {
    /// Called on the supervisor's tasks, so it must not block for long; a runner
    /// whose output is not taken waits. What happens to one process is told in
    /// order; on a multi-thread runtime two processes may be told of at once. If
    /// this panics, the supervisor ends and its processes are killed.
    fn event(&self, runner: &str, event: &Event<'_>);
}

/// What happened. Its `Display` is a sentence for a log; the runner's name is
/// not in it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A process exists; it does not listen yet.
    Spawned {
        /// The process.
        generation: Generation,
        /// Its process id, which is also the id of its group.
        pid: u32,
        /// Where it was told to listen.
        socket: &'a Path,
    },
    /// No process came to be.
    SpawnFailed {
        /// Why.
        error: &'a SpawnError,
        /// When it will be tried again; `None` if it will not, because what it
        /// was to replace stays.
        retry_in: Option<Duration>,
    },
    /// A process accepts connections: calls may go there.
    Ready {
        /// The process.
        generation: Generation,
        /// Its process id.
        pid: u32,
        /// Where it listens.
        socket: &'a Path,
        /// Time since it was spawned.
        after: Duration,
    },
    /// A process still does not accept connections. Comes again and again, less
    /// and less often, until it does or exits.
    NotListening {
        /// The process.
        generation: Generation,
        /// Its process id.
        pid: u32,
        /// Where it was told to listen.
        socket: &'a Path,
        /// Time since it was spawned.
        waited: Duration,
    },
    /// A process wrote a line.
    Output {
        /// The process.
        generation: Generation,
        /// Its process id.
        pid: u32,
        /// Where it wrote.
        stream: Stream,
        /// The line without its end. Bytes that are not UTF-8 are replaced, a
        /// long line is cut with a mark; control characters are left as they are.
        line: &'a str,
    },
    /// This process gets no new calls any more, because its successor is ready,
    /// needs its socket path, or the runner was halted. It will be stopped once
    /// its calls have ended.
    Retired {
        /// The process.
        generation: Generation,
        /// Its process id.
        pid: u32,
        /// How long it is left alone at most.
        drain: Duration,
    },
    /// A process was sent SIGTERM.
    Stopping {
        /// The process.
        generation: Generation,
        /// Its process id.
        pid: u32,
        /// How long until SIGKILL.
        grace: Duration,
    },
    /// A process was sent SIGKILL.
    Killed {
        /// The process.
        generation: Generation,
        /// Its process id.
        pid: u32,
    },
    /// A process is gone, with its group; all its output has been reported and
    /// its socket has been removed.
    Exited {
        /// The process.
        generation: Generation,
        /// What its process id was.
        pid: u32,
        /// How it ended.
        status: Exit,
        /// How long it lived.
        uptime: Duration,
        /// Whether it had been told to stop, by a signal of ours.
        requested: bool,
    },
    /// The process that exited will be replaced.
    Respawn {
        /// In how long.
        in_: Duration,
    },
    /// Process after process ends, or the only one does not listen: there is
    /// nothing to wait for. It goes on being tried; over with the next
    /// [`Ready`](Self::Ready).
    Failing {
        /// What is the matter.
        trouble: Trouble,
    },
    /// A replacement did not come up. The process that it was to replace stays,
    /// and so do its command and terms until the next restart.
    FellBack {
        /// What is the matter.
        trouble: Trouble,
        /// The process that stays; `None` if it had to make way or has ended, and
        /// another one on its terms is spawned.
        serving: Option<Generation>,
    },
    /// A process takes more memory than it may, and is being replaced.
    Outgrown {
        /// The process.
        generation: Generation,
        /// Its process id.
        pid: u32,
        /// What it takes, with all of its group, in bytes.
        resident: u64,
        /// What it may take, in bytes.
        max: u64,
    },
    /// The runner was halted and no process is left; none is spawned until it is
    /// started.
    Halted,
    /// The runner was stopped for good and no process is left. The last event.
    Stopped,
}

/// Why a runner does not come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// Its processes end as soon as they have begun, or cannot be spawned.
    Ends {
        /// How often in a row.
        times: u32,
    },
    /// Its process lives but does not listen.
    Late {
        /// For how long it was waited.
        waited: Duration,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends { times } => write!(f, "it ended or could not be started {times} times"),
            Self::Late { waited } => {
                write!(f, "it does not listen after {} s", waited.as_secs_f32())
            }
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawned {
                generation,
                pid,
                socket,
            } => write!(
                f,
                "process {pid} spawned (generation {generation}), to listen on {}",
                socket.display()
            ),
            Self::Ready {
                pid, socket, after, ..
            } => write!(
                f,
                "process {pid} listens on {} after {} ms",
                socket.display(),
                after.as_millis()
            ),
            Self::NotListening {
                pid,
                socket,
                waited,
                ..
            } => write!(
                f,
                "process {pid} does not listen after {} s; it was told \
                 APISIX_LISTEN_ADDRESS=unix:{}",
                waited.as_secs(),
                socket.display()
            ),
            Self::Output {
                pid, stream, line, ..
            } => write!(f, "[{pid} {stream}] {line}"),
            Self::Retired { pid, drain, .. } => {
                write!(
                    f,
                    "process {pid} takes no new calls; it has {drain:?} to end those it has"
                )
            }
            Self::Stopping { pid, grace, .. } => {
                write!(
                    f,
                    "process {pid} was sent SIGTERM; SIGKILL follows in {grace:?}"
                )
            }
            Self::Killed { pid, .. } => write!(f, "process {pid} and its group were sent SIGKILL"),
            Self::Exited {
                pid,
                status,
                uptime,
                requested,
                ..
            } => {
                let why = if *requested { " as told" } else { "" };
                let uptime = uptime.as_secs_f64();
                write!(f, "process {pid} exited{why} after {uptime:.3} s: {status}")
            }
            Self::Outgrown {
                pid, resident, max, ..
            } => write!(
                f,
                "process {pid} takes {} MiB of memory, more than max_rss ({} MiB); \
                 it is being replaced",
                resident >> 20,
                max >> 20
            ),
            _ => self.fmt_of_runner(f),
        }
    }
}

impl Event<'_> {
    /// As text, if it is about the runner rather than one process.
    fn fmt_of_runner(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpawnFailed {
                error,
                retry_in: Some(retry_in),
            } => write!(f, "{error}; next try in {retry_in:?}"),
            Self::SpawnFailed { error, .. } => write!(f, "{error}"),
            Self::Respawn { in_ } => write!(f, "a new process follows in {in_:?}"),
            Self::Failing { trouble } => write!(
                f,
                "does not come up: {trouble}; calls fail at once until it listens"
            ),
            Self::FellBack { trouble, serving } => {
                let instead = match serving {
                    Some(_) => "the one before stays in service",
                    None => "one as before is started",
                };
                write!(
                    f,
                    "the new process did not come up: {trouble}; {instead} \
                     until the next reload or restart"
                )
            }
            Self::Halted => f.write_str("halted; no process is left until it is started"),
            // The others are about a process.
            _ => f.write_str("stopped"),
        }
    }
}

/// Where a runner wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It returned a status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// Its status was taken by another part of this program.
    Unknown,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "status {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
            Self::Unknown => f.write_str("status unknown"),
        }
    }
}

/// The name of a signal that ends processes in practice.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_by_status_or_by_signal_and_its_name() {
        assert_eq!(
            Exit::from(ExitStatus::from_raw(3 << 8)).to_string(),
            "status 3"
        );
        assert_eq!(
            Exit::from(ExitStatus::from_raw(9)).to_string(),
            "signal 9 (SIGKILL)"
        );
        // With a core dump, which sets bit 7.
        assert_eq!(
            Exit::from(ExitStatus::from_raw(11 | 0x80)).to_string(),
            "signal 11 (SIGSEGV)"
        );
        assert_eq!(Exit::Signal(60).to_string(), "signal 60");
    }

    #[test]
    fn a_runner_that_does_not_listen_is_told_with_the_address_it_was_given() {
        let event = Event::NotListening {
            generation: Generation::next(),
            pid: 7,
            socket: Path::new("/run/a.1.sock"),
            waited: Duration::from_secs(5),
        };
        let text = "process 7 does not listen after 5 s; \
                    it was told APISIX_LISTEN_ADDRESS=unix:/run/a.1.sock";
        assert_eq!(event.to_string(), text);
    }
}
