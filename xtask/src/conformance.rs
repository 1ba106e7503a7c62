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

fn build(package: &str) -> Result<(), String> {
    let arguments = ["build", "--quiet", "--package", package];
    let status = workspace::cargo().args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{package} does not build: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}
