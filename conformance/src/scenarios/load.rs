//! What happens to the runner while many requests go on, and that none of them
//! fails or waits longer than it has to.

use std::time::Duration;

use outrigger_harness::{Signal, Traffic, eventually};
use serde_json::json;

use super::Scenario;
use crate::limits;
use crate::program::Program;
use crate::stage::{Mode, Setting, Stage};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::own("killed-under-load", killed).only(Mode::Cmd),
    Scenario::own("reloaded-under-load", reloaded).only(Mode::Cmd),
    Scenario::own("one-of-several-killed-under-load", one_of_several).only(Mode::Cmd),
];

fn killed(program: &Program, mode: Mode) {
    let stage = Stage::new(program, mode);
    let traffic = start(&stage);
    for _ in 0..rounds() {
        traffic.wait_more(limits::BETWEEN);
        kill_one(&stage, 1);
    }
    finish(&stage, traffic, "killed");
}

fn reloaded(program: &Program, mode: Mode) {
    let stage = Stage::new(program, mode);
    let traffic = start(&stage);
    for _ in 0..rounds() {
        traffic.wait_more(limits::BETWEEN);
        let mark = stage.gateway.log().mark();
        stage.gateway.signal(Signal::HUP);
        stage.gateway.log().wait_after(mark, LISTENS);
    }
    finish(&stage, traffic, "reloaded");
    eventually("those before are gone", || {
        stage.gateway.runners().len() == 1
    });
}

fn one_of_several(program: &Program, mode: Mode) {
    let setting = Setting {
        ext_plugin: json!({"instances": 2}),
        ..Setting::default()
    };
    let stage = Stage::with(program, mode, setting);
    stage.gateway.wait_log("runner=\"default/2\"");
    let traffic = start(&stage);
    for _ in 0..rounds() {
        traffic.wait_more(limits::BETWEEN);
        kill_one(&stage, 2);
    }
    finish(&stage, traffic, "one of two killed");
}

/// What the gateway logs of a process that is ready.
const LISTENS: &str = " listens on ";

fn start(stage: &Stage<'_>) -> Traffic {
    stage.plugins(&[stage.program.says("said")]);
    Traffic::start(stage.gateway.client(), "/", limits::CLIENTS)
}

/// Kills the oldest of `count` processes and waits for its successor.
fn kill_one(stage: &Stage<'_>, count: usize) {
    let runner = stage.gateway.wait_runners(count)[0];
    let mark = stage.gateway.log().mark();
    runner.signal(Signal::KILL);
    stage.gateway.log().wait_after(mark, LISTENS);
}

/// How often it happens: a few times, unless `OUTRIGGER_SOAK` says otherwise.
fn rounds() -> usize {
    soak().unwrap_or(limits::ROUNDS)
}

fn soak() -> Option<usize> {
    let rounds = std::env::var("OUTRIGGER_SOAK").ok()?;
    Some(rounds.parse().expect("OUTRIGGER_SOAK is a number"))
}

/// Every request was answered, none much later than the runner takes to start.
#[allow(
    clippy::print_stdout,
    reason = "the numbers are what a soak is run for"
)]
fn finish(stage: &Stage<'_>, traffic: Traffic, what: &str) {
    traffic.wait_more(limits::BETWEEN);
    let tally = traffic.stop();
    let start = slowest_start(stage);
    if soak().is_some() {
        println!(
            "  {} {what} {} times: {} requests, {} failed; slowest {} ms, slowest start {} ms",
            stage.program.name,
            rounds(),
            tally.total(),
            tally.total() - tally.statuses.get(&200).copied().unwrap_or(0),
            tally.slowest.as_millis(),
            start.as_millis(),
        );
    }
    assert!(tally.only(200), "{tally:?}");
    let more = limits::MORE_THAN_START.max(start / limits::FIRST_CALLS);
    assert!(
        soak().is_none() || tally.slowest <= start + more,
        "a request took {:?}, longer than the runner takes to start ({start:?}) and {more:?}",
        tally.slowest,
    );
}

/// The longest that a process of the runner took from its spawn until it was
/// seen to listen.
fn slowest_start(stage: &Stage<'_>) -> Duration {
    let log = stage.gateway.log();
    let lines = log.lines();
    let starts = lines.iter().filter_map(|line| {
        let after = line.split_once(LISTENS)?.1.split_once(" after ")?.1;
        after.split_once(" ms")?.0.parse().ok()
    });
    Duration::from_millis(starts.max().expect("a process was ready"))
}
