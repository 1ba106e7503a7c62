//! What the gateway counts, and the text in which Prometheus reads it.
//!
//! [`Metrics`] is made once and passed on; nothing is global. Whoever counts on
//! the way of a request takes a handle when the configuration is compiled, and
//! from then on touches only atomics that its worker has for itself.
//!
//! Deliberately absent: the server that hands the text out.

mod calls;
mod cells;
mod chain;
mod etcd;
mod gateway;
mod held;
mod nodes;
mod owners;
mod process;
mod requests;
mod runners;
mod shard;
mod spans;
mod text;

use std::sync::{Arc, OnceLock};

pub use calls::{Call, CallCost, CallLabels, Calls, DetachedCall, Outcome};
pub use etcd::EtcdState;
pub use gateway::{Connected, Serving, WorkerMetrics};
pub use nodes::NodeState;
pub use requests::{EndedRequest, RequestLabels, Requests};
pub use runners::{BreakerState, InstanceState, RunnerMetrics, RunnerState};
pub use text::CONTENT_TYPE;

pub(crate) use spans::SpanCounts;

use calls::AllCalls;
use gateway::Gateway;
use requests::AllRequests;
use runners::Runners;
use text::{Family, Text};

/// All metrics of one gateway. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<All>);

#[derive(Debug)]
struct All {
    workers: usize,
    gateway: Gateway,
    requests: AllRequests,
    calls: AllCalls,
    runners: Runners,
    /// None where nothing is traced.
    spans: OnceLock<Arc<SpanCounts>>,
}

/// Metrics of a gateway with one worker.
impl Default for Metrics {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Metrics {
    /// Metrics of a gateway with so many workers, which are numbered from 0.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Metrics(Arc::new(All {
            workers,
            gateway: Gateway::new(workers),
            requests: AllRequests::default(),
            calls: AllCalls::default(),
            runners: Runners::default(),
            spans: OnceLock::new(),
        }))
    }

    /// The handle by which the worker of this number counts its clients.
    #[must_use]
    pub fn worker(&self, number: usize) -> WorkerMetrics {
        self.0.gateway.worker(number)
    }

    /// The handle that counts a route's requests. Those who ask with the same
    /// labels count together; a series leaves with the last handle.
    #[must_use]
    pub fn requests(&self, labels: RequestLabels<'_>) -> Requests {
        self.0.requests.get(labels, self.0.workers)
    }

    /// The handle that counts these calls of a runner; otherwise as
    /// [`requests`](Self::requests).
    #[must_use]
    pub fn calls(&self, labels: CallLabels<'_>) -> Calls {
        self.0.calls.get(labels, self.0.workers)
    }

    /// The handle that counts what happens to the runner of this name.
    #[must_use]
    pub fn runner(&self, name: &str) -> Arc<RunnerMetrics> {
        self.0.runners.get(name)
    }

    /// A configuration with so many routes was put into effect.
    pub fn config_applied(&self, routes: usize) {
        self.0.gateway.applied(routes);
    }

    /// A configuration was refused.
    pub fn config_refused(&self) {
        self.0.gateway.refused();
    }

    pub(crate) fn spans(&self) -> Arc<SpanCounts> {
        Arc::clone(self.0.spans.get_or_init(Arc::default))
    }

    /// All metrics as Prometheus reads them; the media type is [`CONTENT_TYPE`].
    /// `runners` and `nodes` are what these are like at the moment.
    #[must_use]
    pub fn render(&self, runners: &[RunnerState], nodes: &[NodeState]) -> String {
        let mut text = Text::default();
        self.0.gateway.write(&mut text);
        text.single(WORKERS, self.0.workers);
        self.0.requests.write(&mut text);
        self.0.calls.write(&mut text);
        self.0.runners.write(runners, &mut text);
        nodes::write(nodes, &mut text);
        if let Some(spans) = self.0.spans.get() {
            spans.write(&mut text);
        }
        text.into_string()
    }
}

const WORKERS: Family = Family::gauge("outrigger_workers", "Threads that serve requests.");

#[cfg(test)]
mod tests;
