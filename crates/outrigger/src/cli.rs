//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::conform;

/// An API gateway that runs plugin runners beside it and calls them over a
/// unix socket.
#[derive(Debug, Parser)]
#[command(name = "outrigger", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// What the log tells: a level (error, warn, info, debug, trace), or levels
    /// by module such as "outrigger_host=debug,info" [default: info; of demo: warn].
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
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway in the foreground; the log goes to standard error.
    Run {
        /// The gateway's configuration; apisix.yaml lies beside it.
        #[arg(short, long, value_name = "FILE", default_value = "config.yaml")]
        config: PathBuf,
    },
    /// Check config.yaml and apisix.yaml without running anything.
    Check {
        /// The gateway's configuration; apisix.yaml lies beside it.
        #[arg(short, long, value_name = "FILE", default_value = "config.yaml")]
        config: PathBuf,
    },
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
