//! `outrigger run`: the gateway in the foreground until a signal ends it.

use std::path::Path;

use outrigger_config::Settings;
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::gateway::Gateway;
use crate::log_level::LogLevels;
use crate::remote::Wish;
use crate::source::env;

pub(crate) fn run(config: &Path, levels: &LogLevels) -> Result<(), Failure> {
    let settings = Settings::load(config, &env)?;
    levels.set(settings.log_level);
    control_runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let mut gateway = Gateway::start(settings, None).await?;
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    // What is wrong has been logged.
                    Signal::Reload => drop(reload(config, levels, &mut gateway).await),
                    Signal::Reopen => gateway.reopen_logs(),
                    Signal::Stop => break,
                },
                wish = gateway.wish() => grant(wish, config, levels, &mut gateway).await,
            }
        }
        gateway.stop().await;
        Ok(())
    })
}

async fn reload(config: &Path, levels: &LogLevels, gateway: &mut Gateway) -> Result<(), Failure> {
    let reloaded = match Settings::load(config, &env) {
        Ok(settings) => {
            let level = settings.log_level;
            let reloaded = gateway.reload(settings).await;
            reloaded.inspect(|()| levels.set(level))
        }
        Err(report) => Err(report.into()),
    };
    reloaded.inspect_err(|error| tracing::error!("{error}; nothing was reloaded"))
}

/// Does what was wished. Whoever has gone meanwhile gets no answer.
async fn grant(wish: Wish, config: &Path, levels: &LogLevels, gateway: &mut Gateway) {
    match wish {
        Wish::Runners(reply) => drop(reply.send(gateway.fleet().list())),
        Wish::Command {
            runner,
            command,
            reply,
        } => drop(reply.send(gateway.fleet().command(&runner, command))),
        Wish::Reload(reply) => {
            let reloaded = reload(config, levels, gateway).await;
            drop(reply.send(reloaded.map_err(|error| error.to_string())));
        }
    }
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
    /// SIGUSR1.
    Reopen,
    /// SIGTERM, SIGQUIT or SIGINT.
    Stop,
}

pub(crate) struct Signals {
    hangup: tokio::signal::unix::Signal,
    user1: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.user1.recv() => Signal::Reopen,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.quit.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
        }
    }
}
