//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

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
    /// Show the gateway at work: an echo upstream, the gateway and a runner, on free loopback ports.
    Demo,
    /// Run the demo's plugin runner; the gateway starts it by ext-plugin.cmd.
    DemoRunner,
}
