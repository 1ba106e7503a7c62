//! The table of what was played: a line each, as it is known, and a closing
//! count.

use std::time::Duration;

use crate::limits;
use crate::protocol::{Counts, Rules};
use crate::scenarios::Scenario;
use crate::stage::Mode;

/// What became of a scenario.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed(Duration),
    Failed(String),
    Excluded(String),
}

/// Counts outcomes and prints them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: usize,
    failed: usize,
    skipped: usize,
    excluded: usize,
}

impl Report {
    /// The runner `name` is being built, which may take a while.
    pub(crate) fn building(&self, name: &str) {
        print(&format!("building {name}"));
    }

    /// A scenario was played, or not.
    pub(crate) fn played(&mut self, runner: &str, mode: Mode, scenario: &str, outcome: Outcome) {
        let (count, result) = match outcome {
            Outcome::Passed(took) => (&mut self.passed, format!("ok        {took:.1?}")),
            Outcome::Failed(why) => (&mut self.failed, format!("FAIL      {}", shortened(&why))),
            Outcome::Excluded(reason) => (&mut self.excluded, format!("excluded  {reason}")),
        };
        *count += 1;
        print(&format!("{runner:6} {mode:14} {scenario:37} {result}"));
    }

    /// What came of the protocol's rules, of which those are shown that are not
    /// simply kept.
    pub(crate) fn protocol(&mut self, runner: &str, rules: &Rules) {
        for rule in &rules.rules {
            let word = rule.standing();
            if word == "right" {
                continue;
            }
            let mut seen = rule.seen.clone();
            if let Some(reason) = &rule.excluded {
                seen.push_str("\nknown: ");
                seen.push_str(reason);
            }
            let (rule, seen) = (&rule.rule, shortened(seen.trim_start()));
            print(&format!(
                "{runner:6} {:14} {rule:37} {word:12} {seen}",
                "protocol"
            ));
        }
        let Counts {
            right,
            differently,
            wrong,
            excluded,
            unneeded,
            not_tested,
        } = rules.counts;
        print(&format!(
            "{runner:6} {:14} {right} right, {differently} differently, {wrong} wrong, \
             {excluded} excluded, {unneeded} excluded without need, {not_tested} not tested",
            "protocol"
        ));
        self.passed += right + differently;
        self.failed += wrong + unneeded;
        self.excluded += excluded;
    }

    /// The protocol's rules could not be tried.
    pub(crate) fn protocol_failed(&mut self, runner: &str, why: &str) {
        self.failed += 1;
        print(&format!(
            "{runner:6} {:14} FAIL      {}",
            "protocol",
            shortened(why)
        ));
    }

    /// A runner cannot be tested here.
    pub(crate) fn skipped(&mut self, runner: &str, why: &str) {
        self.skipped += 1;
        print(&format!("{runner:6} skipped: {why}"));
    }

    /// A runner cannot be tested here, and should be.
    pub(crate) fn failed_to_find(&mut self, runner: &str, why: &str) {
        self.failed += 1;
        print(&format!(
            "{runner:6} FAIL: {why}, and CI=true skips nothing"
        ));
    }

    /// Prints the closing line. Whether nothing failed.
    pub(crate) fn finish(self) -> bool {
        let Self {
            passed,
            failed,
            skipped,
            excluded,
        } = self;
        if excluded > 0 {
            print(&format!("{excluded} excluded, each with its reason above"));
        }
        print(&format!(
            "{passed} passed, {failed} failed, {skipped} skipped"
        ));
        failed == 0
    }
}

/// Prints the names of the scenarios.
pub(crate) fn list(scenarios: &[Scenario]) {
    for scenario in scenarios {
        print(scenario.name);
    }
}

fn shortened(why: &str) -> String {
    let mut lines = why.lines();
    let mut shown: Vec<_> = lines.by_ref().take(limits::FAILURE_LINES).collect();
    let left = lines.count();
    let more = format!("… {left} more lines");
    if left > 0 {
        shown.push(&more);
    }
    shown.join("\n          ")
}

#[allow(clippy::print_stdout, reason = "the table is what the program is for")]
fn print(line: &str) {
    println!("{line}");
}
