//! Runners: what happens to them, counted as it happens, and what they are
//! like at the moment, as whoever looks has found out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cells::{Bounds, Counter, Distribution, Gauge, Histogram};
use super::chain::Chain;
use super::text::{Family, Labels, Text};
use crate::limits::{CALL_BUCKETS, RUNNER_REASONS};

/// Counts what happens to one runner. Nothing of it happens per call, so all
/// workers count together.
#[derive(Debug, Default)]
pub struct RunnerMetrics {
    opened: Counter,
    closed: Chain<&'static str, Counter>,
    open: Gauge,
    prepared: Counter,
    renewed: Counter,
    prepare_failed: Counter,
    prepare_time: Histogram<BUCKETS>,
    tokens_lost: Counter,
    processes_changed: Counter,
    breaker_opened: Counter,
}

const BUCKETS: usize = CALL_BUCKETS.len() + 1;

static BOUNDS: Bounds = Bounds {
    upper: &CALL_BUCKETS,
    unit: Duration::from_secs(1),
};

impl RunnerMetrics {
    /// A connection to the runner was opened.
    pub fn connection_opened(&self) {
        self.opened.add(1);
        self.open.add(1);
    }

    /// A connection was closed, for a reason of few.
    pub fn connection_closed(&self, reason: &'static str) {
        self.open.add(-1);
        let counter = self
            .closed
            .find(RUNNER_REASONS, |known| *known == reason, || reason);
        if let Some(counter) = counter {
            counter.add(1);
        }
    }

    /// The runner has prepared a configuration, anew or instead of a token
    /// that was about to expire.
    pub fn prepared(&self, renewal: bool, took: Duration) {
        let counter = if renewal {
            &self.renewed
        } else {
            &self.prepared
        };
        counter.add(1);
        self.prepare_time.observe(&BOUNDS, took);
    }

    /// A configuration could not be prepared.
    pub fn prepare_failed(&self) {
        self.prepare_failed.add(1);
    }

    /// The runner has lost a token that it gave.
    pub fn token_lost(&self) {
        self.tokens_lost.add(1);
    }

    /// The runner's circuit breaker lets no more calls through.
    pub fn breaker_opened(&self) {
        self.breaker_opened.add(1);
    }

    /// Another process listens than before.
    pub fn process_changed(&self) {
        self.processes_changed.add(1);
    }
}

/// What a runner is like at the moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunnerState {
    /// Its name.
    pub name: String,
    /// Calls under way.
    pub in_flight: u64,
    /// Calls that wait for their turn or for a process.
    pub queued: u64,
    /// What its circuit breaker is at; none where it has none.
    pub breaker: Option<BreakerState>,
    /// Its processes.
    pub instances: Vec<InstanceState>,
}

/// What a circuit breaker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// One call passes, to see how it goes.
    HalfOpen,
    /// Calls fail at once.
    Open,
}

impl BreakerState {
    const ALL: [(BreakerState, &str); 3] = [
        (BreakerState::Closed, "closed"),
        (BreakerState::HalfOpen, "half-open"),
        (BreakerState::Open, "open"),
    ];
}

/// One process of a runner, or the place for one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InstanceState {
    /// Which one, counting from 1.
    pub number: usize,
    /// Whether calls can go there.
    pub up: bool,
    /// How many processes there have been; none where others start them.
    pub generation: Option<u64>,
    /// How often a process was replaced by another; likewise.
    pub restarts: Option<u64>,
    /// Its process' number, where it is known.
    pub pid: Option<u32>,
}

/// All runners that are counted.
#[derive(Debug, Default)]
pub(crate) struct Runners(Mutex<BTreeMap<String, Arc<RunnerMetrics>>>);

impl Runners {
    pub(crate) fn get(&self, name: &str) -> Arc<RunnerMetrics> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counted.entry(name.to_owned()).or_default())
    }

    pub(crate) fn write(&self, states: &[RunnerState], text: &mut Text) {
        let counted = {
            let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // A runner that was taken out of the configuration.
            counted.retain(|_, metrics| Arc::strong_count(metrics) > 1);
            counted.clone()
        };
        write_counted(&counted, text);
        write_states(states, text);
    }
}

fn write_counted(counted: &BTreeMap<String, Arc<RunnerMetrics>>, text: &mut Text) {
    let all: Vec<(Labels, &RunnerMetrics)> = counted
        .iter()
        .map(|(name, metrics)| (Labels::none().with("runner", name), &**metrics))
        .collect();
    let counter = |value: fn(&RunnerMetrics) -> u64| {
        let all = all.iter();
        all.map(move |(labels, metrics)| (labels.clone(), value(metrics)))
    };
    let open = all.iter();
    text.family(
        CONNECTIONS,
        open.map(|(labels, metrics)| (labels.clone(), metrics.open.get())),
    );
    text.family(OPENED, counter(|metrics| metrics.opened.get()));
    let closed = all.iter().flat_map(|(labels, metrics)| {
        let closed = metrics.closed.iter();
        closed.map(|(reason, count)| (labels.with("reason", reason), count.get()))
    });
    text.family(CLOSED, closed);
    let prepared = all.iter().flat_map(|(labels, metrics)| {
        let results = [
            ("prepared", metrics.prepared.get()),
            ("renewed", metrics.renewed.get()),
            ("failed", metrics.prepare_failed.get()),
        ];
        results.map(|(result, count)| (labels.with("result", result), count))
    });
    text.family(PREPARES, prepared);
    let times: Vec<(&Labels, Distribution)> = all
        .iter()
        .map(|(labels, metrics)| {
            let mut time = Distribution::new(BUCKETS);
            time.add(&metrics.prepare_time);
            (labels, time)
        })
        .filter(|(_, time)| time.count() > 0)
        .collect();
    let times = times.iter().map(|(labels, time)| (*labels, time));
    text.histograms(PREPARE_TIME, &BOUNDS, times);
    text.family(TOKENS_LOST, counter(|metrics| metrics.tokens_lost.get()));
    let changed = counter(|metrics| metrics.processes_changed.get());
    text.family(PROCESSES_CHANGED, changed);
    let opened = counter(|metrics| metrics.breaker_opened.get());
    text.family(BREAKER_OPENED, opened);
}

fn write_states(states: &[RunnerState], text: &mut Text) {
    let runner = |state: &RunnerState| Labels::none().with("runner", &state.name);
    let up = states.iter().map(|state| {
        let up = state.instances.iter().filter(|instance| instance.up);
        (runner(state), up.count())
    });
    text.family(UP, up);
    let in_flight = states.iter().map(|state| (runner(state), state.in_flight));
    text.family(IN_FLIGHT, in_flight);
    let queued = states.iter().map(|state| (runner(state), state.queued));
    text.family(QUEUED, queued);
    let breakers = states.iter().filter_map(|state| {
        let now = state.breaker?;
        let labels = runner(state);
        Some(BreakerState::ALL.map(|(one, name)| {
            let labels = labels.with("state", name);
            (labels, u8::from(one == now))
        }))
    });
    text.family(BREAKER, breakers.flatten());
    let instances: Vec<(Labels, &InstanceState)> = states
        .iter()
        .flat_map(|state| {
            let labels = runner(state);
            let instances = state.instances.iter();
            instances.map(move |instance| (labels.with("instance", instance.number), instance))
        })
        .collect();
    let each = |value: fn(&InstanceState) -> Option<u64>| {
        let instances = instances.iter();
        instances.filter_map(move |(labels, instance)| Some((labels.clone(), value(instance)?)))
    };
    text.family(INSTANCE_UP, each(|instance| Some(u64::from(instance.up))));
    text.family(GENERATION, each(|instance| instance.generation));
    text.family(RESTARTS, each(|instance| instance.restarts));
    text.family(MEMORY, each(|instance| resident(instance.pid?)));
}

/// Bytes that a process has resident, where the system tells.
fn resident(pid: u32) -> Option<u64> {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

const CONNECTIONS: Family = Family::gauge(
    "outrigger_runner_connections",
    "Open connections to the runner.",
);
const OPENED: Family = Family::counter(
    "outrigger_runner_connections_opened_total",
    "Connections to the runner that were opened.",
);
const CLOSED: Family = Family::counter(
    "outrigger_runner_connections_closed_total",
    "Connections to the runner that were closed, by reason.",
);
const PREPARES: Family = Family::counter(
    "outrigger_runner_prepares_total",
    "Configurations that the runner prepared, renewed before they expired, or failed to.",
);
const PREPARE_TIME: Family = Family::histogram(
    "outrigger_runner_prepare_duration_seconds",
    "Time that the runner took to prepare a configuration, connecting included.",
);
const TOKENS_LOST: Family = Family::counter(
    "outrigger_runner_tokens_lost_total",
    "Tokens that the runner did not know although it gave them.",
);
const PROCESSES_CHANGED: Family = Family::counter(
    "outrigger_runner_process_changes_total",
    "How often another process listened than before, as calls found.",
);
const BREAKER_OPENED: Family = Family::counter(
    "outrigger_runner_breaker_opened_total",
    "How often the runner's circuit breaker stopped letting calls through.",
);
const UP: Family = Family::gauge(
    "outrigger_runner_instances_up",
    "Processes of the runner that can be called.",
);
const IN_FLIGHT: Family = Family::gauge(
    "outrigger_runner_calls_in_flight",
    "Calls of the runner that are under way, of all routes.",
);
const QUEUED: Family = Family::gauge(
    "outrigger_runner_calls_queued",
    "Calls that wait for their turn or for a process.",
);
const BREAKER: Family = Family::gauge(
    "outrigger_runner_breaker",
    "The runner's circuit breaker: 1 for the state that it is in.",
);
const INSTANCE_UP: Family = Family::gauge(
    "outrigger_runner_up",
    "Whether this process of the runner can be called.",
);
const GENERATION: Family = Family::gauge(
    "outrigger_runner_generation",
    "Number of the process that is called: 1 for the first.",
);
const RESTARTS: Family = Family::counter(
    "outrigger_runner_restarts_total",
    "How often the process was replaced by another, for whatever reason.",
);
const MEMORY: Family = Family::gauge(
    "outrigger_runner_resident_memory_bytes",
    "Memory that the runner's process has resident, without its children.",
);
