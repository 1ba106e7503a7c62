//! The conformance suite with real runners: builds the gateway and the suite,
//! which builds the runners and plays.

use std::ffi::OsStr;
use std::process::Command;

use crate::workspace;

/// The scenarios in which something happens to the runner under load.
const SOAK: [&str; 3] = [
    "killed-under-load",
    "reloaded-under-load",
    "one-of-several-killed-under-load",
];

/// Tells these scenarios how often it happens.
const ROUNDS: &str = "OUTRIGGER_SOAK";

/// Runs the suite with `args` as its arguments.
///
/// # Errors
/// If something does not build, or a scenario fails.
pub(crate) fn run(args: &[impl AsRef<OsStr>]) -> Result<(), String> {
    play(suite()?.args(args))
}

/// As [`run`], but only what happens under load, `rounds` times each.
///
/// # Errors
/// `rounds` is no number; those of [`run`].
pub(crate) fn soak(rounds: &str, args: &[impl AsRef<OsStr>]) -> Result<(), String> {
    if rounds.parse::<u32>().is_err() {
        return Err(format!("soak: {rounds:?} is no number of rounds"));
    }
    let scenarios = SOAK.iter().flat_map(|name| ["--scenario", name]);
    play(suite()?.env(ROUNDS, rounds).args(scenarios).args(args))
}

/// The suite and the gateway it plays with, built: in the profile of the tests, so
/// that they are there already when those have been run.
fn suite() -> Result<Command, String> {
    build("outrigger")?;
    build("outrigger-conformance")?;
    let folder = workspace::target()?.join("debug");
    let mut suite = workspace::command(folder.join("outrigger-conformance"));
    suite.arg("--gateway").arg(folder.join("outrigger"));
    Ok(suite)
}

fn play(suite: &mut Command) -> Result<(), String> {
    let status = suite
        .status()
        .map_err(|error| format!("cannot run the conformance suite: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err("conformance: not everything passed".to_owned())
}

fn build(package: &str) -> Result<(), String> {
    let arguments = ["build", "--quiet", "--package", package];
    let status = workspace::cargo().args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{package} does not build: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}
