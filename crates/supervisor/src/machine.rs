//! Decides what is done to a runner's processes, and when.
//!
//! A pure state machine: what happened goes in with the time it happened at,
//! [`Action`]s come out, and [`Machine::next_wake`] says when time itself will
//! matter. It deliberately knows no process ids, no paths and no clock, so its
//! tests run in simulated time.
//!
//! # Invariants
//! - At most one process is starting, at most one is ready, and at most one has
//!   been replaced and ends its calls.
//! - While one is starting, no spawn is due.
//! - Once told to stop, nothing is spawned any more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::group::Signal;
use crate::limits;
use crate::spec::{Backoff, Generation};

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Spawn a process, then call [`Machine::spawned`] or
    /// [`Machine::spawn_failed`].
    Spawn,
    /// See whether it accepts connections; if so call [`Machine::connected`].
    Probe(Generation),
    /// Send its group this signal.
    Signal(Generation, Signal),
    /// Tell the observer about a process.
    Report(Generation, Notice),
    /// Tell the observer that a new process comes.
    ReportRespawn(Duration),
    /// Tell the observer that all is over; nothing follows.
    ReportStopped,
}

/// What is to be told about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    Ready { after: Duration },
    NotListening { waited: Duration },
    Retired { drain: Duration },
    Stopping { grace: Duration },
    Killed,
}

/// How a process went, as [`Machine::exited`] saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Departure {
    /// From spawn to exit.
    pub(crate) uptime: Duration,
    /// It had been sent a signal of ours.
    pub(crate) requested: bool,
}

/// The terms of a [`Spec`](crate::Spec) that matter here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) stop_grace: Duration,
    pub(crate) backoff: Backoff,
    /// Whether a process may start while another lives, which takes a socket
    /// path for each.
    pub(crate) overlap: bool,
}

/// The processes of one runner.
#[derive(Debug)]
pub(crate) struct Machine {
    terms: Terms,
    stopping: bool,
    processes: Vec<Process>,
    /// When to spawn the next process; later if it may not overlap with those
    /// that live.
    spawn_at: Option<Instant>,
    /// Ends and failed spawns since a process was last stable.
    failures: u32,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
struct Process {
    generation: Generation,
    spawned_at: Instant,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Starting {
        probe: Cadence,
        notice: Cadence,
    },
    Ready,
    /// Replaced; its calls may end.
    Draining {
        until: Instant,
    },
    /// Was sent SIGTERM.
    Stopping {
        kill_at: Instant,
    },
    Killed,
}

/// Something repeated at growing intervals.
#[derive(Debug)]
struct Cadence {
    at: Instant,
    step: Duration,
    max: Duration,
}

impl Cadence {
    fn new(now: Instant, first: Duration, max: Duration) -> Self {
        Self {
            at: now + first,
            step: first,
            max,
        }
    }

    /// Whether it is due; if so the next time is set.
    fn due(&mut self, now: Instant) -> bool {
        let due = self.at <= now;
        if due {
            self.step = (self.step * 2).min(self.max);
            self.at = now + self.step;
        }
        due
    }
}

impl Machine {
    /// A runner whose first process is due at once.
    pub(crate) fn new(now: Instant, terms: Terms) -> Self {
        Self {
            terms,
            stopping: false,
            processes: Vec::new(),
            spawn_at: Some(now),
            failures: 0,
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
        let processes = self
            .processes
            .iter()
            .filter_map(|process| match &process.phase {
                Phase::Starting { probe, notice } => Some(probe.at.min(notice.at)),
                Phase::Draining { until } => Some(*until),
                Phase::Stopping { kill_at } => Some(*kill_at),
                Phase::Ready | Phase::Killed => None,
            });
        processes
            .chain(self.spawn_at.filter(|_| self.may_spawn()))
            .min()
    }

    /// Whether it was told to stop and no process is left.
    pub(crate) fn finished(&self) -> bool {
        self.stopping && self.processes.is_empty()
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
            Phase::Starting { probe, notice } => {
                if probe.due(now) {
                    self.actions.push_back(Action::Probe(generation));
                }
                if notice.due(now) {
                    let waited = now - process.spawned_at;
                    self.report(generation, Notice::NotListening { waited });
                }
            }
            Phase::Draining { until } if *until <= now => self.terminate(index, now),
            Phase::Stopping { kill_at } if *kill_at <= now => self.kill(index),
            _ => {}
        }
    }

    /// [`Action::Spawn`] brought this process to life.
    pub(crate) fn spawned(&mut self, now: Instant, generation: Generation) {
        let phase = Phase::Starting {
            probe: Cadence::new(now, limits::PROBE_FIRST, limits::PROBE_MAX),
            notice: Cadence::new(now, limits::NOT_LISTENING_FIRST, limits::NOT_LISTENING_MAX),
        };
        self.processes.push(Process {
            generation,
            spawned_at: now,
            phase,
        });
    }

    /// [`Action::Spawn`] failed. Returns in how long it comes again.
    pub(crate) fn spawn_failed(&mut self, now: Instant) -> Duration {
        self.schedule_spawn(now)
    }

    /// This process accepts connections.
    pub(crate) fn connected(&mut self, now: Instant, generation: Generation) {
        let Some(index) = self.find(generation) else {
            return;
        };
        let process = &mut self.processes[index];
        if !matches!(process.phase, Phase::Starting { .. }) {
            return;
        }
        process.phase = Phase::Ready;
        let after = now - process.spawned_at;
        self.report(generation, Notice::Ready { after });
        for other in 0..self.processes.len() {
            match self.processes[other].phase {
                Phase::Ready if other != index => self.retire(other, now),
                Phase::Draining { .. } => self.terminate(other, now),
                _ => {}
            }
        }
    }

    /// This process and its group are gone. `None` if it is not known.
    pub(crate) fn exited(&mut self, now: Instant, generation: Generation) -> Option<Departure> {
        let process = self.processes.remove(self.find(generation)?);
        let uptime = now - process.spawned_at;
        let requested = matches!(process.phase, Phase::Stopping { .. } | Phase::Killed);
        let replace = match process.phase {
            Phase::Starting { .. } => true,
            // Unless its successor lives already or is about to be spawned.
            Phase::Ready => self.spawn_at.is_none() && !self.is_any_starting(),
            Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Killed => false,
        };
        if replace {
            if uptime >= limits::STABLE_AFTER {
                self.failures = 0;
            }
            let delay = self.schedule_spawn(now);
            self.actions.push_back(Action::ReportRespawn(delay));
        }
        self.report_if_stopped();
        Some(Departure { uptime, requested })
    }

    /// A new process is wanted, on these terms. One that starts is given up;
    /// one that is ready stays until its successor is, if they may overlap.
    pub(crate) fn restart(&mut self, now: Instant, terms: Terms) {
        if self.stopping {
            return;
        }
        self.terms = terms;
        self.failures = 0;
        self.spawn_at = Some(now);
        for index in 0..self.processes.len() {
            match self.processes[index].phase {
                Phase::Starting { .. } => self.terminate(index, now),
                Phase::Ready | Phase::Draining { .. } if !terms.overlap => {
                    self.terminate(index, now);
                }
                _ => {}
            }
        }
    }

    /// The replaced processes up to this one have no calls any more.
    pub(crate) fn drained(&mut self, now: Instant, last: Generation) {
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            if process.generation <= last && matches!(process.phase, Phase::Draining { .. }) {
                self.terminate(index, now);
            }
        }
    }

    /// Everything is to end, each process within its grace.
    pub(crate) fn stop(&mut self, now: Instant) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.spawn_at = None;
        for index in 0..self.processes.len() {
            if !matches!(
                self.processes[index].phase,
                Phase::Stopping { .. } | Phase::Killed
            ) {
                self.terminate(index, now);
            }
        }
        self.report_if_stopped();
    }

    /// Everything is to end at once.
    pub(crate) fn abandon(&mut self) {
        self.stopping = true;
        self.spawn_at = None;
        for index in 0..self.processes.len() {
            if !matches!(self.processes[index].phase, Phase::Killed) {
                self.kill(index);
            }
        }
        self.report_if_stopped();
    }

    fn retire(&mut self, index: usize, now: Instant) {
        let drain = limits::RESTART_DRAIN;
        let process = &mut self.processes[index];
        process.phase = Phase::Draining { until: now + drain };
        let generation = process.generation;
        self.report(generation, Notice::Retired { drain });
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

    /// Makes a spawn due after the next delay, which is returned.
    fn schedule_spawn(&mut self, now: Instant) -> Duration {
        let delay = self.terms.backoff.delay(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.spawn_at = Some(now.checked_add(delay).unwrap_or(now + limits::NEVER));
        delay
    }

    fn may_spawn(&self) -> bool {
        self.terms.overlap || self.processes.is_empty()
    }

    fn is_any_starting(&self) -> bool {
        self.processes
            .iter()
            .any(|process| matches!(process.phase, Phase::Starting { .. }))
    }

    fn find(&self, generation: Generation) -> Option<usize> {
        self.processes
            .iter()
            .position(|process| process.generation == generation)
    }

    fn report(&mut self, generation: Generation, notice: Notice) {
        self.actions.push_back(Action::Report(generation, notice));
    }

    fn report_if_stopped(&mut self) {
        if self.finished() {
            self.actions.push_back(Action::ReportStopped);
        }
    }
}

#[cfg(test)]
mod tests;
