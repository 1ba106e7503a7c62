//! One process as the machine knows it: what it is about, and since when.

use std::time::{Duration, Instant};

use crate::limits;
use crate::spec::Generation;

/// A socket path that is the same for every process told to listen there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) usize);

#[derive(Debug)]
pub(super) struct Process {
    pub(super) generation: Generation,
    pub(super) spawned_at: Instant,
    /// Where it listens, if others may be told to listen there too.
    pub(super) place: Option<Place>,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    Starting {
        probe: Cadence,
        notice: Cadence,
        /// When it has had its time to listen; `None` once that was told.
        late_at: Option<Instant>,
    },
    Ready {
        since: Instant,
        /// When to look at its memory; `None` if that has no limit.
        measure_at: Option<Instant>,
    },
    /// Takes no new calls; those it has may end.
    Draining {
        until: Instant,
    },
    /// Was sent SIGTERM.
    Stopping {
        kill_at: Instant,
    },
    Killed,
}

impl Process {
    /// One just spawned, which has `limit` to listen.
    pub(super) fn new(
        now: Instant,
        generation: Generation,
        place: Option<Place>,
        limit: Duration,
    ) -> Self {
        Self {
            generation,
            spawned_at: now,
            place,
            phase: Phase::Starting {
                probe: Cadence::new(now, limits::PROBE_FIRST, limits::PROBE_MAX),
                notice: Cadence::new(now, limits::NOT_LISTENING_FIRST, limits::NOT_LISTENING_MAX),
                late_at: now.checked_add(limit),
            },
        }
    }

    /// When something is to be done about it, if nothing happens before.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Starting {
                probe,
                notice,
                late_at,
            } => {
                let due = probe.at.min(notice.at);
                Some(late_at.map_or(due, |late| due.min(late)))
            }
            Phase::Ready { measure_at, .. } => *measure_at,
            Phase::Draining { until } => Some(*until),
            Phase::Stopping { kill_at } => Some(*kill_at),
            Phase::Killed => None,
        }
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. })
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    /// Whether it was sent a signal.
    pub(super) fn is_told_to_end(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. } | Phase::Killed)
    }

    /// Whether it has listened for so long that its end is not a failure to start.
    pub(super) fn has_settled(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Ready { since, .. } if now - since >= limits::SETTLED_AFTER)
    }
}

/// Something repeated at growing intervals.
#[derive(Debug)]
pub(super) struct Cadence {
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
    pub(super) fn due(&mut self, now: Instant) -> bool {
        let due = self.at <= now;
        if due {
            self.step = (self.step * 2).min(self.max);
            self.at = now + self.step;
        }
        due
    }
}
