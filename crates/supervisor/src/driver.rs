//! Carries out what the [`Machine`](crate::machine) decides and tells it what
//! happens: the only place where processes, time and the caller's wishes meet.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use crate::error::SpawnError;
use crate::event::{Event, Exit, Observer};
use crate::group::{self, Signal};
use crate::launch::launch;
use crate::limits;
use crate::machine::{Action, Machine, Notice, Place, Terms};
use crate::process::{Process, Reporter};
use crate::socket;
use crate::spec::{Generation, SocketPath, Spec};
use crate::status::{State, Status};

/// What the caller wants, as it stands. Wishes that come faster than they are
/// fulfilled merge, so they need no queue.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// What to run from the next spawn on.
    pub(crate) spec: Arc<Spec>,
    /// How many restarts were asked for.
    pub(crate) restarts: u64,
    /// Replaced processes that have no calls any more; those said last.
    pub(crate) drained: VecDeque<Generation>,
    /// Whether no process is wanted for now.
    pub(crate) halt: bool,
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
    /// What the next process is spawned from.
    spec: Arc<Spec>,
    /// What the process that serves, or served last, was spawned from.
    proven: Arc<Spec>,
    reporter: Reporter,
    machine: Machine,
    living: HashMap<Generation, Living>,
    // Dropping this drops the tasks, and with them the processes are killed.
    tasks: JoinSet<(Generation, Exit)>,
    places: Places,
    wishes: watch::Receiver<Wishes>,
    /// Restarts already passed to the machine.
    restarts: u64,
    /// Whether there is still somebody to wish something.
    attended: bool,
    tally: Tally,
    status: watch::Sender<Status>,
}

/// What has happened so far, in numbers.
#[derive(Default)]
struct Tally {
    spawned: u64,
    crashes: u64,
}

/// The fixed paths so far, by their places. As many as a configuration has had.
#[derive(Default)]
struct Places(Vec<PathBuf>);

impl Places {
    fn terms(&mut self, spec: &Spec) -> Terms {
        Terms {
            start_limit: spec.start_limit,
            drain: spec.drain,
            stop_grace: spec.stop_grace,
            backoff: spec.backoff,
            place: self.of(spec),
            measured: spec.max_rss.is_some(),
        }
    }

    fn of(&mut self, spec: &Spec) -> Option<Place> {
        let SocketPath::Fixed(path) = &spec.socket else {
            return None;
        };
        let path = spec.working_dir.join(path);
        let known = self.0.iter().position(|place| *place == path);
        Some(Place(known.unwrap_or_else(|| {
            self.0.push(path);
            self.0.len() - 1
        })))
    }
}

impl Driver {
    pub(crate) fn new(
        observer: Arc<dyn Observer>,
        wishes: watch::Receiver<Wishes>,
        status: watch::Sender<Status>,
    ) -> Self {
        let spec = Arc::clone(&wishes.borrow().spec);
        let mut places = Places::default();
        Self {
            machine: Machine::new(now(), places.terms(&spec)),
            reporter: Reporter {
                runner: spec.name.as_str().into(),
                observer,
            },
            proven: Arc::clone(&spec),
            spec,
            living: HashMap::new(),
            tasks: JoinSet::new(),
            places,
            wishes,
            restarts: 0,
            attended: true,
            tally: Tally::default(),
            status,
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
            self.publish();
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
        let restart = wishes.restarts != self.restarts;
        if restart {
            self.restarts = wishes.restarts;
            self.spec = Arc::clone(&wishes.spec);
            self.machine.restart(now, self.places.terms(&self.spec));
        }
        if wishes.halt {
            self.machine.halt(now);
        } else {
            self.machine.start(now);
        }
        for generation in &wishes.drained {
            self.machine.drained(now, *generation);
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

    /// Tells how the runner is, if that has changed.
    fn publish(&self) {
        let state = self.machine.state();
        let process = self.machine.serving().or_else(|| self.machine.starting());
        let living = process.and_then(|process| self.living.get(&process));
        let pid = living.map(|process| process.pid);
        let restarts = self.tally.spawned.saturating_sub(1);
        let crashes = self.tally.crashes;
        self.status.send_if_modified(|status| {
            let other_process = state == State::Running && status.generation != process;
            let since = if status.state != state || other_process {
                SystemTime::now()
            } else {
                status.since
            };
            let fresh = Status {
                state,
                since,
                generation: process,
                pid,
                socket: living.map(|process| process.socket.clone()),
                restarts,
                crashes,
            };
            let changed = *status != fresh;
            *status = fresh;
            changed
        });
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
            Action::Measure(generation) => self.measure(generation),
            Action::Signal(generation, signal) => {
                if let Some(process) = self.living.get(&generation) {
                    // If its task has ended, so has the process.
                    let _ = process.signals.try_send(signal);
                }
            }
            Action::Report(generation, notice) => {
                if matches!(notice, Notice::Ready { .. }) {
                    self.proven = Arc::clone(&self.spec);
                }
                if let Some(process) = self.living.get(&generation) {
                    self.reporter.report(&event(generation, process, notice));
                }
            }
            Action::ReportRespawn(in_) => self.reporter.report(&Event::Respawn { in_ }),
            Action::ReportFailing(trouble) => self.reporter.report(&Event::Failing { trouble }),
            Action::FallBack(trouble) => {
                self.spec = Arc::clone(&self.proven);
                let serving = self.machine.serving();
                self.reporter.report(&Event::FellBack { trouble, serving });
            }
            Action::ReportHalted => self.reporter.report(&Event::Halted),
            Action::ReportStopped => self.reporter.report(&Event::Stopped),
        }
    }

    fn measure(&mut self, generation: Generation) {
        // The machine asks of the process that serves, which is of this kind.
        let (Some(max), Some(process)) = (self.proven.max_rss, self.living.get(&generation)) else {
            return;
        };
        let pid = process.pid;
        let resident = group::resident(pid);
        if resident > max && self.machine.outgrown(now(), generation) {
            self.reporter.report(&Event::Outgrown {
                generation,
                pid,
                resident,
                max,
            });
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
        self.tally.spawned += 1;
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
            self.tally.crashes += u64::from(!departure.requested);
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
