//! Chores of the workspace: `cargo xtask` shows them.
//!
//! The rules of the project are code here, so that a person need not remember
//! them and a reviewer need not repeat them. It deliberately does nothing that
//! a stock tool does.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a command-line tool"
)]

mod ci;
mod tally;
mod tidy;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
Chores of the workspace.

  cargo xtask ci                 everything that a change must pass
  cargo xtask tidy               dependency arrows, sizes, paths of a machine
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["ci"] => ci::run(),
        ["tidy"] => done(tidy::run()),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(format!("what is `{}`?\n\n{USAGE}", arguments.join(" "))),
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::FAILURE
    })
}

fn done(result: Result<(), String>) -> Result<ExitCode, String> {
    result.map(|()| ExitCode::SUCCESS)
}
