//! The conformance suite with real runners: builds the gateway and the suite,
//! which builds the runners and plays.

use std::ffi::OsStr;

use crate::workspace;

/// Runs the suite with `args` as its arguments.
///
/// # Errors
/// If something does not build, or a scenario fails.
pub(crate) fn run(args: &[impl AsRef<OsStr>]) -> Result<(), String> {
    build("outrigger")?;
    build("outrigger-conformance")?;
    // The profile of the tests: it is built already when they have been run.
    let folder = workspace::target()?.join("debug");
    let status = workspace::command(folder.join("outrigger-conformance"))
        .arg("--gateway")
        .arg(folder.join("outrigger"))
        .args(args)
        .status()
        .map_err(|error| format!("cannot run the conformance suite: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err("conformance: not everything passed".to_owned())
}

/// The scenarios in which something happens to the runner under load, `rounds`
/// times each, with optimised programs.
///
/// # Errors
/// As those of [`run`].
pub(crate) fn soak(rounds: &str, args: &[impl AsRef<OsStr>]) -> Result<(), String> {
    if rounds.parse::<u32>().is_err() {
        return Err(format!("soak: {rounds:?} is no number of rounds"));
    }
    build("outrigger-conformance")?;
    build_optimised("outrigger")?;
    let target = workspace::target()?;
    let scenarios = SOAK.iter().flat_map(|name| ["--scenario", name]);
    let status = workspace::command(target.join("debug/outrigger-conformance"))
        .env("OUTRIGGER_SOAK", rounds)
        .arg("--gateway")
        .arg(target.join("release/outrigger"))
        .args(scenarios)
        .args(args)
        .status()
        .map_err(|error| format!("cannot run the conformance suite: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err("soak: not everything passed".to_owned())
}

const SOAK: [&str; 3] = [
    "killed-under-load",
    "reloaded-under-load",
    "one-of-several-killed-under-load",
];

fn build_optimised(package: &str) -> Result<(), String> {
    cargo(
        &["build", "--quiet", "--release", "--package", package],
        package,
    )
}

fn build(package: &str) -> Result<(), String> {
    cargo(&["build", "--quiet", "--package", package], package)
}

fn cargo(arguments: &[&str], package: &str) -> Result<(), String> {
    let status = workspace::cargo().args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{package} does not build: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}
