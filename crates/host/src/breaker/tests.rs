//! The machine in simulated time, and the numbers it is packed in.

use super::*;

const TICK: Duration = Duration::from_millis(TICK_MILLIS);

const SETTINGS: BreakerSettings = BreakerSettings {
    window: Duration::from_secs(10),
    minimum_calls: 10,
    error_percent: 50,
    pause: Duration::from_secs(5),
};

/// A breaker and a clock that is set by hand.
struct Bench {
    breaker: Breaker,
    now: Instant,
    settings: Option<BreakerSettings>,
    turned: Vec<BreakerState>,
}

impl Bench {
    fn new() -> Self {
        let breaker = Breaker::new();
        Self {
            now: breaker.made,
            breaker,
            settings: Some(SETTINGS),
            turned: Vec::new(),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&mut self) -> Option<Pass> {
        let passable = self.breaker.is_passable(self.now, self.settings.as_ref());
        let (pass, turned) = self.breaker.admit(self.now, self.settings.as_ref());
        assert_eq!(pass.is_some(), passable);
        self.turned.extend(turned);
        pass
    }

    fn end(&mut self, pass: Pass, outcome: Outcome) {
        let turned = self
            .breaker
            .ended(pass, outcome, self.now, self.settings.as_ref());
        self.turned.extend(turned);
    }

    fn calls(&mut self, calls: usize, outcome: Outcome) {
        for _ in 0..calls {
            let pass = self.admit().expect("calls go through");
            self.end(pass, outcome);
        }
    }

    fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// One that has just opened.
    fn open() -> Self {
        let mut bench = Self::new();
        bench.calls(10, Outcome::Bad);
        assert_eq!(bench.state(), BreakerState::Open);
        bench
    }
}

#[test]
fn it_opens_when_enough_calls_failed() {
    let mut bench = Bench::new();
    bench.calls(9, Outcome::Bad);
    assert_eq!(bench.state(), BreakerState::Closed, "too few calls");
    bench.calls(1, Outcome::Bad);
    assert_eq!(bench.turned, [BreakerState::Open]);
    assert_eq!(bench.admit(), None);
}

#[test]
fn it_stays_closed_while_fewer_fail_than_the_rate() {
    let mut bench = Bench::new();
    for _ in 0..1000 {
        bench.calls(11, Outcome::Good);
        bench.calls(10, Outcome::Bad);
    }
    assert_eq!(bench.state(), BreakerState::Closed);
    assert_eq!(bench.turned, []);
}

#[test]
fn what_says_nothing_about_the_runner_does_not_count() {
    let mut bench = Bench::new();
    bench.calls(1000, Outcome::Neither);
    bench.calls(9, Outcome::Bad);
    assert_eq!(bench.state(), BreakerState::Closed);
    bench.calls(1, Outcome::Bad);
    assert_eq!(bench.state(), BreakerState::Open);
}

#[test]
fn failures_of_an_earlier_window_are_forgotten() {
    let mut bench = Bench::new();
    bench.calls(9, Outcome::Bad);
    bench.pass(SETTINGS.window);
    bench.calls(9, Outcome::Bad);
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn many_good_calls_do_not_hide_that_it_fails_now_for_longer_than_a_window() {
    let mut bench = Bench::new();
    bench.calls(200_000, Outcome::Good);
    bench.calls(1000, Outcome::Bad);
    assert_eq!(bench.state(), BreakerState::Closed);
    bench.pass(SETTINGS.window);
    bench.calls(10, Outcome::Bad);
    assert_eq!(bench.state(), BreakerState::Open);
}

#[test]
fn after_the_pause_one_call_tries_and_closes_it() {
    let mut bench = Bench::open();
    bench.pass(SETTINGS.pause - TICK);
    assert_eq!(bench.admit(), None);
    bench.pass(TICK);
    assert_eq!(bench.admit(), Some(Pass::Probe));
    assert_eq!(bench.admit(), None, "one only");
    bench.end(Pass::Probe, Outcome::Good);
    bench.calls(9, Outcome::Bad);
    let turned = [
        BreakerState::Open,
        BreakerState::HalfOpen,
        BreakerState::Closed,
    ];
    assert_eq!(bench.turned, turned, "counting begins anew");
}

#[test]
fn a_probe_that_fails_opens_it_for_another_pause() {
    let mut bench = Bench::open();
    bench.pass(SETTINGS.pause);
    bench.admit();
    bench.pass(Duration::from_secs(1));
    bench.end(Pass::Probe, Outcome::Bad);
    bench.pass(SETTINGS.pause - TICK);
    assert_eq!(bench.admit(), None);
    bench.pass(TICK);
    assert_eq!(bench.admit(), Some(Pass::Probe));
}

#[test]
fn a_probe_that_says_nothing_leaves_it_to_the_next() {
    let mut bench = Bench::open();
    bench.pass(SETTINGS.pause);
    bench.admit();
    bench.end(Pass::Probe, Outcome::Neither);
    assert_eq!(bench.state(), BreakerState::Open);
    assert_eq!(bench.admit(), Some(Pass::Probe));
}

#[test]
fn calls_from_before_it_opened_do_not_matter() {
    let mut bench = Bench::open();
    bench.end(Pass::Free, Outcome::Good);
    assert_eq!(bench.state(), BreakerState::Open);
    bench.pass(SETTINGS.pause);
    bench.admit();
    bench.end(Pass::Free, Outcome::Good);
    bench.end(Pass::Free, Outcome::Bad);
    assert_eq!(bench.state(), BreakerState::HalfOpen);
}

#[test]
fn a_new_process_is_tried_at_once() {
    let mut bench = Bench::open();
    bench.breaker.hope(bench.now, bench.settings.as_ref());
    assert_eq!(bench.admit(), Some(Pass::Probe));
    let closed = Bench::new();
    closed.breaker.hope(closed.now, closed.settings.as_ref());
    assert_eq!(closed.state(), BreakerState::Closed);
}

#[test]
fn without_settings_it_is_off() {
    let mut bench = Bench::open();
    bench.settings = None;
    assert_eq!(bench.admit(), Some(Pass::Free));
    bench.end(Pass::Free, Outcome::Bad);
    assert_eq!(bench.state(), BreakerState::Closed);
    bench.calls(1000, Outcome::Bad);
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn time_may_wrap_around() {
    let terms = Terms::of(&SETTINGS);
    let opened = State::at(BreakerState::Open, TICK_MASK - 9);
    assert!(!opened.is_passable(30, terms));
    assert!(opened.is_passable(40, terms));
}

/// A worker that looked at the clock before another one opened it.
#[test]
fn who_is_late_does_not_pass() {
    let terms = Terms::of(&SETTINGS);
    let opened = State::at(BreakerState::Open, 1000);
    assert_eq!(opened.admit(999, terms), (opened, None));
    let counting = State::closed(1000).counted(true, 1000, terms);
    let counted = counting.counted(true, 999, terms);
    assert_eq!((counted.since, counted.failures), (1000, 2));
}

#[test]
fn a_packed_state_comes_back() {
    for state in [
        BreakerState::Closed,
        BreakerState::Open,
        BreakerState::HalfOpen,
    ] {
        for (since, calls, failures) in [(0, 0, 0), (TICK_MASK, u16::MAX, 1), (77, 3, u16::MAX)] {
            let state = State {
                state,
                since,
                calls,
                failures,
            };
            assert_eq!(State::unpack(state.pack()), state);
        }
    }
}
