//! The `outrigger` command: wires configuration, runners and proxy together.

mod access_log;
mod admin;
mod apis;
mod carry;
mod check;
mod cli;
mod client;
mod conform;
mod control;
mod demo;
mod demo_runner;
mod gateway;
mod health;
mod local;
mod log_level;
mod memory;
mod offline;
mod plugins;
mod proxy_settings;
mod remote;
mod run;
mod runners;
mod runtime_dir;
mod source;
mod traces;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use log_level::LogLevels;
use outrigger_telemetry::log::Style;

/// What ends a command: a message for the person who gave it.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A runner's lines get their time from the log of whoever runs it.
    let time = !matches!(cli.command, Command::DemoRunner);
    match log_to_stderr(&cli, time).and_then(|levels| dispatch(cli.command, &levels)) {
        Ok(code) => code,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command, levels: &LogLevels) -> Result<ExitCode, Failure> {
    match command {
        Command::Run { config } => run::run(&config, levels)?,
        Command::Check { config } => return check::check(&config),
        Command::Export(arguments) => carry::export(&arguments)?,
        Command::Import(arguments) => carry::import(&arguments)?,
        Command::Reload { target } => control::reload(&target)?,
        Command::Runner { command } => control::runner(command)?,
        Command::Demo => demo::run()?,
        Command::DemoRunner => demo_runner()?,
        Command::Conform(arguments) => return conform::conform(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn demo_runner() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(demo_runner::run())?)
}

fn log_to_stderr(cli: &Cli, time: bool) -> Result<LogLevels, Failure> {
    let style = Style {
        colour: std::io::stderr().is_terminal(),
        time,
    };
    let (subscriber, filter) = outrigger_telemetry::log::subscriber(cli.log(), style)?;
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(LogLevels::new(filter, cli.says_log()))
}

#[allow(
    clippy::print_stderr,
    reason = "a command line's error goes to standard error"
)]
pub(crate) fn complain(message: &str) {
    // Every line says whose it is: a report has one for each problem.
    for line in message.lines() {
        eprintln!("outrigger: {line}");
    }
}
