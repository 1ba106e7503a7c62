//! Carries out what the [`Machine`](crate::machine) decides and tells it what
//! happens: the only place where processes, time and the caller's wishes meet.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use crate::error::SpawnError;
use crate::event::{Event, Exit, Observer};
use crate::group::Signal;
use crate::launch::launch;
use crate::limits;
use crate::machine::{Action, Machine, Notice, Terms};
use crate::process::{Process, Reporter};
use crate::socket;
use crate::spec::{Generation, SocketPath, Spec};

/// What the caller wants, as it stands. Wishes that come faster than they are
/// fulfilled merge, so they need no queue.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// What to run from the next spawn on.
    pub(crate) spec: Arc<Spec>,
    /// How many restarts were asked for.
    pub(crate) restarts: u64,
    /// Replaced processes up to this one have no calls any more.
    pub(crate) drained: Generation,
    pub(crate) stop: bool,
}

/// A process that lives.
struct Living {
    pid: u32,
    socket: PathBuf,
    signals: mpsc::Sender<Signal>,
}

/// Runs one runner until it is stopped.
pub(crate) struct Driver {
    spec: Arc<Spec>,
    reporter: Reporter,
    machine: Machine,
    living: HashMap<Generation, Living>,
    // Dropping this drops the tasks, and with them the processes are killed.
    tasks: JoinSet<(Generation, Exit)>,
    wishes: watch::Receiver<Wishes>,
    /// Restarts already passed to the machine.
    restarts: u64,
    /// The same of [`Wishes::drained`].
    drained: Generation,
    /// Whether there is still somebody to wish something.
    attended: bool,
}

impl Driver {
    pub(crate) fn new(observer: Arc<dyn Observer>, wishes: watch::Receiver<Wishes>) -> Self {
        let spec = Arc::clone(&wishes.borrow().spec);
        Self {
            machine: Machine::new(now(), terms(&spec)),
            reporter: Reporter {
                runner: spec.name.as_str().into(),
                observer,
            },
            spec,
            living: HashMap::new(),
            tasks: JoinSet::new(),
            wishes,
            restarts: 0,
            drained: Generation::NONE,
            attended: true,
        }
    }

    pub(crate) async fn run(mut self) {
        // A stop may have been wished for before this task first ran.
        self.grant();
        loop {
            self.machine.tick(now());
            while let Some(action) = self.machine.next_action() {
                self.perform(action);
            }
            if self.machine.finished() {
                return;
            }
            let wake = self.machine.next_wake();
            tokio::select! {
                changed = self.wishes.changed(), if self.attended => match changed {
                    Ok(()) => self.grant(),
                    Err(_) => self.leave_alone(),
                },
                Some(ended) = self.tasks.join_next() => self.exited(ended),
                () = sleep_until(wake) => {}
            }
        }
    }

    fn grant(&mut self) {
        let wishes = self.wishes.borrow_and_update();
        let now = now();
        if wishes.restarts != self.restarts {
            self.restarts = wishes.restarts;
            self.spec = Arc::clone(&wishes.spec);
            self.machine.restart(now, terms(&self.spec));
        }
        // Once only: it says nothing of a process replaced after it was said.
        if wishes.drained != self.drained {
            self.drained = wishes.drained;
            self.machine.drained(now, self.drained);
        }
        if wishes.stop {
            self.machine.stop(now);
        }
    }

    /// The handle is gone. If that was not in the course of a stop, nobody will
    /// ever stop this runner.
    fn leave_alone(&mut self) {
        self.attended = false;
        if !self.wishes.borrow().stop {
            self.machine.abandon();
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn => self.spawn(),
            Action::Probe(generation) => {
                if self
                    .living
                    .get(&generation)
                    .is_some_and(|it| socket::accepts(&it.socket))
                {
                    self.machine.connected(now(), generation);
                }
            }
            Action::Signal(generation, signal) => {
                if let Some(process) = self.living.get(&generation) {
                    // If its task has ended, so has the process.
                    let _ = process.signals.try_send(signal);
                }
            }
            Action::Report(generation, notice) => {
                if let Some(process) = self.living.get(&generation) {
                    self.reporter.report(&event(generation, process, notice));
                }
            }
            Action::ReportRespawn(in_) => self.reporter.report(&Event::Respawn { in_ }),
            Action::ReportStopped => self.reporter.report(&Event::Stopped),
        }
    }

    fn spawn(&mut self) {
        if let Err(error) = self.try_spawn() {
            let retry_in = self.machine.spawn_failed(now());
            self.reporter.report(&Event::SpawnFailed {
                error: &error,
                retry_in,
            });
        }
    }

    fn try_spawn(&mut self) -> Result<(), SpawnError> {
        let launched = launch(&self.spec)?;
        let (generation, pid) = (launched.generation, launched.pid);
        let socket = launched.socket.path().to_owned();
        let (signals, inbox) = mpsc::channel(limits::SIGNALS);
        let process =
            Process::new(launched, inbox, &self.reporter).map_err(|source| SpawnError::System {
                path: self.spec.cmd.program().into(),
                source,
            })?;
        self.machine.spawned(now(), generation);
        self.reporter.report(&Event::Spawned {
            generation,
            pid,
            socket: &socket,
        });
        self.living.insert(
            generation,
            Living {
                pid,
                socket,
                signals,
            },
        );
        self.tasks.spawn(process.run());
        Ok(())
    }

    fn exited(&mut self, ended: Result<(Generation, Exit), JoinError>) {
        let (generation, status) = match ended {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                // The observer panicked on a line of output: its author's fault,
                // and this supervisor ends as if it had been here.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down, and we are next.
                Err(_) => return,
            },
        };
        let departure = self.machine.exited(now(), generation);
        if let (Some(departure), Some(process)) = (departure, self.living.remove(&generation)) {
            self.reporter.report(&Event::Exited {
                generation,
                pid: process.pid,
                status,
                uptime: departure.uptime,
                requested: departure.requested,
            });
        }
    }
}

fn terms(spec: &Spec) -> Terms {
    Terms {
        stop_grace: spec.stop_grace,
        backoff: spec.backoff,
        overlap: matches!(spec.socket, SocketPath::Fresh { .. }),
    }
}

fn event(generation: Generation, process: &Living, notice: Notice) -> Event<'_> {
    let Living {
        pid, ref socket, ..
    } = *process;
    match notice {
        Notice::Ready { after } => Event::Ready {
            generation,
            pid,
            socket,
            after,
        },
        Notice::NotListening { waited } => Event::NotListening {
            generation,
            pid,
            socket,
            waited,
        },
        Notice::Retired { drain } => Event::Retired {
            generation,
            pid,
            drain,
        },
        Notice::Stopping { grace } => Event::Stopping {
            generation,
            pid,
            grace,
        },
        Notice::Killed => Event::Killed { generation, pid },
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
