//! The circuit breaker: a runner that fails nearly every call is left alone for
//! a while, then tried with one call at a time.
//!
//! [`State`] is the machine: pure, and small enough for one atomic number, so
//! that workers share it without a lock. [`Breaker`] gives it time and
//! settings.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::settings::BreakerSettings;

/// What the circuit breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// They go through.
    Closed,
    /// They fail at once.
    Open,
    /// One goes through to see how it fares; the others fail at once.
    HalfOpen,
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        })
    }
}

/// How a call ended, as far as the breaker is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The runner answered.
    Good,
    /// The runner failed.
    Bad,
    /// It says nothing about the runner.
    Neither,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// As any other.
    Free,
    /// It decides whether others may.
    Probe,
}

/// Time in steps of 100 ms since the breaker was made, modulo 3.4 years.
type Ticks = u32;

const TICK_MILLIS: u64 = 100;
const TICKS_PER_SECOND: u64 = 1000 / TICK_MILLIS;
const TICK_BITS: u32 = 30;
const TICK_MASK: u32 = (1 << TICK_BITS) - 1;
const COUNT_BITS: u32 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    state: BreakerState,
    /// When the window began, when it opened, or when the probe went.
    since: Ticks,
    /// Calls and failures of the window; only while closed.
    calls: u16,
    failures: u16,
}

/// [`BreakerSettings`] in ticks.
#[derive(Debug, Clone, Copy)]
struct Terms {
    window: Ticks,
    pause: Ticks,
    minimum_calls: u32,
    error_percent: u32,
}

impl Terms {
    fn of(settings: &BreakerSettings) -> Self {
        Self {
            window: ticks(settings.window).min(TICK_MASK / 2),
            pause: ticks(settings.pause).min(TICK_MASK / 2),
            minimum_calls: settings.minimum_calls.clamp(1, u32::from(u16::MAX) / 2),
            error_percent: u32::from(settings.error_percent),
        }
    }
}

fn ticks(time: Duration) -> Ticks {
    let ticks = time.as_secs() * TICKS_PER_SECOND + u64::from(time.subsec_millis()) / TICK_MILLIS;
    // What is cut off is the modulo.
    (ticks & u64::from(TICK_MASK)) as Ticks
}

/// Other workers may be ahead of `now` by a little: then nothing has elapsed.
fn elapsed(now: Ticks, since: Ticks) -> Ticks {
    let elapsed = now.wrapping_sub(since) & TICK_MASK;
    if elapsed > TICK_MASK / 2 { 0 } else { elapsed }
}

impl State {
    const fn closed(now: Ticks) -> Self {
        Self {
            state: BreakerState::Closed,
            since: now,
            calls: 0,
            failures: 0,
        }
    }

    const fn at(state: BreakerState, since: Ticks) -> Self {
        Self {
            state,
            since,
            ..Self::closed(since)
        }
    }

    /// Whether a call would be let through.
    fn is_passable(self, now: Ticks, terms: Terms) -> bool {
        match self.state {
            BreakerState::Closed => true,
            BreakerState::Open => elapsed(now, self.since) >= terms.pause,
            BreakerState::HalfOpen => false,
        }
    }

    /// A call comes: what becomes of it, and the state.
    fn admit(self, now: Ticks, terms: Terms) -> (Self, Option<Pass>) {
        match self.state {
            BreakerState::Closed => (self, Some(Pass::Free)),
            _ if self.is_passable(now, terms) => {
                (Self::at(BreakerState::HalfOpen, now), Some(Pass::Probe))
            }
            _ => (self, None),
        }
    }

    /// A call that was let through with `pass` ended.
    fn ended(self, pass: Pass, outcome: Outcome, now: Ticks, terms: Terms) -> Self {
        match (self.state, pass, outcome) {
            (BreakerState::HalfOpen, Pass::Probe, Outcome::Good) => Self::closed(now),
            (BreakerState::HalfOpen, Pass::Probe, Outcome::Bad) => {
                Self::at(BreakerState::Open, now)
            }
            (BreakerState::HalfOpen, Pass::Probe, Outcome::Neither) => self.probe_soon(now, terms),
            (BreakerState::Closed, _, Outcome::Good | Outcome::Bad) => {
                self.counted(outcome == Outcome::Bad, now, terms)
            }
            // It began before the breaker opened, or before it closed again.
            _ => self,
        }
    }

    fn counted(self, failed: bool, now: Ticks, terms: Terms) -> Self {
        let mut state = if elapsed(now, self.since) >= terms.window {
            Self::closed(now)
        } else {
            self
        };
        if state.calls == u16::MAX {
            // The rate stays the same.
            state.calls /= 2;
            state.failures /= 2;
        }
        state.calls += 1;
        state.failures += u16::from(failed);
        let (calls, failures) = (u32::from(state.calls), u32::from(state.failures));
        let too_many = failures * 100 >= calls * terms.error_percent;
        if failed && calls >= terms.minimum_calls && too_many {
            Self::at(BreakerState::Open, now)
        } else {
            state
        }
    }

    /// Not closed, and the next call is to try.
    fn probe_soon(self, now: Ticks, terms: Terms) -> Self {
        let since = now.wrapping_sub(terms.pause) & TICK_MASK;
        Self::at(BreakerState::Open, since)
    }

    const fn pack(self) -> u64 {
        let tag = match self.state {
            BreakerState::Closed => 0,
            BreakerState::Open => 1,
            BreakerState::HalfOpen => 2,
        };
        let counts = (self.calls as u64) << COUNT_BITS | self.failures as u64;
        tag << (64 - 2) | (self.since as u64) << (2 * COUNT_BITS) | counts
    }

    const fn unpack(word: u64) -> Self {
        Self {
            state: match word >> (64 - 2) {
                0 => BreakerState::Closed,
                1 => BreakerState::Open,
                _ => BreakerState::HalfOpen,
            },
            since: (word >> (2 * COUNT_BITS)) as u32 & TICK_MASK,
            calls: (word >> COUNT_BITS) as u16,
            failures: word as u16,
        }
    }
}

/// One runner's breaker, shared by all workers.
#[derive(Debug)]
pub(crate) struct Breaker {
    made: Instant,
    state: AtomicU64,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            made: Instant::now(),
            state: AtomicU64::new(State::closed(0).pack()),
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.load().state
    }

    /// Whether a call that came now would be let through.
    pub(crate) fn is_passable(&self, now: Instant, settings: Option<&BreakerSettings>) -> bool {
        settings.is_none_or(|settings| {
            self.load()
                .is_passable(self.ticks(now), Terms::of(settings))
        })
    }

    /// A call comes; `None` if it is not to be made. With it comes what the
    /// breaker turned into, if it changed.
    pub(crate) fn admit(
        &self,
        now: Instant,
        settings: Option<&BreakerSettings>,
    ) -> (Option<Pass>, Option<BreakerState>) {
        let Some(settings) = settings else {
            return (Some(Pass::Free), None);
        };
        let (now, terms) = (self.ticks(now), Terms::of(settings));
        self.step(|state| state.admit(now, terms))
    }

    /// A call that was let through with `pass` ended. What the breaker turned
    /// into, if it changed.
    pub(crate) fn ended(
        &self,
        pass: Pass,
        outcome: Outcome,
        now: Instant,
        settings: Option<&BreakerSettings>,
    ) -> Option<BreakerState> {
        if outcome == Outcome::Neither && pass == Pass::Free {
            return None;
        }
        let now = self.ticks(now);
        let step = |state: State| match settings {
            Some(settings) => state.ended(pass, outcome, now, Terms::of(settings)),
            None => State::closed(now),
        };
        self.step(|state| (step(state), ())).1
    }

    /// There is reason to hope, such as a new process: the next call tries.
    pub(crate) fn hope(&self, now: Instant, settings: Option<&BreakerSettings>) {
        let (Some(settings), now) = (settings, self.ticks(now)) else {
            return;
        };
        let terms = Terms::of(settings);
        self.step(|state| match state.state {
            BreakerState::Closed => (state, ()),
            _ => (state.probe_soon(now, terms), ()),
        });
    }

    fn step<T>(&self, step: impl Fn(State) -> (State, T)) -> (T, Option<BreakerState>) {
        let mut word = self.state.load(Ordering::Acquire);
        loop {
            let before = State::unpack(word);
            let (after, result) = step(before);
            if after == before {
                return (result, None);
            }
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            match self
                .state
                .compare_exchange_weak(word, after.pack(), success, failure)
            {
                Ok(_) => {
                    let turned = (after.state != before.state).then_some(after.state);
                    return (result, turned);
                }
                Err(found) => word = found,
            }
        }
    }

    fn load(&self) -> State {
        State::unpack(self.state.load(Ordering::Acquire))
    }

    fn ticks(&self, now: Instant) -> Ticks {
        ticks(now.saturating_duration_since(self.made))
    }
}

#[cfg(test)]
mod tests;
