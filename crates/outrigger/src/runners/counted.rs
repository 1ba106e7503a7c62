//! Counts what happens with one runner, and passes it on.

use std::sync::Arc;

use outrigger_host::{BreakerState, Event, Observer};
use outrigger_telemetry::metrics::{Metrics, RunnerMetrics};

pub(super) struct Counted {
    counts: Arc<RunnerMetrics>,
    next: Arc<dyn Observer>,
}

impl Counted {
    /// An observer that counts what happens to the runner of this name in
    /// `metrics` and tells `next`.
    pub(super) fn observer(
        name: &str,
        metrics: &Metrics,
        next: Arc<dyn Observer>,
    ) -> Arc<dyn Observer> {
        let counts = metrics.runner(name);
        Arc::new(Counted { counts, next })
    }
}

impl Observer for Counted {
    fn event(&self, runner: &str, event: Event<'_>) {
        let counts = &self.counts;
        match event {
            Event::ConnectionOpened { .. } => counts.connection_opened(),
            Event::ConnectionClosed { reason } => counts.connection_closed(reason.word()),
            Event::ProcessChanged { .. } => counts.process_changed(),
            Event::ConfPrepared { renewal, took, .. } => counts.prepared(renewal, took),
            Event::PrepareFailed { .. } => counts.prepare_failed(),
            Event::TokenLost { .. } => counts.token_lost(),
            Event::BreakerChanged {
                state: BreakerState::Open,
            } => counts.breaker_opened(),
            // Calls are counted where their route is known.
            _ => {}
        }
        self.next.event(runner, event);
    }
}
