//! `outrigger conform`: tries a runner against the protocol's conformance suite
//! and prints what came of it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args};
use outrigger_config::EnvRule;
use outrigger_conform::{self as conform, Exclusions, Options, Played, Profile, Target, Times};

use crate::Failure;
use crate::run::{Signals, control_runtime};
use crate::runners::environment::of_runner;

// Not a doc comment, which would become the command's help.
// What the suite is told on the command line.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("runner").args(["address", "cmd", "list"]).required(true))]
pub(crate) struct Arguments {
    /// Where a runner listens: a path, with or without "unix:" before it.
    #[arg(value_name = "ADDRESS")]
    address: Option<PathBuf>,
    /// What starts the runner: a program and its arguments. Everything after
    /// --cmd belongs to it, so it comes last.
    #[arg(long, value_name = "PROGRAM", num_args = 1.., allow_hyphen_values = true)]
    cmd: Option<Vec<OsString>>,
    /// An environment variable for --cmd, NAME=VALUE, or NAME to pass one of ours;
    /// may be repeated. PATH, HOME, LANG, TZ and TMPDIR always pass.
    #[arg(long, value_name = "NAME[=VALUE]", requires = "cmd")]
    env: Vec<String>,
    /// Which plugins of the runner do what, in YAML or JSON.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// A plugin with its configuration and what it does; may be repeated.
    #[arg(long, value_name = "NAME=CONF:BEHAVIOUR")]
    plugin: Vec<String>,
    /// Only this rule; may be repeated.
    #[arg(long, value_name = "NAME")]
    rule: Vec<String>,
    /// Rules that the runner is known to break, with reasons, in YAML or JSON.
    #[arg(long, value_name = "FILE")]
    exclusions: Option<PathBuf>,
    /// How long the runner may take for an answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Print the rules and try nothing.
    #[arg(long)]
    list: bool,
}

/// A rule is broken that is not known to be, or one is said to be that is not.
const BROKEN: u8 = 1;

/// The suite could not be played.
const NOT_PLAYED: u8 = 2;

/// Plays the suite. The exit code is 0 where nothing is wrong, 1 where a rule is
/// broken, 2 where nothing could be tried.
pub(crate) fn conform(arguments: Arguments) -> Result<ExitCode, Failure> {
    if arguments.list {
        print(&conform::list());
        return Ok(ExitCode::SUCCESS);
    }
    match play(arguments) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::from(BROKEN)),
        Err(error) => {
            crate::complain(&error.to_string());
            Ok(ExitCode::from(NOT_PLAYED))
        }
    }
}

/// Whether nothing is wrong.
fn play(arguments: Arguments) -> Result<bool, Failure> {
    let json = arguments.json;
    let (target, options) = read(arguments)?;
    let mut section = None;
    let show = |played: &Played| {
        if !json {
            print(&conform::heading(&mut section, played));
            print(&played.row());
        }
    };
    let report = control_runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let suite = conform::run(target, options, show);
        tokio::select! {
            report = suite => Ok::<_, Failure>(report?),
            // Dropped, the suite ends the processes that it started.
            _ = signals.next() => Err("stopped by a signal".into()),
        }
    })?;
    if json {
        print(&format!("{:#}\n", report.json()));
    } else {
        print(&format!("\n{}", report.summary()));
    }
    Ok(report.passed())
}

fn read(arguments: Arguments) -> Result<(Target, Options), Failure> {
    let mut profile = match &arguments.profile {
        Some(path) => Profile::load(path)?,
        None => Profile::default(),
    };
    for plugin in &arguments.plugin {
        profile.add(plugin)?;
    }
    let exclusions = match &arguments.exclusions {
        Some(path) => Exclusions::load(path)?,
        None => Exclusions::default(),
    };
    let options = Options {
        times: Times {
            answer: Duration::from_millis(arguments.timeout),
            ..Times::default()
        },
        profile,
        exclusions,
        rules: arguments.rule,
    };
    let target = match (arguments.address, arguments.cmd) {
        (Some(address), _) => Target::at(&address),
        (None, Some(argv)) => Target::Command(conform::Command {
            argv,
            env: environment(&arguments.env),
        }),
        (None, None) => return Err("an address or --cmd is needed".into()),
    };
    Ok((target, options))
}

/// What the runner gets of our environment: what a gateway passes undeclared, and
/// what is named.
fn environment(named: &[String]) -> Vec<(OsString, OsString)> {
    let rules: Vec<_> = named
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) => EnvRule::Set(name.to_owned(), value.to_owned()),
            None => EnvRule::Pass(text.clone()),
        })
        .collect();
    of_runner(&rules, |name| std::env::var_os(name))
}

#[allow(
    clippy::print_stdout,
    reason = "what the command finds goes to standard output"
)]
fn print(text: &str) {
    use std::io::Write as _;
    // Whoever closes the pipe has seen enough.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}
