//! The machine in simulated time.

use super::*;

const GRACE: Duration = Duration::from_secs(1);

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
        Self::with(true)
    }

    fn with(overlap: bool) -> Self {
        let start = Instant::now();
        Self {
            machine: Machine::new(start, terms(overlap)),
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
                    self.failed.push(delay);
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

    fn restart(&mut self, overlap: bool) {
        self.machine.restart(self.now, terms(overlap));
    }
}

fn terms(overlap: bool) -> Terms {
    let backoff = Backoff {
        first: ms(100),
        max: ms(3000),
    };
    Terms {
        stop_grace: GRACE,
        backoff,
        overlap,
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
    Action::Report(
        generation,
        Notice::Retired {
            drain: limits::RESTART_DRAIN,
        },
    )
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
    let reports = sim.pass(Duration::from_secs(240));
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
fn processes_that_die_are_replaced_after_growing_delays() {
    let mut sim = Sim::new();
    let mut delays = Vec::new();
    for _ in 0..7 {
        sim.pass(ms(10));
        let departure = sim.exit(sim.last());
        assert!(!departure.requested);
        let before = sim.now;
        let seen = sim.settle();
        let [Action::ReportRespawn(delay)] = seen[..] else {
            panic!("{seen:?}")
        };
        sim.pass(delay);
        assert_eq!(sim.spawned.last().unwrap().1, before + delay - sim.start);
        delays.push(delay);
    }
    assert_eq!(delays, [100, 200, 400, 800, 1600, 3000, 3000].map(ms));
}

#[test]
fn a_process_that_lived_long_enough_is_replaced_without_much_delay() {
    let mut sim = Sim::new();
    for _ in 0..5 {
        sim.pass(ms(3100));
        sim.exit(sim.last());
    }
    sim.pass(ms(3100));
    sim.settle();
    sim.pass(limits::STABLE_AFTER);
    sim.exit(sim.last());
    assert_eq!(sim.settle(), [Action::ReportRespawn(ms(100))]);
}

#[test]
fn a_failed_spawn_is_tried_again_after_growing_delays() {
    let mut sim = Sim::new();
    sim.spawns = false;
    sim.pass(Duration::from_secs(10));
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
    sim.restart(true);
    assert_eq!(sim.pass(ms(1000)), [], "the old one serves until then");
    let new = sim.last();
    assert_ne!(old, new);
    sim.listens = true;
    let seen = sim.pass(ms(100));
    assert!(matches!(seen[0], Action::Report(it, Notice::Ready { .. }) if it == new));
    assert_eq!(seen[1..], [retired(old)]);
    assert_eq!(sim.pass(limits::RESTART_DRAIN), terminated(old));
    assert!(sim.exit(old).requested);
    assert_eq!(sim.pass(ms(5000)), [], "the old one is not replaced");
}

#[test]
fn a_retired_process_without_calls_is_stopped_at_once() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    let old = sim.last();
    sim.restart(true);
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
    sim.restart(true);
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
    sim.restart(true);
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
    sim.restart(true);
    sim.pass(ms(10));
    let given_up = sim.last();
    sim.restart(true);
    assert_eq!(sim.pass(ms(1)), terminated(given_up));
    assert_eq!(sim.spawned.len(), 3);
}

#[test]
fn at_most_one_replaced_process_is_left_to_end_its_calls() {
    let mut sim = Sim::new();
    sim.pass(ms(100));
    let first = sim.last();
    sim.restart(true);
    sim.pass(ms(10));
    let second = sim.last();
    sim.restart(true);
    let seen = sim.pass(ms(10));
    let expected = [
        &[ready(sim.last(), limits::PROBE_FIRST)][..],
        &terminated(first),
    ]
    .concat();
    assert_eq!(seen, [&expected[..], &[retired(second)]].concat());
}

#[test]
fn with_a_fixed_path_the_old_process_ends_before_the_new_one_is_spawned() {
    let mut sim = Sim::with(false);
    sim.pass(ms(100));
    let old = sim.last();
    sim.restart(false);
    assert_eq!(sim.pass(ms(500)), terminated(old));
    assert_eq!(sim.spawned.len(), 1);
    sim.exit(old);
    assert_eq!(sim.pass(ms(10)), [ready(sim.last(), limits::PROBE_FIRST)]);
    assert_eq!(sim.spawned.len(), 2);
}

#[test]
fn a_restart_ends_a_backoff() {
    let mut sim = Sim::new();
    sim.spawns = false;
    sim.pass(Duration::from_secs(10));
    sim.spawns = true;
    sim.restart(true);
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
    sim.restart(true);
    sim.pass(ms(10));
    let new = sim.last();
    sim.machine.stop(sim.now);
    sim.restart(true);
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
        stop_grace: Duration::MAX,
        backoff,
        overlap: true,
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
