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

mod bench;
mod ci;
mod codegen;
mod conformance;
mod fuzz;
mod tally;
mod tidy;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
Chores of the workspace.

  cargo xtask ci                 everything that a change must pass
  cargo xtask tidy               dependency arrows, sizes, paths of a machine
  cargo xtask codegen [--check]  generate the protocol's code, or only compare it
  cargo xtask bench config [--routes N] [--seconds N]
                                 what 10,000 or N routes cost, and changing one
  cargo xtask conformance [--only RUNNER] [--scenario NAME] [--protocol] [--list]
                                 real runners behind a real gateway, and the
                                 protocol's rules
  cargo xtask soak [N] [--only RUNNER]
                                 real runners killed and reloaded 50 or N times under load
  cargo xtask fuzz [--seconds N] [TARGET]
                                 run each fuzz target, or one, for 10 or N seconds
";

/// How long each target is fuzzed unless told otherwise.
const FUZZ_SECONDS: u64 = 10;

/// How often each thing happens in a soak unless told otherwise.
const SOAK_ROUNDS: &str = "50";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["ci"] => ci::run(),
        ["tidy"] => done(tidy::run()),
        ["codegen"] => done(codegen::run(false)),
        ["codegen", "--check"] => done(codegen::run(true)),
        ["bench", "config", ref rest @ ..] => done(bench::config(rest)),
        ["conformance", ref rest @ ..] => done(conformance::run(rest)),
        ["soak", rounds, ref rest @ ..] if !rounds.starts_with('-') => {
            done(conformance::soak(rounds, rest))
        }
        ["soak", ref rest @ ..] => done(conformance::soak(SOAK_ROUNDS, rest)),
        ["fuzz", ref rest @ ..] => {
            fuzz_arguments(rest).and_then(|(seconds, target)| done(fuzz::run(seconds, target)))
        }
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

/// How long to fuzz in seconds, and what if not everything.
fn fuzz_arguments<'a>(arguments: &[&'a str]) -> Result<(u64, Option<&'a str>), String> {
    let (seconds, rest) = match *arguments {
        ["--seconds", seconds, ref rest @ ..] => (
            seconds
                .parse()
                .map_err(|error| format!("--seconds {seconds}: {error}"))?,
            rest,
        ),
        ref rest => (FUZZ_SECONDS, rest),
    };
    match *rest {
        [] => Ok((seconds, None)),
        [target] if !target.starts_with('-') => Ok((seconds, Some(target))),
        _ => Err(format!("fuzz: what is `{}`?\n\n{USAGE}", rest.join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzzing_takes_a_time_and_a_target() {
        assert_eq!(fuzz_arguments(&[]), Ok((FUZZ_SECONDS, None)));
        assert_eq!(
            fuzz_arguments(&["frame"]),
            Ok((FUZZ_SECONDS, Some("frame")))
        );
        assert_eq!(
            fuzz_arguments(&["--seconds", "3", "frame"]),
            Ok((3, Some("frame")))
        );
        for wrong in [
            &["--seconds"][..],
            &["--seconds", "x"],
            &["a", "b"],
            &["--fast"],
        ] {
            assert!(fuzz_arguments(wrong).is_err(), "{wrong:?}");
        }
    }
}
