//! The processes of a runner, side by side: who listens where, and how busy
//! each is.
//!
//! The control thread replaces the [`Table`] whole, workers read it through an
//! atomic pointer. A [`Target`] is one generation of one process. A call takes
//! a [`Seat`] there before it looks for a connection, so a target that was
//! [retired](Retired) and has neither seats nor connections will never be
//! called again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, Ordering::SeqCst};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use crate::process::Process;

/// Why there is no process, and what that means for calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Absence {
    /// One is on its way, as after a crash: calls wait for it.
    Passing,
    /// One after the other fails to start, or dies: calls fail at once until
    /// one listens.
    Failing,
    /// It was stopped on purpose, or never configured: calls fail at once.
    Lasting,
}

/// One generation of one process that listens.
#[derive(Debug)]
pub(crate) struct Target {
    /// Never given twice, not even to different runners.
    generation: u64,
    socket: Arc<Path>,
    /// Who listens there; unknown before the first connection.
    met: ArcSwapOption<Met>,
    /// That of `met`, to be compared without following a pointer.
    encounter: AtomicU64,
    /// Who was there before this generation.
    before: Option<Process>,
    calls: AtomicUsize,
    connections: AtomicUsize,
    retired: AtomicBool,
    /// Wakes those who wait for the last call and connection to end.
    ended: Notify,
}

/// A process that was found to listen.
#[derive(Debug, Clone, Copy)]
struct Met {
    process: Process,
    encounter: Encounter,
}

/// One process as found at one target, until another is found there. Two of
/// them are equal only if they mean the same process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encounter(u64);

impl Encounter {
    pub(crate) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Target {
    fn new(socket: Arc<Path>, before: Option<Process>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            generation: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            socket,
            met: ArcSwapOption::empty(),
            encounter: AtomicU64::new(0),
            before,
            calls: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn socket(&self) -> &Arc<Path> {
        &self.socket
    }

    pub(crate) fn process(&self) -> Option<Process> {
        self.met.load().as_ref().map(|met| met.process)
    }

    /// Whether nobody else has been found since.
    pub(crate) fn is_current(&self, encounter: Encounter) -> bool {
        self.encounter.load(Ordering::Acquire) == encounter.0
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(SeqCst)
    }

    /// A connection leads to `process`. With it comes the one before, if that
    /// was another.
    pub(crate) fn met(&self, process: Process) -> (Encounter, Option<Process>) {
        let known = self.met.load();
        let met = match known.as_deref() {
            Some(met) if met.process == process => *met,
            _ => Met {
                process,
                encounter: Encounter::new(),
            },
        };
        drop(known);
        // Also where it is known: whoever found it may not have come this far.
        let is_current = self.is_current(met.encounter);
        let old = if is_current {
            None
        } else {
            let old = self.met.swap(Some(Arc::new(met)));
            self.encounter.store(met.encounter.0, Ordering::Release);
            old.map(|met| met.process).or(self.before)
        };
        (met.encounter, old.filter(|old| *old != process))
    }

    /// A seat for one call, unless calls do not go here any more.
    fn sit(self: &Arc<Self>) -> Option<Seat> {
        self.calls.fetch_add(1, SeqCst);
        let seat = Seat(Arc::clone(self));
        // Looked at after the seat was counted: who retires it looks in the
        // other order, so one of the two sees the other.
        (!self.is_retired()).then_some(seat)
    }

    pub(crate) fn connection_opens(&self) {
        self.connections.fetch_add(1, SeqCst);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, SeqCst);
        self.one_less();
    }

    fn one_less(&self) {
        if self.is_retired() && self.is_quiet() {
            self.ended.notify_waiters();
        }
    }

    fn is_quiet(&self) -> bool {
        self.calls.load(SeqCst) == 0 && self.connections.load(SeqCst) == 0
    }
}

/// The right to make one call to a target.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Target>);

impl Seat {
    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, SeqCst);
        self.0.one_less();
    }
}

/// A process that calls do not go to any more.
#[derive(Debug)]
pub struct Retired(pub(crate) Option<Arc<Target>>);

impl Retired {
    /// Waits until its last call has ended and no connection to it is left, so
    /// that it can be stopped. Idle connections are closed by their workers as
    /// soon as these [look after them](crate::Connections::tend).
    pub async fn drained(&self) {
        let Some(target) = &self.0 else { return };
        loop {
            let ended = target.ended.notified();
            tokio::pin!(ended);
            // Before looking, or the end in between would be missed.
            ended.as_mut().enable();
            if target.is_quiet() {
                return;
            }
            ended.await;
        }
    }
}

/// All processes of a runner, by instance.
#[derive(Debug, Clone)]
pub(crate) struct Table(Vec<Place>);

#[derive(Debug, Clone)]
pub(crate) enum Place {
    Listening(Arc<Target>),
    Absent {
        absence: Absence,
        why: Arc<str>,
        before: Option<Process>,
    },
}

impl Place {
    pub(crate) fn absent(absence: Absence, why: &str) -> Self {
        Self::Absent {
            absence,
            why: why.into(),
            before: None,
        }
    }

    pub(crate) fn target(&self) -> Option<&Arc<Target>> {
        match self {
            Self::Listening(target) => Some(target),
            Self::Absent { .. } => None,
        }
    }

    fn last_process(&self) -> Option<Process> {
        match self {
            Self::Listening(target) => target.process().or(target.before),
            Self::Absent { before, .. } => *before,
        }
    }
}

impl Table {
    pub(crate) fn new(first: Place) -> Self {
        Self(vec![first])
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.0
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.0.iter().filter_map(Place::target)
    }

    /// A seat at the least busy process; another than that of generation
    /// `avoid`, if there is one. Among equally busy ones `turn` decides.
    pub(crate) fn seat(&self, avoid: Option<u64>, turn: usize) -> Option<Seat> {
        let len = self.0.len();
        let (before, from) = self.0.split_at(if len > 1 { turn % len } else { 0 });
        let least = from
            .iter()
            .chain(before)
            .filter_map(Place::target)
            .min_by_key(|target| (avoid == Some(target.generation), target.calls()))?;
        least.sit()
    }

    /// Why no process listens, and whether waiting can help.
    pub(crate) fn absence(&self) -> (Absence, Arc<str>) {
        let rank = |absence| match absence {
            Absence::Passing => 0,
            Absence::Failing => 1,
            Absence::Lasting => 2,
        };
        let absent = self.0.iter().filter_map(|place| match place {
            Place::Listening(_) => None,
            Place::Absent { absence, why, .. } => Some((*absence, Arc::clone(why))),
        });
        absent
            .min_by_key(|(absence, _)| rank(*absence))
            // One was retired just now: there is another table already.
            .unwrap_or((Absence::Passing, "it is being replaced".into()))
    }

    /// The same with somebody listening as `instance`.
    pub(crate) fn with_target(&self, instance: usize, socket: &Arc<Path>) -> (Self, Arc<Target>) {
        let before = self.0.get(instance).and_then(Place::last_process);
        let target = Arc::new(Target::new(Arc::clone(socket), before));
        (
            self.with(instance, Place::Listening(Arc::clone(&target))),
            target,
        )
    }

    /// The same with nobody listening as `instance`.
    pub(crate) fn without(&self, instance: usize, absence: Absence, why: &Arc<str>) -> Self {
        let absent = Place::Absent {
            absence,
            why: Arc::clone(why),
            before: self.0.get(instance).and_then(Place::last_process),
        };
        self.with(instance, absent)
    }

    fn with(&self, instance: usize, place: Place) -> Self {
        let mut places = self.0.clone();
        while places.len() <= instance {
            places.push(Place::absent(Absence::Passing, "it was not started yet"));
        }
        places[instance] = place;
        Self(places)
    }

    /// The same with the first `instances` only, at least one.
    pub(crate) fn cut(&self, instances: usize) -> Self {
        Self(self.0[..self.0.len().min(instances.max(1))].to_vec())
    }

    /// Those of its targets that are not in `successor`: they are retired, and
    /// returned.
    pub(crate) fn retire_all_but(&self, successor: &Self) -> Vec<Arc<Target>> {
        let is_kept = |old: &Arc<Target>| successor.targets().any(|new| Arc::ptr_eq(old, new));
        let gone: Vec<_> = self
            .targets()
            .filter(|old| !is_kept(old))
            .cloned()
            .collect();
        for target in &gone {
            target.retired.store(true, SeqCst);
            target.one_less();
        }
        gone
    }
}
