//! Calls of external plugins, counted per runner, phase and the resource whose
//! configuration asks for them.
//!
//! A [`Calls`] is taken when a configuration is compiled and lives as long as
//! it; with the last one of a series the series leaves.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cells::{Bounds, Counter, Distribution, Gauge, Histogram};
use super::chain::Chain;
use super::held::Held;
use super::owners::{Owner, Owners};
use super::shard::Sharded;
use super::text::{Family, Labels, Text};
use crate::limits::{CALL_BUCKETS, FAILURE_KINDS};

/// Which calls are counted together.
#[derive(Debug, Clone, Copy)]
pub struct CallLabels<'a> {
    /// The runner's name.
    pub runner: &'a str,
    /// When in a request's way it is called: `pre-req`.
    pub phase: &'a str,
    /// The kind of the resource that asks for it: `route`.
    pub owner_kind: &'a str,
    /// The resource's id.
    pub owner_id: &'a str,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The runner had nothing to say.
    Continue,
    /// The runner changed the request or the response.
    Rewrite,
    /// The runner answered the request itself.
    Stop,
    /// It failed.
    Failed {
        /// In one word.
        kind: &'static str,
        /// Whether the request went on as if the plugin were absent.
        degraded: bool,
    },
    /// Nobody waited for the answer any more.
    Cancelled,
}

impl Outcome {
    /// The outcomes by their labels, in the order of the counters.
    const LABELS: [&str; 5] = ["continue", "rewrite", "stop", "failed", "cancelled"];

    fn index(self) -> usize {
        match self {
            Outcome::Continue => 0,
            Outcome::Rewrite => 1,
            Outcome::Stop => 2,
            Outcome::Failed { .. } => 3,
            Outcome::Cancelled => 4,
        }
    }

    /// The word for it in labels.
    #[must_use]
    pub fn label(self) -> &'static str {
        Self::LABELS[self.index()]
    }
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCost {
    /// How often it was sent.
    pub attempts: u32,
    /// How long it waited for its turn and for a process.
    pub waited: Duration,
    /// Bytes sent to the runner.
    pub sent: u64,
    /// Bytes received from it.
    pub received: u64,
}

/// Counts the calls of one series.
#[derive(Clone)]
pub struct Calls(Arc<Series>);

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({:?})", self.0.labels)
    }
}

#[derive(Debug)]
struct Series {
    labels: Labels,
    /// Whether its calls can be dropped: only those of the log phase are.
    droppable: bool,
    /// Keeps its place among those that have series.
    _owner: Arc<Owner>,
    cells: Sharded<Cells>,
}

/// One worker's part of a series.
#[derive(Debug, Default)]
struct Cells {
    outcomes: [Counter; Outcome::LABELS.len()],
    failures: Chain<&'static str, Counter>,
    degraded: Counter,
    retries: Counter,
    dropped: Counter,
    sent: Counter,
    received: Counter,
    waited_nanos: Counter,
    in_flight: Gauge,
    time: Histogram<BUCKETS>,
}

const BUCKETS: usize = CALL_BUCKETS.len() + 1;

static BOUNDS: Bounds = Bounds {
    upper: &CALL_BUCKETS,
    unit: Duration::from_secs(1),
};

impl Calls {
    /// A call begins on this worker; it is over when the [`Call`] is.
    pub fn begin(&self, worker: usize) -> Call<'_> {
        let cells = self.0.cells.of(worker);
        cells.in_flight.add(1);
        Call {
            cells,
            begun: Instant::now(),
            ended: false,
        }
    }

    /// The same for a call that outlives what it was made for.
    pub fn begin_detached(&self, worker: usize) -> DetachedCall {
        self.0.cells.of(worker).in_flight.add(1);
        DetachedCall {
            calls: self.clone(),
            worker,
            begun: Instant::now(),
            ended: false,
        }
    }

    /// A call of the log phase was not made: too many were under way.
    pub fn dropped(&self, worker: usize) {
        self.0.cells.of(worker).dropped.add(1);
    }
}

/// A call under way. Dropped before its end, it counts as cancelled.
#[derive(Debug)]
#[must_use = "a call that is dropped counts as cancelled"]
pub struct Call<'a> {
    cells: &'a Cells,
    begun: Instant,
    ended: bool,
}

impl Call<'_> {
    /// The call is over. How long it took.
    pub fn end(mut self, outcome: Outcome, cost: &CallCost) -> Duration {
        self.ended = true;
        self.cells.count(self.begun, outcome, cost)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.cells
                .count(self.begun, Outcome::Cancelled, &CallCost::default());
        }
    }
}

/// A call under way that nobody waits for. Dropped before its end, it counts as
/// cancelled.
#[derive(Debug)]
#[must_use = "a call that is dropped counts as cancelled"]
pub struct DetachedCall {
    calls: Calls,
    worker: usize,
    begun: Instant,
    ended: bool,
}

impl DetachedCall {
    /// The call is over. How long it took.
    pub fn end(mut self, outcome: Outcome, cost: &CallCost) -> Duration {
        self.ended = true;
        self.count(outcome, cost)
    }

    /// It was not made after all: too many were under way.
    pub fn dropped(mut self) {
        self.ended = true;
        self.calls.0.cells.of(self.worker).in_flight.add(-1);
        self.calls.dropped(self.worker);
    }

    fn count(&self, outcome: Outcome, cost: &CallCost) -> Duration {
        let cells = self.calls.0.cells.of(self.worker);
        cells.count(self.begun, outcome, cost)
    }
}

impl Drop for DetachedCall {
    fn drop(&mut self) {
        if !self.ended {
            self.count(Outcome::Cancelled, &CallCost::default());
        }
    }
}

impl Cells {
    fn count(&self, begun: Instant, outcome: Outcome, cost: &CallCost) -> Duration {
        let took = begun.elapsed();
        self.in_flight.add(-1);
        self.outcomes[outcome.index()].add(1);
        self.time.observe(&BOUNDS, took);
        self.sent.add(cost.sent);
        self.received.add(cost.received);
        if cost.attempts > 1 {
            self.retries.add(u64::from(cost.attempts - 1));
        }
        if !cost.waited.is_zero() {
            let nanos = u64::try_from(cost.waited.as_nanos()).unwrap_or(u64::MAX);
            self.waited_nanos.add(nanos);
        }
        if let Outcome::Failed { kind, degraded } = outcome {
            let counter = self
                .failures
                .find(FAILURE_KINDS, |known| *known == kind, || kind);
            if let Some(counter) = counter {
                counter.add(1);
            }
            self.degraded.add(u64::from(degraded));
        }
        took
    }
}

/// All series of calls that somebody holds.
#[derive(Debug, Default)]
pub(crate) struct AllCalls(Mutex<Present>);

#[derive(Debug, Default)]
struct Present {
    owners: Owners,
    series: Held<Key, Series>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    runner: String,
    phase: String,
    owner: Owner,
}

impl AllCalls {
    /// The series of these labels: the one that is there, or a new one.
    pub(crate) fn get(&self, labels: CallLabels<'_>, workers: usize) -> Calls {
        let CallLabels {
            runner,
            phase,
            owner_kind,
            owner_id,
        } = labels;
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = present.owners.admit(owner_kind, owner_id);
        let key = Key {
            runner: runner.to_owned(),
            phase: phase.to_owned(),
            owner: Owner::clone(&owner),
        };
        if let Some(series) = present.series.get(&key) {
            return Calls(series);
        }
        let series = Arc::new(Series {
            labels: Labels::none()
                .with("runner", runner)
                .with("phase", phase)
                .with(owner_kind, &owner.id),
            droppable: phase == "log",
            _owner: owner,
            cells: Sharded::new(workers),
        });
        present.series.insert(key, &series);
        Calls(series)
    }

    pub(crate) fn write(&self, text: &mut Text) {
        let held = {
            let present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            present.series.all()
        };
        let mut sums: Vec<Sum> = held.iter().map(|series| Sum::of(series)).collect();
        sums.sort_by(|a, b| a.labels.cmp(&b.labels));
        Sum::write(&sums, text);
    }
}

/// A series, added up over workers.
struct Sum {
    labels: Labels,
    droppable: bool,
    outcomes: [u64; Outcome::LABELS.len()],
    failures: Vec<(&'static str, u64)>,
    degraded: u64,
    retries: u64,
    dropped: u64,
    sent: u64,
    received: u64,
    waited: Duration,
    in_flight: i64,
    time: Distribution,
}

impl Sum {
    fn of(series: &Series) -> Self {
        let mut sum = Sum {
            labels: series.labels.clone(),
            droppable: series.droppable,
            outcomes: Default::default(),
            failures: Vec::new(),
            degraded: 0,
            retries: 0,
            dropped: 0,
            sent: 0,
            received: 0,
            waited: Duration::ZERO,
            in_flight: 0,
            time: Distribution::new(BUCKETS),
        };
        for cells in series.cells.parts() {
            for (sum, counter) in sum.outcomes.iter_mut().zip(&cells.outcomes) {
                *sum += counter.get();
            }
            for (kind, counter) in cells.failures.iter() {
                match sum.failures.iter_mut().find(|(known, _)| known == kind) {
                    Some((_, sum)) => *sum += counter.get(),
                    None => sum.failures.push((kind, counter.get())),
                }
            }
            sum.degraded += cells.degraded.get();
            sum.retries += cells.retries.get();
            sum.dropped += cells.dropped.get();
            sum.sent += cells.sent.get();
            sum.received += cells.received.get();
            sum.waited += Duration::from_nanos(cells.waited_nanos.get());
            sum.in_flight += cells.in_flight.get();
            sum.time.add(&cells.time);
        }
        sum.failures.sort_unstable();
        sum
    }

    fn write(sums: &[Sum], text: &mut Text) {
        let by_outcome = sums.iter().flat_map(|sum| {
            let counts = Outcome::LABELS.iter().zip(sum.outcomes);
            counts.map(|(outcome, count)| (sum.labels.with("outcome", outcome), count))
        });
        text.family(CALLS, by_outcome);
        let by_kind = sums.iter().flat_map(|sum| {
            let failures = sum.failures.iter();
            failures.map(|(kind, count)| (sum.labels.with("kind", kind), count))
        });
        text.family(ERRORS, by_kind);
        let called = sums.iter().filter(|sum| sum.time.count() > 0);
        text.histograms(
            DURATION,
            &BOUNDS,
            called.map(|sum| (&sum.labels, &sum.time)),
        );
        text.family(IN_FLIGHT, each(sums, |sum| sum.in_flight));
        text.family(WAITED, each(sums, |sum| sum.waited.as_secs_f64()));
        text.family(SENT, each(sums, |sum| sum.sent));
        text.family(RECEIVED, each(sums, |sum| sum.received));
        text.family(RETRIES, each(sums, |sum| sum.retries));
        text.family(DEGRADED, each(sums, |sum| sum.degraded));
        let droppable = sums.iter().filter(|sum| sum.droppable);
        let dropped = droppable.map(|sum| (sum.labels.clone(), sum.dropped));
        text.family(DROPPED, dropped);
    }
}

fn each<V>(sums: &[Sum], value: impl Fn(&Sum) -> V) -> impl Iterator<Item = (Labels, V)> {
    sums.iter().map(move |sum| (sum.labels.clone(), value(sum)))
}

const CALLS: Family = Family::counter(
    "outrigger_ext_plugin_calls_total",
    "Calls of runners that are over, by outcome.",
);
const ERRORS: Family = Family::counter(
    "outrigger_ext_plugin_call_errors_total",
    "Calls of runners that failed, by kind of failure.",
);
const DURATION: Family = Family::histogram(
    "outrigger_ext_plugin_call_duration_seconds",
    "Time that calls of runners took, waiting and retries included.",
);
const IN_FLIGHT: Family = Family::gauge(
    "outrigger_ext_plugin_calls_in_flight",
    "Calls of runners that are under way.",
);
const WAITED: Family = Family::counter(
    "outrigger_ext_plugin_call_wait_seconds_total",
    "Time that calls waited for their turn and for a process.",
);
const SENT: Family = Family::counter(
    "outrigger_ext_plugin_sent_bytes_total",
    "Bytes sent to runners in calls.",
);
const RECEIVED: Family = Family::counter(
    "outrigger_ext_plugin_received_bytes_total",
    "Bytes received from runners in calls.",
);
const RETRIES: Family = Family::counter(
    "outrigger_ext_plugin_call_retries_total",
    "Further sendings of calls whose connection or token was lost.",
);
const DEGRADED: Family = Family::counter(
    "outrigger_ext_plugin_degraded_total",
    "Failed calls after which the request went on as if the plugin were absent.",
);
const DROPPED: Family = Family::counter(
    "outrigger_ext_plugin_log_calls_dropped_total",
    "Calls of the log phase that were not made because too many were under way.",
);
