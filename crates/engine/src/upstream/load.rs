//! How busy a node is and how fast it has been: what the choice of some
//! upstreams goes by. Shared by all workers, without locks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long it takes until what was measured counts for 1/e only (APISIX's
/// `DECAY_TIME`).
const DECAY: Duration = Duration::from_secs(10);

/// What is known of one node.
pub(super) struct Load {
    in_flight: AtomicU32,
    /// See [`Average`].
    average: AtomicU64,
    /// What times are counted from.
    origin: Instant,
}

/// A moving average of response times: seconds, and when it was last
/// touched, in milliseconds after the load's origin. Never touched: 0 and 0.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Average {
    seconds: f32,
    touched: u32,
}

impl Average {
    fn pack(self) -> u64 {
        u64::from(self.seconds.to_bits()) << 32 | u64::from(self.touched)
    }

    fn unpack(packed: u64) -> Self {
        let (seconds, touched) = ((packed >> 32) as u32, packed as u32);
        Average {
            seconds: f32::from_bits(seconds),
            touched,
        }
    }

    /// How much of what was known before counts at `now`.
    fn weight(self, now: u32) -> f32 {
        // Another worker's clock may be ahead by a little. The difference wraps after
        // 24 days, which makes one old value count once.
        let passed = now.wrapping_sub(self.touched).cast_signed().max(0);
        let passed = Duration::from_millis(u64::from(passed.unsigned_abs()));
        (-passed.as_secs_f32() / DECAY.as_secs_f32()).exp()
    }

    fn at(self, now: u32) -> f32 {
        self.seconds * self.weight(now)
    }

    fn with(self, time: Duration, now: u32) -> Self {
        let time = time.as_secs_f32();
        let seconds = if self.touched == 0 {
            time
        } else {
            let weight = self.weight(now);
            self.seconds * weight + time * (1.0 - weight)
        };
        Average {
            seconds,
            touched: now.max(1),
        }
    }
}

/// Only what a request may notice.
impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let average = Average::unpack(self.average.load(Ordering::Relaxed));
        write!(f, "Load({}, {} s)", self.in_flight(), average.seconds)
    }
}

impl Load {
    pub(super) fn new() -> Self {
        Load {
            in_flight: AtomicU32::new(0),
            average: AtomicU64::new(0),
            origin: Instant::now(),
        }
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// About how many seconds it takes to answer; what is long ago counts less.
    pub(super) fn seconds(&self, now: Instant) -> f32 {
        Average::unpack(self.average.load(Ordering::Relaxed)).at(self.millis(now))
    }

    fn measured(&self, time: Duration, now: Instant) {
        let now = self.millis(now);
        let next = |packed| Some(Average::unpack(packed).with(time, now).pack());
        let order = Ordering::Relaxed;
        // It always has a next.
        let _ = self.average.fetch_update(order, order, next);
    }

    fn millis(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.origin).as_millis() as u32
    }
}

/// A request that a node is busy with until this is dropped.
#[derive(Debug)]
pub struct Busy {
    load: Arc<Load>,
    began: Instant,
    answered: bool,
}

impl Busy {
    pub(super) fn new(load: &Arc<Load>, began: Instant) -> Self {
        load.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy {
            load: Arc::clone(load),
            began,
            answered: false,
        }
    }

    /// The node has answered: how long it takes to the end tells how fast it is.
    pub fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.load.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.answered {
            let now = Instant::now();
            self.load.measured(now - self.began, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_ago_counts_less() {
        let load = Load::new();
        let after = |seconds| load.origin + Duration::from_secs(seconds);
        let about = |seconds: u64, expected: f32| {
            let known = load.seconds(after(seconds));
            assert!((known - expected).abs() < 0.01, "{seconds}: {known}");
        };
        about(0, 0.0);
        load.measured(Duration::from_secs(2), after(1));
        about(1, 2.0);
        about(11, 2.0 / std::f32::consts::E);
        // Ten seconds later, both count.
        load.measured(Duration::from_secs(1), after(11));
        about(11, 1.0 + 1.0 / std::f32::consts::E);
    }

    #[test]
    fn a_node_is_busy_until_its_request_is_over() {
        let load = Arc::new(Load::new());
        let now = Instant::now();
        let (failed, mut answered) = (Busy::new(&load, now), Busy::new(&load, now));
        assert_eq!(load.in_flight(), 2);
        drop(failed);
        let untouched = Average {
            seconds: 0.0,
            touched: 0,
        };
        let average = || Average::unpack(load.average.load(Ordering::Relaxed));
        assert_eq!((load.in_flight(), average()), (1, untouched));
        answered.answered();
        drop(answered);
        assert_eq!(load.in_flight(), 0);
        assert_ne!(average(), untouched);
    }
}
