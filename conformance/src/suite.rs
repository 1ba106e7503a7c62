//! Plays the scenarios with one runner, in both modes.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::exclusions::Exclusions;
use crate::limits;
use crate::program::Program;
use crate::report::{Outcome, Report};
use crate::scenarios::{self, Scenario};
use crate::stage::{Mode, Stage};

/// The scenarios with these names, or all.
///
/// # Errors
/// There is none of one of the names.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<Scenario>, String> {
    let mut chosen = scenarios::all();
    if let Some(name) = names
        .iter()
        .find(|name| chosen.iter().all(|scenario| scenario.name != *name))
    {
        return Err(format!("no scenario {name:?}; --list names them"));
    }
    if !names.is_empty() {
        chosen.retain(|scenario| names.iter().any(|name| name == scenario.name));
    }
    Ok(chosen)
}

/// Plays `scenarios` with `program` in both modes and reports each.
pub(crate) fn play(
    program: &Program,
    scenarios: &[Scenario],
    exclusions: &Exclusions,
    report: &mut Report,
) {
    keep_panic_messages();
    for mode in Mode::ALL {
        let mut shared = None;
        for scenario in scenarios.iter().filter(|one| one.fits(program, mode)) {
            let outcome = match exclusions.reason(program.name, scenario.name) {
                Some(reason) => Outcome::Excluded(reason.to_owned()),
                None => perform(scenario, program, mode, &mut shared),
            };
            report.played(program.name, mode, scenario.name, outcome);
        }
    }
}

fn perform<'a>(
    scenario: &Scenario,
    program: &'a Program,
    mode: Mode,
    shared: &mut Option<Stage<'a>>,
) -> Outcome {
    message().take();
    let started = Instant::now();
    let played = catch_unwind(AssertUnwindSafe(|| {
        scenario.play(program, mode, shared);
    }));
    let mut why = match played {
        Ok(()) => String::new(),
        Err(_) => message()
            .take()
            .unwrap_or_else(|| "a panic without a message".to_owned()),
    };
    if let Some(stage) = shared {
        for violation in stage.upstream.take_violations() {
            why.push_str("\nthe upstream was sent what must not be sent: ");
            why.push_str(&violation);
        }
    }
    if why.is_empty() {
        return Outcome::Passed(started.elapsed());
    }
    // A stage on which something went wrong is not played on again.
    if let Some(stage) = shared.take() {
        let lines = stage.gateway.log().lines();
        let last = lines.len().saturating_sub(limits::FAILURE_LOG_LINES);
        why.push_str("\nthe gateway's log ends with\n");
        why.push_str(&lines[last..].join("\n"));
    }
    Outcome::Failed(why)
}

/// The message of the first panic since it was taken last.
fn message() -> std::sync::MutexGuard<'static, Option<String>> {
    static MESSAGE: Mutex<Option<String>> = Mutex::new(None);
    MESSAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A scenario fails by a panic, maybe on a thread of its own, and the first one
/// says why.
fn keep_panic_messages() {
    set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without a message");
        let place = panic.location().map(ToString::to_string);
        let place = place.unwrap_or_default();
        message().get_or_insert_with(|| format!("{text} ({place})"));
    }));
}
