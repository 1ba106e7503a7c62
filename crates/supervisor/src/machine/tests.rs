//! The machine in simulated time.

use super::*;

const GRACE: Duration = Duration::from_secs(1);
const DRAIN: Duration = Duration::from_secs(10);
const START_LIMIT: Duration = Duration::from_secs(200);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A machine, a clock that moves only by [`Sim::pass`], and the world's answers.
struct Sim {
    machine: Machine,
    now: Instant,
    /// Whether a process listens when it is probed.
    listens: bool,
    /// Whether a program is there to be spawned.
    spawns: bool,
    /// When each process was spawned, since the start.
    spawned: Vec<(Generation, Duration)>,
    failed: Vec<Duration>,
    start: Instant,
}

impl Sim {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(place: Option<Place>) -> Self {
        let start = Instant::now();
        Self {
            machine: Machine::new(start, terms(place)),
            now: start,
            listens: true,
            spawns: true,
            spawned: Vec::new(),
            failed: Vec::new(),
            start,
        }
    }

    /// Lets time pass, waking the machine just when it asks to be, and returns
    /// what it did but for spawning and probing.
    fn pass(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut seen = self.settle();
        while let Some(wake) = self.machine.next_wake().filter(|wake| *wake <= end) {
            assert!(wake >= self.now, "woken for the past");
            self.now = wake;
            seen.extend(self.settle());
        }
        self.now = end;
        seen
    }

    fn settle(&mut self) -> Vec<Action> {
        let mut seen = Vec::new();
        self.machine.tick(self.now);
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Spawn if self.spawns => {
                    let generation = Generation::next();
                    self.machine.spawned(self.now, generation);
                    self.spawned.push((generation, self.now - self.start));
                }
                Action::Spawn => {
                    let delay = self.machine.spawn_failed(self.now);
                    self.failed.extend(delay);
                }
                Action::Probe(generation) => {
                    if self.listens {
                        self.machine.connected(self.now, generation);
                    }
                }
                other => seen.push(other),
            }
        }
        seen
    }

    /// The process spawned last.
    fn last(&self) -> Generation {
        self.spawned.last().expect("something was spawned").0
    }

    fn exit(&mut self, generation: Generation) -> Departure {
        self.machine
            .exited(self.now, generation)
            .expect("the process is known")
    }

    fn restart(&mut self, place: Option<Place>) {
        self.machine.restart(self.now, terms(place));
    }

    /// A machine whose first process listens and has settled.
    fn settled(place: Option<Place>) -> (Self, Generation) {
        let mut sim = Self::with(place);
        sim.pass(limits::SETTLED_AFTER + ms(10));
        let first = sim.last();
        assert_eq!(sim.machine.serving(), Some(first));
        (sim, first)
    }
}

const HERE: Option<Place> = Some(Place(0));
const THERE: Option<Place> = Some(Place(1));

fn terms(place: Option<Place>) -> Terms {
    let backoff = Backoff {
        first: ms(100),
        max: ms(3000),
    };
    Terms {
        start_limit: START_LIMIT,
        drain: DRAIN,
        stop_grace: GRACE,
        backoff,
        place,
        measured: false,
    }
}

fn ready(generation: Generation, after: Duration) -> Action {
    Action::Report(generation, Notice::Ready { after })
}

fn terminated(generation: Generation) -> [Action; 2] {
    [
        Action::Signal(generation, Signal::Term),
        Action::Report(generation, Notice::Stopping { grace: GRACE }),
    ]
}

fn killed(generation: Generation) -> [Action; 2] {
    [
        Action::Signal(generation, Signal::Kill),
        Action::Report(generation, Notice::Killed),
    ]
}

fn retired(generation: Generation) -> Action {
    Action::Report(generation, Notice::Retired { drain: DRAIN })
}

#[test]
fn the_first_process_is_spawned_at_once_and_ready_when_it_listens() {
    let mut sim = Sim::new();
    sim.listens = false;
    assert_eq!(sim.pass(ms(50)), []);
    assert_eq!(sim.spawned.len(), 1);
    sim.listens = true;
    // Probes after 2, 4, 8, 16 and 32 ms have passed: the next is at 62 ms.
    assert_eq!(sim.pass(ms(50)), [ready(sim.last(), ms(62))]);
    assert_eq!(
        sim.machine.next_wake(),
        None,
        "a ready process needs no attention"
    );
}

#[test]
fn a_process_that_does_not_listen_is_reported_less_and_less_often() {
    let mut sim = Sim::new();
    sim.listens = false;
    let reports = sim.pass(START_LIMIT - ms(1));
    let waited: Vec<u64> = reports
        .iter()
        .map(|action| match action {
            Action::Report(_, Notice::NotListening { waited }) => waited.as_secs(),
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(waited, [5, 15, 35, 75, 135, 195]);
}

#[test]
fn the_only_process_may_listen_late_but_until_then_the_runner_is_failing() {
    let mut sim = Sim::new();
    sim.listens = false;
    sim.pass(START_LIMIT - ms(1));
    assert_eq!(sim.machine.state(), State::Starting);
    let late = Trouble::Late {
        waited: START_LIMIT,
    };
    assert_eq!(sim.pass(ms(1)), [Action::ReportFailing(late)]);
    assert_eq!(sim.machine.state(), State::Failing);
    sim.listens = true;
    let seen = sim.pass(ms(100));
    assert!(matches!(
        seen[..],
        [Action::Report(_, Notice::Ready { .. })]
    ));
    assert_eq!(sim.machine.state(), State::Running);
    assert_eq!(sim.spawned.len(), 1);
}

/// How long it is until the next process each time, when `ends` end after
/// `lifetime`.
fn delays(sim: &mut Sim, ends: usize, lifetime: Duration) -> Vec<Duration> {
    let end = |_| {
        sim.pass(lifetime);
        assert!(!sim.exit(sim.last()).requested);
        let before = sim.now;
        let mut seen = sim.settle();
        seen.retain(|action| !matches!(action, Action::ReportFailing(_)));
        let [Action::ReportRespawn(delay)] = seen[..] else {
            panic!("{seen:?}")
        };
        sim.pass(delay);
        assert_eq!(sim.spawned.last().unwrap().1, before + delay - sim.start);
        delay
    };
    (0..ends).map(end).collect()
}

#[test]
fn processes_that_die_before_they_listen_are_replaced_after_growing_delays() {
    let mut sim = Sim::new();
    sim.listens = false;
    let delays = delays(&mut sim, 7, ms(10));
    assert_eq!(delays, [100, 200, 400, 800, 1600, 3000, 3000].map(ms));
}

#[test]
fn processes_that_listen_and_die_are_replaced_soon_but_not_for_ever() {
    let mut sim = Sim::new();
    let tolerated = limits::FLAPS as usize;
    assert_eq!(
        delays(&mut sim, tolerated, ms(10)),
        vec![ms(100); tolerated]
    );
    assert_eq!(sim.machine.state(), State::Starting);
    assert_eq!(delays(&mut sim, 4, ms(10)), [100, 200, 400, 800].map(ms));
    sim.listens = false;
    sim.pass(ms(10));
    assert_eq!(sim.machine.state(), State::Failing);

    // One that settles makes good for all.
    sim.listens = true;
    sim.pass(ms(100) + limits::SETTLED_AFTER);
    assert_eq!(delays(&mut sim, 2, ms(10)), [100, 100].map(ms));
}

#[test]
fn a_process_that_had_settled_is_replaced_without_much_delay_however_often() {
    let mut sim = Sim::new();
    for _ in 0..50 {
        sim.pass(limits::PROBE_FIRST + limits::SETTLED_AFTER);
        sim.exit(sim.last());
        assert_eq!(sim.settle(), [Action::ReportRespawn(ms(100))]);
        sim.pass(ms(100));
    }
    assert_eq!(sim.spawned.len(), 51);
}

#[test]
fn a_runner_that_ends_again_and_again_is_failing_until_it_listens() {
    let mut sim = Sim::new();
    sim.listens = false;
    let failing = |sim: &mut Sim| {
        sim.pass(ms(10));
        sim.exit(sim.last());
        let seen = sim.pass(ms(3000));
        seen.contains(&Action::ReportFailing(Trouble::Ends { times: 4 }))
    };
    assert_eq!(
        [(); 6].map(|()| failing(&mut sim)),
        [false, false, false, true, false, false]
    );
    assert_eq!(sim.machine.state(), State::Failing);
    sim.listens = true;
    sim.pass(ms(100));
    assert_eq!(sim.machine.state(), State::Running);

    // What was is forgotten.
    sim.exit(sim.last());
    assert_eq!(sim.settle(), [Action::ReportRespawn(ms(100))]);
}

#[test]
fn a_failed_spawn_is_tried_again_after_growing_delays() {
    let mut sim = Sim::new();
    sim.spawns = false;
    let seen = sim.pass(Duration::from_secs(10));
    assert_eq!(seen, [Action::ReportFailing(Trouble::Ends { times: 4 })]);
    assert_eq!(
        sim.failed,
        [100, 200, 400, 800, 1600, 3000, 3000, 3000].map(ms)
    );
    sim.spawns = true;
    let seen = sim.pass(ms(3000));
    assert_eq!(seen, [ready(sim.last(), limits::PROBE_FIRST)]);
}

#[test]
fn a_restart_retires_the_old_process_once_the_new_one_is_ready() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    let old = sim.last();
    sim.listens = false;
    sim.restart(None);
    assert_eq!(sim.pass(ms(1000)), [], "the old one serves until then");
    let new = sim.last();
    assert_ne!(old, new);
    sim.listens = true;
    let seen = sim.pass(ms(100));
    assert!(matches!(seen[0], Action::Report(it, Notice::Ready { .. }) if it == new));
    assert_eq!(seen[1..], [retired(old)]);
    assert_eq!(sim.pass(DRAIN), terminated(old));
    assert!(sim.exit(old).requested);
    assert_eq!(sim.pass(ms(5000)), [], "the old one is not replaced");
}

#[test]
fn a_retired_process_without_calls_is_stopped_at_once() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    let old = sim.last();
    sim.restart(None);
    sim.pass(ms(10));
    sim.machine.drained(sim.now, old);
    assert_eq!(sim.settle(), terminated(old));
    // Saying so of a process that serves changes nothing.
    sim.machine.drained(sim.now, sim.last());
    assert_eq!(sim.settle(), []);
}

#[test]
fn when_the_successor_dies_the_old_process_stays_and_another_successor_follows() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    let old = sim.last();
    sim.listens = false;
    sim.restart(None);
    sim.pass(ms(10));
    sim.exit(sim.last());
    assert_eq!(sim.pass(ms(99)), [Action::ReportRespawn(ms(100))]);
    assert_eq!(sim.spawned.len(), 2);
    sim.listens = true;
    let seen = sim.pass(ms(10));
    assert_eq!(seen, [ready(sim.last(), limits::PROBE_FIRST), retired(old)]);
}

#[test]
fn when_the_old_process_dies_the_successor_is_enough() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    let old = sim.last();
    sim.listens = false;
    sim.restart(None);
    sim.pass(ms(10));
    assert!(!sim.exit(old).requested);
    sim.listens = true;
    let seen = sim.pass(Duration::from_secs(5));
    assert!(
        matches!(seen[..], [Action::Report(_, Notice::Ready { .. })]),
        "{seen:?}"
    );
    assert_eq!(sim.spawned.len(), 2);
}

#[test]
fn a_second_restart_gives_up_the_successor_that_is_starting() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    sim.listens = false;
    sim.restart(None);
    sim.pass(ms(10));
    let given_up = sim.last();
    sim.restart(None);
    assert_eq!(sim.pass(ms(1)), terminated(given_up));
    assert_eq!(sim.spawned.len(), 3);
}

#[test]
fn several_replaced_processes_may_end_their_calls_but_not_any_number() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    let first = sim.last();
    for _ in 0..limits::DRAINING {
        sim.restart(None);
        let seen = sim.pass(ms(10));
        assert_eq!(seen.len(), 2, "ready, retired: {seen:?}");
    }
    let last = sim.last();
    sim.restart(None);
    let seen = sim.pass(ms(10));
    let expected = [ready(sim.last(), limits::PROBE_FIRST), retired(last)];
    assert_eq!(seen, [&expected[..], &terminated(first)].concat());
}

#[test]
fn in_a_fixed_place_the_old_process_ends_its_calls_before_the_new_one_is_spawned() {
    let (mut sim, old) = Sim::settled(HERE);
    sim.restart(HERE);
    let drain = limits::PLACE_DRAIN;
    let makes_way = Action::Report(old, Notice::Retired { drain });
    assert_eq!(sim.pass(drain - ms(1)), [makes_way]);
    assert_eq!(sim.pass(ms(1)), terminated(old));
    assert_eq!(sim.spawned.len(), 1);
    sim.exit(old);
    assert_eq!(sim.pass(ms(10)), [ready(sim.last(), limits::PROBE_FIRST)]);
    assert_eq!(sim.spawned.len(), 2);
}

#[test]
fn in_another_place_the_new_process_is_spawned_while_the_old_one_serves() {
    for (before, after) in [(None, HERE), (HERE, None), (HERE, THERE)] {
        let (mut sim, old) = Sim::settled(before);
        sim.restart(after);
        let seen = sim.pass(ms(10));
        assert_eq!(seen, [ready(sim.last(), limits::PROBE_FIRST), retired(old)]);
        // And back, while the old one ends its calls.
        let drain = DRAIN.min(limits::PLACE_DRAIN);
        sim.restart(before);
        sim.pass(drain);
        if before.is_some() {
            assert_eq!(sim.spawned.len(), 2, "the place is still taken");
            sim.exit(old);
            sim.pass(ms(10));
        }
        assert_eq!(sim.spawned.len(), 3);
        assert_eq!(sim.machine.serving(), Some(sim.last()));
    }
}

#[test]
fn a_replacement_that_ends_at_once_is_given_up_and_the_old_process_stays() {
    let (mut sim, old) = Sim::settled(None);
    sim.restart(THERE);
    sim.listens = false;
    for _ in 0..limits::RESTART_TRIES {
        sim.pass(ms(300));
        sim.exit(sim.last());
    }
    let trouble = Trouble::Ends {
        times: limits::RESTART_TRIES,
    };
    assert_eq!(sim.settle(), [Action::FallBack(trouble)]);
    assert_eq!(sim.pass(Duration::from_secs(600)), []);
    assert_eq!(sim.machine.serving(), Some(old));
    assert_eq!(sim.machine.state(), State::Running);

    // Its successor after a crash is like it, not like the one given up.
    sim.exit(old);
    sim.pass(ms(110));
    sim.exit(sim.last());
    sim.pass(ms(110));
    assert_eq!(sim.machine.terms, terms(None));
}

#[test]
fn a_replacement_that_does_not_listen_in_time_is_stopped_and_the_old_process_stays() {
    let (mut sim, old) = Sim::settled(None);
    sim.restart(None);
    sim.listens = false;
    let mut seen = sim.pass(START_LIMIT);
    let new = sim.last();
    seen.retain(|action| !matches!(action, Action::Report(_, Notice::NotListening { .. })));
    let late = Trouble::Late {
        waited: START_LIMIT,
    };
    assert_eq!(
        seen,
        [&terminated(new)[..], &[Action::FallBack(late)]].concat()
    );
    sim.exit(new);
    assert_eq!(sim.pass(Duration::from_secs(600)), []);
    assert_eq!(sim.machine.serving(), Some(old));
}

#[test]
fn a_replacement_that_cannot_be_spawned_is_given_up() {
    let (mut sim, old) = Sim::settled(None);
    sim.spawns = false;
    sim.restart(None);
    let seen = sim.pass(Duration::from_secs(10));
    assert!(
        matches!(seen[..], [Action::FallBack(Trouble::Ends { .. })]),
        "{seen:?}"
    );
    assert_eq!(sim.failed.len() as u32, limits::RESTART_TRIES - 1);
    assert_eq!(sim.machine.serving(), Some(old));
}

#[test]
fn in_a_fixed_place_a_process_as_before_follows_a_replacement_given_up() {
    let (mut sim, old) = Sim::settled(HERE);
    sim.restart(HERE);
    sim.machine.drained(sim.now, old);
    sim.exit(old);
    sim.spawns = false;
    let seen = sim.pass(ms(310));
    assert!(matches!(seen.last(), Some(Action::FallBack(_))), "{seen:?}");
    sim.spawns = true;
    // It was tried once more at once.
    assert_eq!(sim.pass(ms(110)), [ready(sim.last(), limits::PROBE_FIRST)]);
}

#[test]
fn where_nothing_works_a_restart_is_not_given_up() {
    let mut sim = Sim::new();
    sim.spawns = false;
    sim.pass(ms(10));
    sim.restart(THERE);
    sim.pass(Duration::from_secs(60));
    assert_eq!(sim.machine.terms, terms(THERE));
}

#[test]
fn a_process_that_takes_too_much_memory_is_replaced_but_not_without_end() {
    let mut sim = Sim::new();
    let measured = Terms {
        measured: true,
        ..terms(None)
    };
    sim.machine.restart(sim.now, measured);
    let mut outgrown = Vec::new();
    let mut replaced = Vec::new();
    let end = sim.now + Duration::from_secs(40);
    while sim.now < end {
        for action in sim.pass(ms(100)) {
            if let Action::Measure(generation) = action {
                outgrown.push(generation);
                if sim.machine.outgrown(sim.now, generation) {
                    replaced.push(sim.now - sim.start);
                }
            }
        }
    }
    let seconds: Vec<_> = replaced.iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [5, 35], "{outgrown:?}");
    assert_eq!(sim.spawned.len(), 3);
}

#[test]
fn a_halted_runner_ends_its_calls_and_stays_down_until_it_is_started() {
    let (mut sim, process) = Sim::settled(None);
    sim.machine.halt(sim.now);
    assert_eq!(sim.pass(ms(10)), [retired(process)]);
    assert_eq!(sim.machine.state(), State::Stopping);
    sim.machine.drained(sim.now, process);
    assert_eq!(sim.settle(), terminated(process));
    sim.exit(process);
    sim.machine.halt(sim.now);
    assert_eq!(sim.pass(Duration::from_secs(600)), [Action::ReportHalted]);
    assert_eq!(sim.machine.state(), State::Stopped);
    assert_eq!(sim.spawned.len(), 1);

    sim.machine.start(sim.now);
    assert_eq!(sim.pass(ms(10)), [ready(sim.last(), limits::PROBE_FIRST)]);
    sim.machine.start(sim.now);
    assert_eq!(sim.pass(ms(10)), [], "it runs already");
}

#[test]
fn a_runner_that_crashes_while_it_is_halted_stays_down() {
    let (mut sim, process) = Sim::settled(None);
    sim.machine.halt(sim.now);
    assert!(!sim.exit(process).requested);
    assert_eq!(
        sim.pass(ms(10_000)),
        [retired(process), Action::ReportHalted]
    );
    sim.restart(None);
    assert_eq!(sim.pass(ms(10)), [ready(sim.last(), limits::PROBE_FIRST)]);
}

#[test]
fn a_halt_ends_a_replacement_too() {
    let (mut sim, old) = Sim::settled(None);
    sim.listens = false;
    sim.restart(None);
    sim.pass(ms(10));
    let new = sim.last();
    sim.machine.halt(sim.now);
    assert_eq!(
        sim.settle(),
        [&[retired(old)][..], &terminated(new)].concat()
    );
    sim.exit(new);
    sim.exit(old);
    assert_eq!(sim.pass(ms(10_000)), [Action::ReportHalted]);
    assert_eq!(sim.spawned.len(), 2);
}

#[test]
fn a_restart_ends_a_backoff() {
    let mut sim = Sim::new();
    sim.spawns = false;
    sim.pass(Duration::from_secs(10));
    sim.spawns = true;
    sim.restart(None);
    let seen = sim.pass(ms(2));
    assert_eq!(seen, [ready(sim.last(), limits::PROBE_FIRST)]);
}

#[test]
fn a_stop_terminates_then_kills_and_ends_when_the_process_is_gone() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    let process = sim.last();
    sim.machine.stop(sim.now);
    assert_eq!(sim.pass(GRACE - ms(1)), terminated(process));
    assert_eq!(sim.pass(ms(1)), killed(process));
    assert_eq!(sim.machine.next_wake(), None);
    assert!(!sim.machine.finished());
    assert!(sim.exit(process).requested);
    assert!(sim.machine.finished());
    assert_eq!(sim.settle(), [Action::ReportStopped]);
}

#[test]
fn a_stop_during_a_backoff_ends_at_once() {
    let mut sim = Sim::new();
    sim.spawns = false;
    sim.pass(ms(10));
    sim.machine.stop(sim.now);
    assert!(sim.machine.finished());
    assert_eq!(sim.pass(Duration::from_secs(60)), [Action::ReportStopped]);
    assert_eq!(sim.failed.len(), 1);
}

#[test]
fn a_stop_ends_all_processes_of_a_restart_and_no_restart_follows_it() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    let old = sim.last();
    sim.listens = false;
    sim.restart(None);
    sim.pass(ms(10));
    let new = sim.last();
    sim.machine.stop(sim.now);
    sim.restart(None);
    assert_eq!(sim.pass(ms(1)), [terminated(old), terminated(new)].concat());
    sim.exit(old);
    assert!(!sim.machine.finished());
    sim.exit(new);
    assert_eq!(sim.pass(ms(60)), [Action::ReportStopped]);
    assert_eq!(sim.spawned.len(), 2);
}

#[test]
fn abandoned_processes_are_killed_at_once_even_while_they_stop() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    let process = sim.last();
    sim.machine.stop(sim.now);
    sim.settle();
    sim.machine.abandon();
    assert_eq!(sim.settle(), killed(process));
    sim.exit(process);
    assert_eq!(sim.pass(GRACE), [Action::ReportStopped]);
}

#[test]
fn times_beyond_the_clock_mean_never() {
    let mut sim = Sim::new();
    let backoff = Backoff {
        first: Duration::MAX,
        max: Duration::MAX,
    };
    let terms = Terms {
        start_limit: Duration::MAX,
        drain: Duration::MAX,
        stop_grace: Duration::MAX,
        backoff,
        place: None,
        measured: false,
    };
    sim.machine.restart(sim.now, terms);
    sim.pass(ms(100));
    sim.exit(sim.last());
    assert_eq!(
        sim.pass(Duration::from_secs(3600)),
        [Action::ReportRespawn(Duration::MAX)]
    );
    sim.machine.restart(sim.now, terms);
    sim.pass(ms(100));
    sim.machine.stop(sim.now);
    let signals = sim.pass(Duration::from_secs(3600));
    assert!(!signals.contains(&Action::Signal(sim.last(), Signal::Kill)));
}
