//! Decides what is done to a runner's processes, and when.
//!
//! A pure state machine: what happened goes in with the time it happened at,
//! [`Action`]s come out, and [`Machine::next_wake`] says when time itself will
//! matter. It deliberately knows no process ids, no paths and no clock, so its
//! tests run in simulated time.
//!
//! # Invariants
//! - At most one process is starting and at most one is ready. Those that were
//!   replaced and end their calls are at most [`limits::DRAINING`].
//! - While one is starting, no spawn is due.
//! - Two processes never live at one [`Place`].
//! - A replacement that does not come up never costs the process that works, nor
//!   the terms it works on.
//! - Once halted, nothing is spawned until a start or restart; once told to stop,
//!   nothing is spawned any more.

mod action;
mod ends;
mod process;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::event::Trouble;
use crate::group::Signal;
use crate::limits;
use crate::spec::{Backoff, Generation};
use crate::status::State;

pub(crate) use action::{Action, Departure, Notice};
use ends::Ends;
pub(crate) use process::Place;
use process::{Phase, Process};

/// The terms of a [`Spec`](crate::Spec) that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) start_limit: Duration,
    pub(crate) drain: Duration,
    pub(crate) stop_grace: Duration,
    pub(crate) backoff: Backoff,
    /// Where it is to listen, if that is not a path of its own.
    pub(crate) place: Option<Place>,
    /// Whether its memory has a limit.
    pub(crate) measured: bool,
}

/// What is to become of the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Running,
    /// Until a start.
    Halted,
    /// For good.
    Gone,
}

/// A replacement for a process that works, which has not come up yet.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// What to return to.
    proven: Terms,
    /// Ends and failed spawns so far.
    failures: u32,
}

/// The processes of one runner.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Those of the next process.
    terms: Terms,
    goal: Goal,
    processes: Vec<Process>,
    /// When to spawn the next process; later if another one is in its place.
    spawn_at: Option<Instant>,
    ends: Ends,
    /// Whether it was told that the runner does not come up.
    failing: bool,
    trial: Option<Trial>,
    /// Before this, too much memory is no reason for another restart.
    patient_until: Option<Instant>,
    actions: VecDeque<Action>,
}

impl Machine {
    /// A runner whose first process is due at once.
    pub(crate) fn new(now: Instant, terms: Terms) -> Self {
        Self {
            terms,
            goal: Goal::Running,
            processes: Vec::new(),
            spawn_at: Some(now),
            ends: Ends::default(),
            failing: false,
            trial: None,
            patient_until: None,
            actions: VecDeque::new(),
        }
    }

    /// The next thing to do, in order.
    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`tick`](Self::tick) at the latest; `None` if only an event
    /// can change anything.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let processes = self.processes.iter().filter_map(Process::next_wake);
        processes
            .chain(self.spawn_at.filter(|_| self.may_spawn()))
            .min()
    }

    /// Whether it was told to stop and no process is left.
    pub(crate) fn finished(&self) -> bool {
        self.goal == Goal::Gone && self.processes.is_empty()
    }

    /// How the runner is.
    pub(crate) fn state(&self) -> State {
        match self.goal {
            Goal::Running if self.serving().is_some() => State::Running,
            Goal::Running if self.failing => State::Failing,
            Goal::Running => State::Starting,
            Goal::Halted | Goal::Gone if self.processes.is_empty() => State::Stopped,
            Goal::Halted | Goal::Gone => State::Stopping,
        }
    }

    /// The process that calls go to.
    pub(crate) fn serving(&self) -> Option<Generation> {
        let ready = self.processes.iter().find(|process| process.is_ready());
        ready.map(|process| process.generation)
    }

    /// The process that is to be ready.
    pub(crate) fn starting(&self) -> Option<Generation> {
        let starting = self.processes.iter().find(|process| process.is_starting());
        starting.map(|process| process.generation)
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        for index in 0..self.processes.len() {
            self.tick_process(index, now);
        }
        if self.may_spawn() && self.spawn_at.is_some_and(|at| at <= now) {
            self.spawn_at = None;
            self.actions.push_back(Action::Spawn);
        }
    }

    fn tick_process(&mut self, index: usize, now: Instant) {
        let process = &mut self.processes[index];
        let generation = process.generation;
        match &mut process.phase {
            Phase::Starting {
                probe,
                notice,
                late_at,
            } => {
                let waited = now - process.spawned_at;
                if probe.due(now) {
                    self.actions.push_back(Action::Probe(generation));
                }
                if notice.due(now) {
                    let notice = Notice::NotListening { waited };
                    self.actions.push_back(Action::Report(generation, notice));
                }
                if late_at.take_if(|at| *at <= now).is_some() {
                    self.is_late(index, now, waited);
                }
            }
            Phase::Ready { measure_at, .. } => {
                if let Some(at) = measure_at.as_mut().filter(|at| **at <= now) {
                    *at = now + limits::MEASURE;
                    self.actions.push_back(Action::Measure(generation));
                }
            }
            Phase::Draining { until } if *until <= now => self.terminate(index, now),
            Phase::Stopping { kill_at } if *kill_at <= now => self.kill(index),
            _ => {}
        }
    }

    /// A process has had its time to listen. One that replaces another is given
    /// up; the only one there is may still come.
    fn is_late(&mut self, index: usize, now: Instant, waited: Duration) {
        let trouble = Trouble::Late { waited };
        if self.trial.is_some() {
            self.terminate(index, now);
            self.fall_back(now, trouble);
        } else if self.serving().is_none() {
            self.fail(trouble);
        }
    }

    /// [`Action::Spawn`] brought this process to life.
    pub(crate) fn spawned(&mut self, now: Instant, generation: Generation) {
        let Terms {
            place, start_limit, ..
        } = self.terms;
        self.processes
            .push(Process::new(now, generation, place, start_limit));
    }

    /// [`Action::Spawn`] failed. Returns in how long it comes again, if it does.
    pub(crate) fn spawn_failed(&mut self, now: Instant) -> Option<Duration> {
        self.did_not_start(now)
    }

    /// This process accepts connections.
    pub(crate) fn connected(&mut self, now: Instant, generation: Generation) {
        let Some(index) = self.find(generation) else {
            return;
        };
        let process = &mut self.processes[index];
        if !process.is_starting() {
            return;
        }
        process.phase = Phase::Ready {
            since: now,
            measure_at: self.terms.measured.then(|| now + limits::MEASURE),
        };
        let after = now - process.spawned_at;
        self.trial = None;
        self.ends.listened();
        self.failing = false;
        self.report(generation, Notice::Ready { after });
        for other in 0..self.processes.len() {
            if other != index && self.processes[other].is_ready() {
                self.retire(other, now, self.terms.drain);
            }
        }
        self.end_oldest_draining(now);
    }

    /// This process and its group are gone. `None` if it is not known.
    pub(crate) fn exited(&mut self, now: Instant, generation: Generation) -> Option<Departure> {
        let process = self.processes.remove(self.find(generation)?);
        let uptime = now - process.spawned_at;
        let requested = process.is_told_to_end();
        let delay = match process.phase {
            Phase::Starting { .. } => self.did_not_start(now),
            // Unless its successor lives already or is about to be spawned.
            Phase::Ready { .. } if self.spawn_at.is_none() && self.starting().is_none() => {
                self.ends.ended(process.has_settled(now));
                Some(self.follow(now))
            }
            _ => None,
        };
        if let Some(delay) = delay {
            self.actions.push_back(Action::ReportRespawn(delay));
        }
        self.report_if_over();
        Some(Departure { uptime, requested })
    }

    /// This ready process takes more memory than it may. True if a successor is
    /// to take its place now.
    pub(crate) fn outgrown(&mut self, now: Instant, generation: Generation) -> bool {
        let busy = self.spawn_at.is_some() || self.starting().is_some();
        let patient = self.patient_until.is_some_and(|until| now < until);
        let long_enough = self.find(generation).is_some_and(|index| {
            matches!(self.processes[index].phase,
                Phase::Ready { since, .. } if now - since >= limits::OUTGROWN_AFTER)
        });
        if busy || patient || !long_enough || self.goal != Goal::Running {
            return false;
        }
        self.patient_until = Some(now + limits::OUTGROWN_AGAIN);
        self.restart(now, self.terms);
        true
    }

    /// A new process is wanted, on these terms. One that starts is given up;
    /// one that is ready stays until its successor is, unless that needs its
    /// place.
    pub(crate) fn restart(&mut self, now: Instant, terms: Terms) {
        if self.goal == Goal::Gone {
            return;
        }
        self.goal = Goal::Running;
        let proven = self.trial.map_or(self.terms, |trial| trial.proven);
        if self.trial.is_some() || self.serving().is_some() {
            let failures = 0;
            self.trial = Some(Trial { proven, failures });
        }
        self.terms = terms;
        self.ends = Ends::default();
        self.make_way(now);
    }

    /// After [`halt`](Self::halt): processes are wanted again.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.goal == Goal::Halted {
            self.goal = Goal::Running;
            self.make_way(now);
        }
    }

    /// No process is wanted until a start or restart. Calls may end.
    pub(crate) fn halt(&mut self, now: Instant) {
        if self.goal != Goal::Running {
            return;
        }
        self.goal = Goal::Halted;
        self.spawn_at = None;
        self.ends = Ends::default();
        self.failing = false;
        self.trial = None;
        for index in 0..self.processes.len() {
            match self.processes[index].phase {
                Phase::Starting { .. } => self.terminate(index, now),
                Phase::Ready { .. } => self.retire(index, now, self.terms.drain),
                _ => {}
            }
        }
        self.report_if_over();
    }

    /// This process has no calls any more. That means something only if it gets
    /// no new ones.
    pub(crate) fn drained(&mut self, now: Instant, generation: Generation) {
        if let Some(index) = self.find(generation)
            && self.processes[index].is_draining()
        {
            self.terminate(index, now);
        }
    }

    /// Everything is to end for good, each process within its grace.
    pub(crate) fn stop(&mut self, now: Instant) {
        if self.goal == Goal::Gone {
            return;
        }
        self.goal = Goal::Gone;
        self.spawn_at = None;
        for index in 0..self.processes.len() {
            if !self.processes[index].is_told_to_end() {
                self.terminate(index, now);
            }
        }
        self.report_if_over();
    }

    /// Everything is to end at once.
    pub(crate) fn abandon(&mut self) {
        self.goal = Goal::Gone;
        self.spawn_at = None;
        for index in 0..self.processes.len() {
            if !matches!(self.processes[index].phase, Phase::Killed) {
                self.kill(index);
            }
        }
        self.report_if_over();
    }

    /// Makes a spawn due now, and ends what is in its way.
    fn make_way(&mut self, now: Instant) {
        self.spawn_at = Some(now);
        for index in 0..self.processes.len() {
            let process = &mut self.processes[index];
            let in_the_way = self.terms.place.is_some() && process.place == self.terms.place;
            match &mut process.phase {
                Phase::Starting { .. } => self.terminate(index, now),
                Phase::Ready { .. } if in_the_way => {
                    self.retire(index, now, self.terms.drain.min(limits::PLACE_DRAIN));
                }
                Phase::Draining { until } if in_the_way => {
                    *until = (*until).min(now + limits::PLACE_DRAIN);
                }
                _ => {}
            }
        }
    }

    /// A process ended before it settled, or was never spawned. Returns in how
    /// long the next one comes, unless there is one that works.
    fn did_not_start(&mut self, now: Instant) -> Option<Duration> {
        if self.goal != Goal::Running {
            return None;
        }
        if let Some(trial) = &mut self.trial {
            trial.failures += 1;
            if trial.failures >= limits::RESTART_TRIES {
                let times = trial.failures;
                self.fall_back(now, Trouble::Ends { times });
                return None;
            }
        }
        self.ends.unborn();
        Some(self.follow(now))
    }

    /// Makes a spawn due after the delay that what has happened asks for, which
    /// is returned.
    fn follow(&mut self, now: Instant) -> Duration {
        let delay = self.ends.delay(self.terms.backoff);
        self.spawn_at = Some(now.checked_add(delay).unwrap_or(now + limits::NEVER));
        if let Some(times) = self.ends.failing()
            && self.serving().is_none()
        {
            self.fail(Trouble::Ends { times });
        }
        delay
    }

    /// Back to the terms that worked, and to the process that does if it lives.
    fn fall_back(&mut self, now: Instant, trouble: Trouble) {
        let Some(trial) = self.trial.take() else {
            return;
        };
        self.terms = trial.proven;
        self.ends = Ends::default();
        self.spawn_at = self.serving().is_none().then_some(now);
        self.actions.push_back(Action::FallBack(trouble));
    }

    fn fail(&mut self, trouble: Trouble) {
        if !self.failing {
            self.failing = true;
            self.actions.push_back(Action::ReportFailing(trouble));
        }
    }

    fn retire(&mut self, index: usize, now: Instant, drain: Duration) {
        let process = &mut self.processes[index];
        let until = now.checked_add(drain).unwrap_or(now + limits::NEVER);
        process.phase = Phase::Draining { until };
        let generation = process.generation;
        self.report(generation, Notice::Retired { drain });
    }

    fn end_oldest_draining(&mut self, now: Instant) {
        // They stand in the order in which they were spawned.
        let indices = 0..self.processes.len();
        let draining: Vec<_> = indices
            .filter(|index| self.processes[*index].is_draining())
            .collect();
        let surplus = draining.len().saturating_sub(limits::DRAINING);
        for index in draining.into_iter().take(surplus) {
            self.terminate(index, now);
        }
    }

    fn terminate(&mut self, index: usize, now: Instant) {
        let grace = self.terms.stop_grace;
        let process = &mut self.processes[index];
        // A grace beyond what the clock can hold is as good as none at all.
        let kill_at = now.checked_add(grace).unwrap_or(now + limits::NEVER);
        process.phase = Phase::Stopping { kill_at };
        let generation = process.generation;
        self.actions
            .push_back(Action::Signal(generation, Signal::Term));
        self.report(generation, Notice::Stopping { grace });
    }

    fn kill(&mut self, index: usize) {
        let process = &mut self.processes[index];
        process.phase = Phase::Killed;
        let generation = process.generation;
        self.actions
            .push_back(Action::Signal(generation, Signal::Kill));
        self.report(generation, Notice::Killed);
    }

    fn may_spawn(&self) -> bool {
        let place = self.terms.place;
        place.is_none() || self.processes.iter().all(|process| process.place != place)
    }

    fn find(&self, generation: Generation) -> Option<usize> {
        self.processes
            .iter()
            .position(|process| process.generation == generation)
    }

    fn report(&mut self, generation: Generation, notice: Notice) {
        self.actions.push_back(Action::Report(generation, notice));
    }

    fn report_if_over(&mut self) {
        if self.processes.is_empty() {
            match self.goal {
                Goal::Running => {}
                Goal::Halted => self.actions.push_back(Action::ReportHalted),
                Goal::Gone => self.actions.push_back(Action::ReportStopped),
            }
        }
    }
}

#[cfg(test)]
mod tests;
