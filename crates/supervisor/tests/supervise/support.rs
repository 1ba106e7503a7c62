//! What the tests share: a specification to change, an observer to ask.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outrigger_supervisor::{
    Argv, Backoff, Event, Exit, Generation, Observer, SocketPath, Spec, Stream, Trouble,
};
use tokio::sync::Notify;

use crate::role;

/// Long enough for a loaded machine; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A runner that listens, in `dir`, which also holds its sockets.
pub(crate) fn spec(dir: &Path) -> Spec {
    Spec {
        name: "test".to_owned(),
        cmd: role::command(),
        working_dir: dir.to_owned(),
        env: environment(&[(role::ROLE, "listen")]),
        socket: SocketPath::Fresh {
            dir: dir.to_owned(),
        },
        conf_expire_time: Duration::from_secs(3600),
        // No test waits for these unless it says so.
        start_limit: Duration::from_secs(300),
        drain: Duration::from_secs(10),
        stop_grace: Duration::from_secs(300),
        max_rss: None,
        backoff: Backoff::default(),
    }
}

/// A runner in `dir` that is this shell script.
pub(crate) fn script(dir: &Path, text: &str) -> Spec {
    Spec {
        cmd: shell(text),
        ..spec(dir)
    }
}

pub(crate) fn shell(text: &str) -> Argv {
    command(&["/bin/sh", "-c", text])
}

pub(crate) fn command(argv: &[&str]) -> Argv {
    let argv: Vec<_> = argv.iter().map(Into::into).collect();
    Argv::try_from(argv).unwrap()
}

pub(crate) fn environment(
    entries: &[(&str, &str)],
) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let path = [("PATH", "/usr/local/bin:/usr/bin:/bin")];
    path.iter()
        .chain(entries)
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// An event with its borrowed parts copied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Spawned {
        generation: Generation,
        pid: u32,
        socket: PathBuf,
    },
    SpawnFailed {
        error: String,
        retry_in: Option<Duration>,
    },
    Ready {
        generation: Generation,
        socket: PathBuf,
    },
    NotListening,
    Output {
        generation: Generation,
        stream: Stream,
        line: String,
    },
    Retired {
        generation: Generation,
    },
    Stopping {
        generation: Generation,
    },
    Killed {
        generation: Generation,
    },
    Exited {
        generation: Generation,
        status: Exit,
        requested: bool,
    },
    Respawn {
        in_: Duration,
    },
    Failing(Trouble),
    FellBack {
        trouble: Trouble,
        serving: Option<Generation>,
    },
    Outgrown {
        generation: Generation,
        resident: u64,
    },
    Halted,
    Stopped,
}

impl From<&Event<'_>> for Seen {
    fn from(event: &Event<'_>) -> Self {
        match *event {
            Event::Spawned {
                generation,
                pid,
                socket,
            } => Self::Spawned {
                generation,
                pid,
                socket: socket.to_owned(),
            },
            Event::SpawnFailed { error, retry_in } => Self::SpawnFailed {
                error: error.to_string(),
                retry_in,
            },
            Event::Ready {
                generation, socket, ..
            } => Self::Ready {
                generation,
                socket: socket.to_owned(),
            },
            Event::NotListening { .. } => Self::NotListening,
            Event::Output {
                generation,
                stream,
                line,
                ..
            } => Self::Output {
                generation,
                stream,
                line: line.to_owned(),
            },
            Event::Retired { generation, .. } => Self::Retired { generation },
            Event::Stopping { generation, .. } => Self::Stopping { generation },
            Event::Killed { generation, .. } => Self::Killed { generation },
            Event::Exited {
                generation,
                status,
                requested,
                ..
            } => Self::Exited {
                generation,
                status,
                requested,
            },
            Event::Respawn { in_ } => Self::Respawn { in_ },
            Event::Failing { trouble } => Self::Failing(trouble),
            Event::FellBack { trouble, serving } => Self::FellBack { trouble, serving },
            Event::Outgrown {
                generation,
                resident,
                ..
            } => Self::Outgrown {
                generation,
                resident,
            },
            Event::Halted => Self::Halted,
            Event::Stopped => Self::Stopped,
            ref other => panic!("an event that the tests do not know: {other:?}"),
        }
    }
}

/// Remembers every event, and lets tests wait for one.
#[derive(Default)]
pub(crate) struct Recorder {
    seen: Mutex<Vec<Seen>>,
    changed: Notify,
}

impl Observer for Recorder {
    fn event(&self, runner: &str, event: &Event<'_>) {
        assert_eq!(runner, "test");
        self.seen.lock().unwrap().push(event.into());
        self.changed.notify_waiters();
    }
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until `pick` finds what it looks for among all events so far.
    pub(crate) async fn until<T>(&self, what: &str, pick: impl Fn(&[Seen]) -> Option<T>) -> T {
        let found = async {
            loop {
                let changed = self.changed.notified();
                if let Some(found) = pick(&self.seen.lock().unwrap()) {
                    return found;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("no {what} among {:#?}", self.all()),
        }
    }

    /// Waits for the first event that `pick` takes.
    pub(crate) async fn first<T>(&self, what: &str, pick: impl Fn(&Seen) -> Option<T>) -> T {
        self.until(what, |seen| seen.iter().find_map(&pick)).await
    }

    /// Waits for the process spawned as the `n`th, from 1: its generation, id
    /// and socket.
    pub(crate) async fn spawned(&self, n: usize) -> (Generation, u32, PathBuf) {
        let pick = |seen: &[Seen]| seen.iter().filter_map(spawned).nth(n - 1);
        self.until("further process", pick).await
    }

    /// Waits until that process is ready.
    pub(crate) async fn ready(&self, of: Generation) {
        self.first("readiness", |seen| {
            matches!(seen, Seen::Ready { generation, .. } if *generation == of).then_some(())
        })
        .await;
    }

    /// Waits until that process is gone.
    pub(crate) async fn exited(&self, of: Generation) -> (Exit, bool) {
        self.first("exit", |seen| match *seen {
            Seen::Exited {
                generation,
                status,
                requested,
            } if generation == of => Some((status, requested)),
            _ => None,
        })
        .await
    }

    /// Waits for a line of output with this beginning, and returns its rest.
    pub(crate) async fn line(&self, beginning: &str) -> String {
        self.first("line", |seen| match seen {
            Seen::Output { line, .. } => line.strip_prefix(beginning).map(str::to_owned),
            _ => None,
        })
        .await
    }

    /// All lines of output so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |seen| match seen {
            Seen::Output { line, .. } => Some(line),
            _ => None,
        };
        self.all().into_iter().filter_map(line).collect()
    }

    /// Where this is among the events.
    pub(crate) fn position(&self, what: impl Fn(&Seen) -> bool) -> usize {
        let all = self.all();
        all.iter()
            .position(what)
            .unwrap_or_else(|| panic!("not among {all:#?}"))
    }
}

fn spawned(seen: &Seen) -> Option<(Generation, u32, PathBuf)> {
    match seen {
        Seen::Spawned {
            generation,
            pid,
            socket,
        } => Some((*generation, *pid, socket.clone())),
        _ => None,
    }
}

/// Whether this process runs: it exists and is not just waiting to be reaped.
pub(crate) fn runs(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The state follows the name, which is in parentheses and may hold any.
    let state = stat.rsplit_once(") ").map(|(_, rest)| &rest[..1]);
    state != Some("Z") && state != Some("X")
}

/// Waits until this process runs no more.
pub(crate) async fn until_gone(pid: u32) {
    let gone = async {
        while runs(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let result = tokio::time::timeout(PATIENCE, gone).await;
    assert!(result.is_ok(), "process {pid} still runs");
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
