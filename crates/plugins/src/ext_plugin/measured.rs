//! What is known of a call from the outside: it is counted, has a span where
//! requests are traced, and its time is noted for the request.

use std::mem;

use outrigger_engine::exchange::Exchange;
use outrigger_host::CallStats;
use outrigger_telemetry::metrics::{Call, CallCost, Outcome};
use outrigger_telemetry::trace::{CallSpan, Traceparent};

use super::Phase;
use super::answers::ToldBody;
use super::failure::Failure;
use super::plugin::ExtPlugin;
use super::steps::Step;
use super::traced::{self, ToldContext};

/// What a call gets of the request beside the exchange, which it may only look at.
pub(super) struct Lent<'a> {
    pub(super) context: Option<ToldContext<'a>>,
    pub(super) body: ToldBody<'a>,
    /// Where the call says what it cost.
    pub(super) stats: &'a mut CallStats,
}

impl ExtPlugin {
    /// Makes a call for which the request waits. `outcome` says what an answer counts as.
    pub(super) async fn measured<T>(
        &self,
        step: &Step,
        exchange: &mut Exchange,
        call: impl AsyncFnOnce(&Exchange, Lent<'_>) -> Result<T, Failure>,
        outcome: impl FnOnce(&T) -> Outcome,
    ) -> Result<T, Failure> {
        let measured = Measured::begin(exchange, step, self.phase);
        let traceparent = measured.traceparent();
        let mut stats = CallStats::default();
        // Taken out so that it can be read while the rest is lent to the call.
        let mut body = mem::take(&mut exchange.body);
        let context = traceparent.as_ref();
        let lent = Lent {
            context: context.map(|it| ToldContext::new(exchange, it)),
            body: ToldBody::nothing_of(&mut body),
            stats: &mut stats,
        };
        let answer = call(exchange, lent).await;
        exchange.body = body;
        let outcome = match &answer {
            Ok(answer) => outcome(answer),
            Err(failure) => self.outcome(failure),
        };
        measured.end(exchange, outcome, stats);
        answer
    }
}

/// A call under way for which a request waits. Dropped before its end, it
/// counts as cancelled.
struct Measured<'s> {
    phase: Phase,
    counted: Call<'s>,
    span: Option<CallSpan>,
}

impl<'s> Measured<'s> {
    fn begin(exchange: &Exchange, step: &'s Step, phase: Phase) -> Self {
        Measured {
            phase,
            counted: step.calls.begin(exchange.worker.number()),
            span: traced::begin(exchange, step, phase),
        }
    }

    /// What the runner is told of the span.
    fn traceparent(&self) -> Option<Traceparent> {
        self.span.as_ref().map(CallSpan::traceparent)
    }

    /// The call is over.
    fn end(self, exchange: &mut Exchange, outcome: Outcome, stats: CallStats) {
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
