//! Everything that must hold before a change is accepted, in the order in which
//! it is cheapest to fail.
//!
//! Steps are commands that a person can run alone. They share one target folder
//! and one set of features, so that dependencies are compiled once for tests and
//! once for checks.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::tally::Tally;
use crate::workspace;

/// Runs all steps up to the first that fails, and closes with a line that counts
/// tests.
///
/// # Errors
/// If there is nothing to run it with. That a step fails is told by the status,
/// so that the count stays the last line.
pub(crate) fn run() -> Result<ExitCode, String> {
    let steps = steps()?;
    let mut tally = Tally::default();
    let mut times = Vec::new();
    let mut failure = None;
    for (index, step) in steps.into_iter().enumerate() {
        println!("\n==> {}. {}: {}", index + 1, step.name, step.shown);
        let start = Instant::now();
        let name = step.name;
        let result = step.run(&mut tally);
        times.push((name, start.elapsed()));
        if let Err(error) = result {
            failure = Some(format!("step {} ({name}) failed: {error}", index + 1));
            break;
        }
    }
    print_times(&times);
    if let Some(failure) = &failure {
        println!("{failure}");
        // A step that fails without a failing test is a failure all the same.
        tally.failed = tally.failed.max(1);
    }
    println!("{tally}");
    Ok(if failure.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print_times(times: &[(&str, Duration)]) {
    println!();
    for (name, time) in times {
        println!("{:>7.1} s  {name}", time.as_secs_f64());
    }
}

struct Step {
    name: &'static str,
    shown: String,
    command: Command,
}

fn steps() -> Result<Vec<Step>, String> {
    let mut docs = cargo("doc --workspace --no-deps");
    docs.env("RUSTDOCFLAGS", "-D warnings");
    let mut kills = cargo("test --package outrigger --test gateway what_was_answered_survives");
    kills.env("OUTRIGGER_KILLS", "50");
    let steps = [
        ("tests", cargo("test --workspace")),
        ("kills during writes", kills),
        (
            "clippy",
            cargo("clippy --workspace --all-targets -- -D warnings"),
        ),
        ("format", cargo("fmt --all --check")),
        // A workspace of its own.
        (
            "format of fuzz/",
            cargo("fmt --manifest-path fuzz/Cargo.toml --check"),
        ),
        ("tidy", ourselves("tidy")?),
        ("generated code", ourselves("codegen --check")?),
        ("documentation", docs),
        ("dependencies", cargo_deny()?),
        ("fuzzing", ourselves("fuzz --seconds 10")?),
        ("conformance", ourselves("conformance")?),
    ];
    Ok(steps
        .map(|(name, command)| Step {
            name,
            shown: shown(&command),
            command,
        })
        .into())
}

impl Step {
    /// Runs the command, shows its output, and adds up the tests in it.
    fn run(mut self, tally: &mut Tally) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.shown);
        let command = self.command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let mut output = BufReader::new(child.stdout.take().expect("it was asked for"));
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            if let Some(found) = Tally::read(text.trim_end()) {
                *tally += found;
            }
            line.clear();
        }
        let status = child.wait().map_err(failed)?;
        if status.success() {
            Ok(())
        } else {
            Err(status.to_string())
        }
    }
}

fn cargo(arguments: &str) -> Command {
    let mut command = workspace::cargo();
    command.args(arguments.split(' '));
    command
}

/// Another command of this program.
fn ourselves(arguments: &str) -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let mut command = workspace::command(program);
    command.args(arguments.split(' '));
    Ok(command)
}

/// The one that `.ci/run` installed, or else the one in `PATH`.
fn cargo_deny() -> Result<Command, String> {
    let installed = workspace::target()?.join("tools/bin/cargo-deny");
    let program = if installed.is_file() {
        installed
    } else {
        PathBuf::from("cargo-deny")
    };
    let mut command = workspace::command(program);
    let arguments = "--locked check --hide-inclusion-graph licenses bans sources";
    command.args(arguments.split(' '));
    Ok(command)
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or_default().to_owned();
    let words = std::iter::once(name.as_os_str()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a step that is this shell script counts, and whether it passes.
    fn play(script: &str) -> (Tally, bool) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let step = Step {
            name: "a step",
            shown: shown(&command),
            command,
        };
        let mut tally = Tally::default();
        let passed = step.run(&mut tally).is_ok();
        (tally, passed)
    }

    #[test]
    fn tests_are_counted_over_all_the_output_of_a_step() {
        let script = "echo '3 passed, 0 failed'
            printf 'not \\377 text\\n'
            printf 'test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured'";
        assert_eq!(
            play(script),
            (
                Tally {
                    passed: 5,
                    failed: 0,
                    skipped: 1
                },
                true
            )
        );
    }

    #[test]
    fn a_step_passes_by_its_status_alone() {
        assert!(!play("echo '1 passed, 0 failed'; exit 1").1);
        assert!(play("cat").1, "there is nothing to read");
    }

    #[test]
    fn a_step_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["fmt", "--all"]);
        assert_eq!(shown(&command), "cargo fmt --all");
    }
}
