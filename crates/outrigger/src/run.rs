//! `outrigger run`: the gateway in the foreground until a signal ends it.

use std::path::Path;

use outrigger_config::Settings;
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::gateway::Gateway;
use crate::source::env;

pub(crate) fn run(config: &Path) -> Result<(), Failure> {
    let settings = Settings::load(config, &env)?;
    control_runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let mut gateway = Gateway::start(settings, None).await?;
        while let Signal::Reload = signals.next().await {
            match Settings::load(config, &env) {
                Ok(settings) => gateway.reload(settings),
                Err(report) => tracing::error!("{report}; nothing was reloaded"),
            }
        }
        gateway.stop().await;
        Ok(())
    })
}

/// The control thread's runtime: configuration, signals, runners' processes.
/// Requests never run here.
pub(crate) fn control_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// What the gateway is told from outside.
pub(crate) enum Signal {
    /// SIGHUP.
    Reload,
    /// SIGTERM, SIGQUIT or SIGINT.
    Stop,
}

pub(crate) struct Signals {
    hangup: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.quit.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
        }
    }
}
