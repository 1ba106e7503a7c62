//! Hears what happens with the calls of one runner, and tells the log what a
//! person should know.

use outrigger_host as host;

pub(super) struct CallLog;

impl host::Observer for CallLog {
    fn event(&self, runner: &str, event: host::Event<'_>) {
        match event {
            host::Event::ProcessChanged { .. } | host::Event::TokenLost { .. } => {
                tracing::info!(runner, "{event:?}");
            }
            host::Event::BreakerChanged { state } => {
                tracing::warn!(runner, "its circuit breaker is {state} now");
            }
            // A failed call is logged by the plugin, which knows the route.
            _ => tracing::debug!(runner, "{event:?}"),
        }
    }
}
