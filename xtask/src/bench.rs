//! Benchmarks: builds the gateway and the program that measures it, as they are released,
//! and runs it.

use std::ffi::OsStr;

use crate::workspace;

/// Measures what many routes cost, with `args` as the program's arguments.
///
/// # Errors
/// If something does not build, or a measurement does not come about.
pub(crate) fn config(args: &[impl AsRef<OsStr>]) -> Result<(), String> {
    for package in ["outrigger", "outrigger-bench"] {
        let arguments = ["build", "--release", "--quiet", "--package", package];
        match workspace::cargo().args(arguments).status() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("{package} does not build: {status}")),
            Err(error) => return Err(format!("cannot run cargo: {error}")),
        }
    }
    let folder = workspace::target()?.join("release");
    let status = workspace::command(folder.join("outrigger-bench"))
        .arg("--gateway")
        .arg(folder.join("outrigger"))
        .args(args)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("bench: {status}")),
        Err(error) => Err(format!("cannot run the benchmark: {error}")),
    }
}
