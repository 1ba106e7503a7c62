//! What is known of a call from the outside: it is counted, has a span where
//! requests are traced, and its time is noted for the request.

use outrigger_engine::exchange::Exchange;
use outrigger_host::CallStats;
use outrigger_telemetry::metrics::{Call, CallCost, Outcome};
use outrigger_telemetry::trace::{CallSpan, Traceparent};

use super::Phase;
use super::steps::Step;
use super::traced;

/// A call under way for which a request waits. Dropped before its end, it
/// counts as cancelled.
pub(super) struct Measured<'s> {
    phase: Phase,
    counted: Call<'s>,
    span: Option<CallSpan>,
}

impl<'s> Measured<'s> {
    pub(super) fn begin(exchange: &Exchange, step: &'s Step, phase: Phase) -> Self {
        Measured {
            phase,
            counted: step.calls.begin(exchange.worker.number()),
            span: traced::begin(exchange, step, phase),
        }
    }

    /// What the runner is told of the span.
    pub(super) fn traceparent(&self) -> Option<Traceparent> {
        self.span.as_ref().map(CallSpan::traceparent)
    }

    /// The call is over.
    pub(super) fn end(self, exchange: &mut Exchange, outcome: Outcome, stats: CallStats) {
        let cost = cost(stats);
        let time = self.counted.end(outcome, &cost);
        if let Some(span) = self.span {
            span.end(outcome, &cost);
        }
        let times = &mut exchange.plugin_times;
        let sum = match self.phase {
            Phase::PreReq => &mut times.pre_req,
            Phase::PostReq => &mut times.post_req,
            Phase::PostResp => &mut times.post_resp,
            // The request is over and waits for nothing.
            Phase::Log => return,
        };
        *sum.get_or_insert_default() += time;
    }
}

/// What a call cost, as it is counted.
pub(super) fn cost(stats: CallStats) -> CallCost {
    let CallStats {
        attempts,
        waited,
        sent,
        received,
    } = stats;
    CallCost {
        attempts,
        waited,
        sent,
        received,
    }
}
