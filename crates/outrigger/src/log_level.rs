//! What the log tells: what the command line says, or else `config.yaml`.

use outrigger_config::LogLevel;
use outrigger_telemetry::log::Filter;

/// Says what the log tells.
pub(crate) struct LogLevels {
    filter: Filter,
    /// Whether the command line has said it, which is the last word then.
    settled: bool,
}

/// Where nobody says anything.
const USUAL: &str = "info";

impl LogLevels {
    pub(crate) fn new(filter: Filter, settled: bool) -> Self {
        LogLevels { filter, settled }
    }

    /// Goes by `wanted` from now on.
    pub(crate) fn set(&self, wanted: Option<LogLevel>) {
        if self.settled {
            return;
        }
        let level = match wanted {
            None => USUAL,
            Some(LogLevel::Error) => "error",
            Some(LogLevel::Warn) => "warn",
            Some(LogLevel::Info) => "info",
            Some(LogLevel::Debug) => "debug",
        };
        if let Err(error) = self.filter.set(level) {
            tracing::error!("{error}");
        }
    }
}
