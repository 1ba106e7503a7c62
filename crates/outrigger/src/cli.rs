//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::carry::Format;
use crate::conform;

/// An API gateway that runs plugin runners beside it and calls them over a
/// unix socket.
#[derive(Debug, Parser)]
#[command(name = "outrigger", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// What the log tells: a level (error, warn, info, debug, trace), or levels
    /// by module such as "outrigger_host=debug,info" [default: nginx_config.error_log_level, else info; of demo: warn].
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// What the log tells. The demo tells its story instead, unless asked.
    pub(crate) fn log(&self) -> &str {
        let usual = if matches!(self.command, Command::Demo) {
            "warn"
        } else {
            "info"
        };
        self.log.as_deref().unwrap_or(usual)
    }

    /// Whether somebody has said here what the log tells.
    pub(crate) fn says_log(&self) -> bool {
        self.log.is_some()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway in the foreground; the log goes to standard error.
    Run {
        /// The gateway's configuration; apisix.yaml lies beside it.
        #[arg(short, long, value_name = "FILE", default_value = "config.yaml")]
        config: PathBuf,
    },
    /// Check config.yaml and all resources without running anything: status 0 if all is
    /// well, 1 if something is wrong, 2 if there was something that could not be looked at.
    Check {
        /// The gateway's configuration; its resources are looked for where it says.
        #[arg(short, long, value_name = "FILE", default_value = "config.yaml")]
        config: PathBuf,
    },
    /// Write all resources as one document, as apisix.yaml or apisix.json take it; of a
    /// gateway that runs or does not.
    Export(ExportArguments),
    /// Bring the resources of such a document into the gateway's store: all of them, or
    /// none if anything is wrong with one; of a gateway that runs or does not.
    Import(ImportArguments),
    /// Have a running gateway read config.yaml again and restart its runners, as SIGHUP does.
    Reload {
        #[command(flatten)]
        target: Target,
    },
    /// Look at the runners of a running gateway, and restart, stop and start them.
    Runner {
        #[command(subcommand)]
        command: RunnerCommand,
    },
    /// Show the gateway at work: an echo upstream, the gateway and a runner, on free loopback ports.
    Demo,
    /// Run the demo's plugin runner; the gateway starts it by ext-plugin.cmd.
    DemoRunner,
    /// Try a plugin runner against the protocol's conformance suite.
    Conform(conform::Arguments),
}

/// What is exported, and where to.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The gateway's configuration.
    #[arg(short, long, value_name = "FILE", default_value = "config.yaml")]
    pub(crate) config: PathBuf,
    /// How to write it [default: as the name of the file says, otherwise yaml].
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The file to write, which nobody but its owner may read then; standard output
    /// without it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write it to a terminal too, although it holds secrets.
    #[arg(long)]
    pub(crate) secrets: bool,
}

/// What is imported, and how.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The gateway's configuration.
    #[arg(short, long, value_name = "FILE", default_value = "config.yaml")]
    pub(crate) config: PathBuf,
    /// How the file is written [default: as its name says, otherwise yaml].
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Delete what is not in the file; without this it stays.
    #[arg(long)]
    pub(crate) replace: bool,
    /// The document; - for standard input.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunnerCommand {
    /// Show every process of every runner.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Start a new process, switch calls over, stop the old one.
    Restart {
        #[command(flatten)]
        runner: RunnerTarget,
    },
    /// Stop a runner until it is started, restarted, or the gateway is reloaded.
    Stop {
        #[command(flatten)]
        runner: RunnerTarget,
    },
    /// Start a runner that was stopped.
    Start {
        #[command(flatten)]
        runner: RunnerTarget,
    },
}

/// Which runner of which gateway.
#[derive(Debug, Args)]
pub(crate) struct RunnerTarget {
    /// The runner's name in config.yaml; `default` for the one without.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) gateway: Target,
}

/// Which gateway is spoken to.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The gateway's configuration, which says where its control API listens.
    #[arg(short, long, value_name = "FILE", default_value = "config.yaml")]
    pub(crate) config: PathBuf,
    /// Where the gateway's control API listens; the configuration is not read then.
    #[arg(long, value_name = "IP:PORT", conflicts_with = "config")]
    pub(crate) control: Option<SocketAddr>,
}
