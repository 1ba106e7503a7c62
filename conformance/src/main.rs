//! Real runners behind a real gateway: builds a Go and a Java runner with
//! plugins as a user would write them, starts them with `ext-plugin.cmd` and on
//! `path_for_test`, and sees whether everything works that the protocol
//! promises. Our own demo runner plays in a smaller list of scenarios. Then each
//! is tried against the protocol's rules by `outrigger conform`.
//!
//! `cargo xtask conformance` builds the gateway and runs it.

mod exclusions;
mod limits;
mod program;
mod protocol;
mod record;
mod recording;
mod report;
mod scenarios;
mod stage;
mod suite;

use std::path::PathBuf;
use std::process::ExitCode;

use exclusions::Exclusions;
use program::{Found, NAMES, Program};
use report::Report;
use scenarios::Scenario;

const USAGE: &str = "\
Usage: outrigger-conformance --gateway PROGRAM [OPTION]…

  --gateway PROGRAM  the gateway to test
  --only RUNNER      go, java or demo; may be repeated
  --scenario NAME    only this scenario; may be repeated
  --protocol         only the protocol's rules, which no gateway takes part in
  --list             name the scenarios and run none
  --record FOLDER    record frames of the runner that --only names, for golden
                     captures, and run nothing else

With CI=true in the environment, a runner whose tools are missing is a failure.
";

#[derive(Default)]
struct Arguments {
    gateway: Option<PathBuf>,
    only: Vec<String>,
    scenarios: Vec<String>,
    protocol: bool,
    list: bool,
    record: Option<PathBuf>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--gateway" => arguments.gateway = Some(value()?.into()),
                "--only" => arguments.only.push(value()?),
                "--scenario" => arguments.scenarios.push(value()?),
                "--record" => arguments.record = Some(value()?.into()),
                "--protocol" => arguments.protocol = true,
                "--list" => arguments.list = true,
                _ => return Err(format!("unknown argument {word}\n\n{USAGE}")),
            }
        }
        let unknown = |name: &&String| !NAMES.contains(&name.as_str());
        if let Some(name) = arguments.only.iter().find(unknown) {
            return Err(format!("--only {name}: there are {NAMES:?}"));
        }
        if arguments.record.is_some() && arguments.only.len() != 1 {
            return Err("--record needs one runner, which --only names".to_owned());
        }
        Ok(arguments)
    }
}

#[allow(clippy::print_stderr, reason = "the program's way to report")]
fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing failed.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let scenarios = suite::chosen(&arguments.scenarios)?;
    if arguments.list {
        report::list(&scenarios);
        return Ok(true);
    }
    let gateway = arguments.gateway.as_ref().ok_or(USAGE)?;
    let gateway = gateway
        .canonicalize()
        .map_err(|error| format!("{}: {error}", gateway.display()))?;
    let exclusions = Exclusions::load(&scenarios::all())?;
    let mut report = Report::default();
    for name in NAMES {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|only| only == name) {
            continue;
        }
        report.building(name);
        match program::build(name, &gateway)? {
            Found::Missing(why) if is_ci() => report.failed_to_find(name, &why),
            Found::Missing(why) => report.skipped(name, &why),
            Found::Ready(program) => match &arguments.record {
                Some(folder) => recording::record(&program, folder)?,
                None => play(arguments, &program, &scenarios, &exclusions, &mut report),
            },
        }
    }
    Ok(arguments.record.is_some() || report.finish())
}

/// Plays the scenarios, and the protocol's rules where nobody chose among the
/// scenarios.
fn play(
    arguments: &Arguments,
    program: &Program,
    scenarios: &[Scenario],
    exclusions: &Exclusions,
    report: &mut Report,
) {
    if !arguments.protocol {
        suite::play(program, scenarios, exclusions, report);
    }
    if arguments.protocol || arguments.scenarios.is_empty() {
        match protocol::play(program) {
            Ok(rules) => report.protocol(program.name, &rules),
            Err(why) => report.protocol_failed(program.name, &why),
        }
    }
}

fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
