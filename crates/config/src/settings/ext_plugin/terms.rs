//! The terms that a runner is called and kept on. What a runner does not say of
//! them it takes from the section `ext-plugin` itself.

use std::num::NonZeroUsize;
use std::time::Duration;

use outrigger_model::read::{At, Object};
use serde_json::Value;

use crate::limits;
use crate::settings::units;

/// On which terms a runner is called and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerTerms {
    /// How long it may take.
    pub timeout: RunnerTimeout,
    /// How long a new process has to listen. One that replaces another is given
    /// up after it; until the only one does, calls fail at once from then on.
    pub start_timeout: Duration,
    /// How long it has to end when told to, before it is killed.
    pub stop_grace: Duration,
    /// How much may be under way at once.
    pub limits: RunnerLimits,
    /// When it is not called for a while.
    pub breaker: BreakerRule,
    /// Resident memory of one process in bytes, beyond which it is replaced.
    pub max_rss: Option<u64>,
    /// Users besides root and the gateway's own whose processes may listen.
    pub allowed_uids: Vec<u32>,
    /// What becomes of its output.
    pub log: OutputRule,
}

impl Default for RunnerTerms {
    fn default() -> Self {
        Self {
            timeout: RunnerTimeout::default(),
            start_timeout: START_TIMEOUT,
            stop_grace: STOP_GRACE,
            limits: RunnerLimits::default(),
            breaker: BreakerRule::default(),
            max_rss: None,
            allowed_uids: Vec::new(),
            log: OutputRule::default(),
        }
    }
}

/// Room for a slow machine and a slow starter.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// APISIX's time between SIGTERM and SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// How long a runner may take. None of the times is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerTimeout {
    /// To accept a connection.
    pub connect: Duration,
    /// To prepare a plugin's configuration.
    pub prepare: Duration,
    /// For one call.
    pub call: Duration,
}

impl Default for RunnerTimeout {
    /// APISIX's: 1 second to connect, 60 for all else.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            prepare: Duration::from_secs(60),
            call: Duration::from_secs(60),
        }
    }
}

/// How much of a runner may be under way at once. What is not said is the
/// caller's to choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunnerLimits {
    /// Calls.
    pub in_flight: Option<NonZeroUsize>,
    /// Calls that wait for their turn, or for a process.
    pub queue: Option<usize>,
    /// Bytes of long messages.
    pub buffered: Option<usize>,
}

/// When a runner that fails is not called for a while. What is not said is the
/// caller's to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRule {
    /// Whether there is a circuit breaker at all.
    pub enabled: bool,
    /// How long calls are counted; not zero.
    pub window: Option<Duration>,
    /// With fewer calls in a window nothing happens.
    pub minimum_calls: Option<u32>,
    /// How many of 100 calls must have failed.
    pub error_percent: Option<u8>,
    /// How long calls fail at once before one is tried; not zero.
    pub pause: Option<Duration>,
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            enabled: true,
            window: None,
            minimum_calls: None,
            error_percent: None,
            pause: None,
        }
    }
}

/// What becomes of the lines that a runner writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputRule {
    /// Lines below this do not go to the log.
    pub level: OutputLevel,
    /// Lines that go to the log in one second, in the long run.
    pub max_rate: u32,
    /// Lines that go to the log at once, after a pause.
    pub burst: u32,
}

impl Default for OutputRule {
    fn default() -> Self {
        Self {
            level: OutputLevel::Trace,
            max_rate: 1000,
            burst: 2000,
        }
    }
}

/// How important a line of a runner's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputLevel {
    /// For whoever looks for a defect, step by step.
    Trace,
    /// For whoever looks for a defect.
    Debug,
    /// What happens.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something has failed.
    Error,
    /// More than any line: nothing goes to the log.
    Off,
}

const LEVELS: [(&str, OutputLevel); 6] = [
    ("trace", OutputLevel::Trace),
    ("debug", OutputLevel::Debug),
    ("info", OutputLevel::Info),
    ("warn", OutputLevel::Warn),
    ("error", OutputLevel::Error),
    ("off", OutputLevel::Off),
];

/// Reads the terms in `object`; `base` has those that it does not say. The
/// section `log` is left to the caller, see [`read_output`].
pub(super) fn read(object: &Object<'_>, base: &RunnerTerms) -> RunnerTerms {
    let time = |key, least, default| {
        let time = object.read(key, |at| units::milliseconds(at, least));
        time.unwrap_or(default)
    };
    let max_rss = object.read("max_rss", units::size);
    RunnerTerms {
        timeout: read_timeout(object, base.timeout),
        start_timeout: time("start_timeout", 1, base.start_timeout),
        stop_grace: time("stop_grace", 0, base.stop_grace),
        limits: read_limits(object, base.limits),
        breaker: read_breaker(object, base.breaker),
        // 0 lifts a limit that the section has set for all.
        max_rss: max_rss.or(base.max_rss).filter(|max| *max > 0),
        allowed_uids: object
            .read("allowed_uids", read_uids)
            .unwrap_or_else(|| base.allowed_uids.clone()),
        log: base.log,
    }
}

fn read_timeout(object: &Object<'_>, base: RunnerTimeout) -> RunnerTimeout {
    object.section("timeout", |timeout| {
        let time = |key, default| {
            let time = timeout.read(key, |at| units::milliseconds(at, 1));
            time.unwrap_or(default)
        };
        RunnerTimeout {
            connect: time("connect", base.connect),
            prepare: time("prepare", base.prepare),
            call: time("call", base.call),
        }
    })
}

fn read_limits(object: &Object<'_>, base: RunnerLimits) -> RunnerLimits {
    let calls = |key, least| {
        let calls = object.read(key, |at| at.integer(least..=limits::RUNNER_CALLS))?;
        usize::try_from(calls).ok()
    };
    let buffered = object.read("max_buffered", |at| {
        let size = units::size(at)?;
        if size < limits::LEAST_BUFFERED {
            let least = limits::LEAST_BUFFERED >> 20;
            at.fault(format!("expected at least {least}m: the longest message"));
        }
        usize::try_from(size).ok()
    });
    RunnerLimits {
        in_flight: calls("max_in_flight", 1)
            .and_then(NonZeroUsize::new)
            .or(base.in_flight),
        queue: calls("max_queue", 0).or(base.queue),
        buffered: buffered.or(base.buffered),
    }
}

/// `false`, or an object with what is to differ.
fn read_breaker(object: &Object<'_>, base: BreakerRule) -> BreakerRule {
    match object.get("breaker") {
        None => base,
        Some(at) => match at.value() {
            Value::Bool(enabled) => BreakerRule {
                enabled: *enabled,
                ..base
            },
            Value::Object(_) => object.section("breaker", |breaker| read_rule(breaker, base)),
            _ => at.wrong_type("boolean or object").unwrap_or(base),
        },
    }
}

fn read_rule(breaker: &Object<'_>, base: BreakerRule) -> BreakerRule {
    let time = |key, default: Option<Duration>| {
        let time = breaker.read(key, |at| units::milliseconds(at, 1));
        time.or(default)
    };
    let number = |key, most| breaker.read(key, |at| at.integer(1..=most));
    let calls = number("minimum_calls", limits::BREAKER_CALLS);
    let percent = number("error_percent", 100);
    BreakerRule {
        enabled: true,
        window: time("window", base.window),
        minimum_calls: calls
            .and_then(|calls| u32::try_from(calls).ok())
            .or(base.minimum_calls),
        error_percent: percent
            .and_then(|percent| u8::try_from(percent).ok())
            .or(base.error_percent),
        pause: time("pause", base.pause),
    }
}

fn read_uids(at: &At<'_>) -> Option<Vec<u32>> {
    let uids = at.unique_items()?;
    Some(
        uids.filter_map(|uid| u32::try_from(uid.integer(0..=i64::from(u32::MAX - 1))?).ok())
            .collect(),
    )
}

/// Reads what becomes of output, in the section `log`.
pub(super) fn read_output(log: &Object<'_>, base: OutputRule) -> OutputRule {
    let rate = |key, default| {
        let rate = log.read(key, |at| at.integer(1..=limits::OUTPUT_LINES));
        rate.and_then(|rate| u32::try_from(rate).ok())
            .unwrap_or(default)
    };
    let level = log.read("level", |at| {
        let name = at.one_of(&LEVELS.map(|(name, _)| name))?;
        LEVELS.iter().find(|(known, _)| *known == name)
    });
    let max_rate = rate("max_rate", base.max_rate);
    OutputRule {
        level: level.map_or(base.level, |(_, level)| *level),
        max_rate,
        // Whoever says only the rate means no less of it at once.
        burst: rate("burst", base.burst.max(max_rate)),
    }
}
