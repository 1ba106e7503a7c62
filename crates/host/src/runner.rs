//! One configured runner: its settings, its processes, and what its calls
//! share.
//!
//! The control thread writes, all workers read, both through atomic pointers.
//! Whoever finds nobody listening waits here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::admission::Admission;
use crate::ahead::Ahead;
use crate::breaker::{Breaker, Outcome, Pass};
use crate::buffered::Budget;
use crate::limits::INSTANCES;
use crate::process::Process;
use crate::settings::{BreakerSettings, Settings, Timeouts};
use crate::target::{Absence, Encounter, Place, Retired, Seat, Table, Target};
use crate::{BreakerState, CallError, Event, Observer};

/// One configured runner, shared by all workers. When it is dropped, no new
/// call can begin; its workers' idle connections are closed when these next
/// [look after them](crate::Connections::tend).
#[derive(Debug)]
pub struct Runner(Arc<Shared>);

impl Runner {
    /// A runner of which calls wait for its first process, until the control
    /// thread says otherwise.
    pub fn new(name: &str, settings: Settings, observer: Arc<dyn Observer>) -> Arc<Self> {
        let settings = settings.bounded();
        let absent = Place::absent(Absence::Passing, "it was not started yet");
        Arc::new(Self(Arc::new(Shared {
            name: name.into(),
            observer,
            admission: Admission::new(settings.limits),
            breaker: Breaker::new(),
            budget: Arc::new(Budget::new(settings.limits.max_buffered)),
            settings: ArcSwap::from_pointee(settings),
            table: ArcSwap::from_pointee(Table::new(absent)),
            writer: Mutex::default(),
            changed: Notify::new(),
            ahead: Ahead::default(),
            removed: AtomicBool::new(false),
            workers: Mutex::default(),
        })))
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is configured with.
    pub fn settings(&self) -> Arc<Settings> {
        self.0.settings.load_full()
    }

    /// Its time limits.
    pub fn timeouts(&self) -> Timeouts {
        self.0.timeouts()
    }

    /// From now on it has these settings. Calls that wait or are under way go
    /// on with the times they began with.
    pub fn configure(&self, settings: Settings) {
        let settings = settings.bounded();
        self.0.budget.resize(settings.limits.max_buffered);
        let limits = settings.limits;
        self.0.settings.store(Arc::new(settings));
        self.0.admission.resize(limits);
    }

    /// From now on calls go to `socket`: that of a new process, or of one that
    /// somebody else started. `instance` counts from 0 the processes of this
    /// runner that are called side by side; those of 256 and more are not
    /// called.
    ///
    /// Returns the process that was called as this instance before, if there
    /// was one: its calls end where they are.
    pub fn listening(&self, instance: usize, socket: PathBuf) -> Retired {
        self.listening_as(instance, socket, None)
    }

    /// As [`listening`](Self::listening), where `process` may be known already.
    pub(crate) fn listening_as(
        &self,
        instance: usize,
        socket: PathBuf,
        process: Option<Process>,
    ) -> Retired {
        if instance >= INSTANCES {
            return Retired(None);
        }
        let socket: Arc<Path> = socket.into();
        let old = self.0.write(|table| {
            let (table, target) = table.with_target(instance, &socket);
            if let Some(process) = process {
                self.0.met(&target, process);
            }
            table
        });
        self.0.hope();
        old
    }

    /// From now on there is no process to call as `instance`. `why` is for the
    /// log. Returns the one that was called before: its calls end where they
    /// are.
    pub fn unavailable(&self, instance: usize, absence: Absence, why: String) -> Retired {
        if instance >= INSTANCES {
            return Retired(None);
        }
        let why: Arc<str> = why.into();
        self.0.write(|table| table.without(instance, absence, &why))
    }

    /// From now on there are at most `instances` processes; a runner has one at
    /// least. Returns those that were called before, of which at most one
    /// generation each is left.
    pub fn limit_instances(&self, instances: usize) -> Vec<Retired> {
        let gone = self.0.write_all(|table| table.cut(instances));
        gone.into_iter()
            .map(|target| Retired(Some(target)))
            .collect()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.0.removed.store(true, Ordering::Relaxed);
        let removed = Place::absent(Absence::Lasting, "it was removed from the configuration");
        self.0.write_all(|_| Table::new(removed.clone()));
    }
}

/// What a [`Runner`], its connections and its background tasks share.
pub(crate) struct Shared {
    name: Box<str>,
    observer: Arc<dyn Observer>,
    settings: ArcSwap<Settings>,
    admission: Admission,
    breaker: Breaker,
    budget: Arc<Budget>,
    table: ArcSwap<Table>,
    /// Held by whoever replaces the table; read without it.
    writer: Mutex<()>,
    /// Wakes those who wait for another table.
    changed: Notify,
    ahead: Ahead,
    removed: AtomicBool,
    /// Wakes workers that have connections, so that they look after them.
    workers: Mutex<Vec<Weak<Notify>>>,
}

impl Shared {
    pub(crate) fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.settings.load().timeouts
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(crate) fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// Whether its [`Runner`] was dropped.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    pub(crate) fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// Wakes when the table has changed since this was called and enabled.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Waits until calls do not go to `target` any more.
    pub(crate) async fn retired(&self, target: &Target) {
        loop {
            let mut changed = pin!(self.changed());
            // Before looking, or a change in between would be missed.
            changed.as_mut().enable();
            if target.is_retired() {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn event(&self, event: Event<'_>) {
        self.observer.event(&self.name, event);
    }

    /// A seat at the least busy process, if any listens.
    pub(crate) fn seat(&self, avoid: Option<u64>, turn: usize) -> Option<Seat> {
        self.table.load().seat(avoid, turn)
    }

    /// `worker` has connections from now on, and wants to be woken when it
    /// should look after them.
    pub(crate) fn add_worker(&self, worker: &Arc<Notify>) {
        let mut workers = unpoisoned(&self.workers);
        workers.retain(|known| known.strong_count() > 0);
        workers.push(Arc::downgrade(worker));
    }

    pub(crate) fn breaker_state(&self) -> BreakerState {
        match &self.settings.load().breaker {
            Some(_) => self.breaker.state(),
            None => BreakerState::Closed,
        }
    }

    /// Whether the breaker would let a call through.
    ///
    /// # Errors
    /// [`CallError::CircuitOpen`]
    pub(crate) fn is_passable(&self, now: Instant, settings: Guarded) -> Result<(), CallError> {
        if self.breaker.is_passable(now, settings.as_ref()) {
            Ok(())
        } else {
            Err(circuit_open())
        }
    }

    /// Lets a call through, if the breaker does.
    ///
    /// # Errors
    /// [`CallError::CircuitOpen`]
    pub(crate) fn pass_breaker(
        &self,
        now: Instant,
        settings: Guarded,
    ) -> Result<Passed<'_>, CallError> {
        let (pass, turned) = self.breaker.admit(now, settings.as_ref());
        self.breaker_turned(turned);
        let pass = pass.ok_or_else(circuit_open)?;
        Ok(Passed {
            runner: self,
            pass: Some(pass),
            settings,
        })
    }

    fn breaker_turned(&self, into: Option<BreakerState>) {
        if let Some(state) = into {
            self.event(Event::BreakerChanged { state });
        }
    }

    fn hope(&self) {
        let settings = self.settings.load();
        self.breaker.hope(Instant::now(), settings.breaker.as_ref());
    }

    /// A connection to `target` leads to `process`.
    pub(crate) fn met(&self, target: &Target, process: Process) -> Encounter {
        let (encounter, old) = target.met(process);
        if let Some(old) = old {
            self.event(Event::ProcessChanged {
                old: old.pid(),
                new: process.pid(),
            });
        }
        encounter
    }

    /// Replaces the table; returns the one target that is in it no more.
    fn write(&self, change: impl FnOnce(&Table) -> Table) -> Retired {
        Retired(self.write_all(change).pop())
    }

    fn write_all(&self, change: impl FnOnce(&Table) -> Table) -> Vec<Arc<Target>> {
        let writing = unpoisoned(&self.writer);
        let old = self.table.load_full();
        let new = change(&old);
        self.table.store(Arc::new(new));
        let gone = old.retire_all_but(&self.table.load());
        drop(writing);
        self.changed.notify_waiters();
        self.ahead.wake();
        let mut workers = unpoisoned(&self.workers);
        workers.retain(|worker| match worker.upgrade() {
            Some(worker) => {
                worker.notify_one();
                true
            }
            None => false,
        });
        gone
    }
}

/// The state behind `mutex` is whole even if somebody panicked.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn circuit_open() -> CallError {
    let why = "nearly every call failed lately";
    CallError::CircuitOpen { why: why.into() }
}

/// The breaker's settings, if there is one.
type Guarded = Option<BreakerSettings>;

/// A call that the breaker let through. If it is dropped before its
/// [end](Self::ended) is told, it says nothing about the runner.
pub(crate) struct Passed<'a> {
    runner: &'a Shared,
    /// Until its end was told.
    pass: Option<Pass>,
    settings: Guarded,
}

impl Passed<'_> {
    pub(crate) fn ended(mut self, outcome: Outcome, now: Instant) {
        self.tell(outcome, now);
    }

    fn tell(&mut self, outcome: Outcome, now: Instant) {
        if let Some(pass) = self.pass.take() {
            let (runner, settings) = (self.runner, self.settings.as_ref());
            let turned = runner.breaker.ended(pass, outcome, now, settings);
            runner.breaker_turned(turned);
        }
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        if self.pass.is_some() {
            self.tell(Outcome::Neither, Instant::now());
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("name", &self.name)
            .field("settings", &self.settings.load())
            .field("table", &self.table.load())
            .finish_non_exhaustive()
    }
}
