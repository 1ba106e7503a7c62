//! The request phases: what a step's runner makes of a request.

use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::Flow;
use outrigger_engine::response::Refusal;
use outrigger_host::a6::{ConfToken, http_req_call};
use outrigger_telemetry::metrics::Outcome;

use super::answers::FromExchange;
use super::context;
use super::decision::{Decision, Stop};
use super::failure::{Failure, Verdict};
use super::measured::Lent;
use super::plugin::{ExtPlugin, WorkerConnections};
use super::steps::Step;
use super::told::Told;

impl ExtPlugin {
    /// Passes a request through the runners. Each call sees what those before
    /// it have changed; one that answers the client is the last.
    pub(super) async fn run_request(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        context::drop_foreign(&mut exchange.headers);
        if !self.is_wanted(self.when.as_ref(), exchange, None) {
            return Ok(Flow::Continue);
        }
        for step in &self.steps {
            if !self.is_wanted(step.when.as_ref(), exchange, None) {
                continue;
            }
            match self.call_request(step, exchange).await {
                Ok(Decision::Continue) => {}
                Ok(Decision::Rewrite(rewrite)) => rewrite.apply(exchange),
                Ok(Decision::Stop(Stop { response, context })) => {
                    if let Some(context) = context {
                        exchange.context = context;
                    }
                    return Ok(Flow::Respond(response));
                }
                Err(failure) => match self.failed(step, &failure) {
                    Verdict::GoOn => {}
                    Verdict::Answer(response) => return Ok(Flow::Respond(response)),
                    Verdict::Refuse(refusal) => return Err(refusal),
                },
            }
        }
        Ok(Flow::Continue)
    }

    async fn call_request(
        &self,
        step: &Step,
        exchange: &mut Exchange,
    ) -> Result<Decision, Failure> {
        let call =
            async |exchange: &Exchange, told: Lent<'_>| self.call_with(step, exchange, told).await;
        self.measured(step, exchange, call, |decision| match decision {
            Decision::Continue => Outcome::Continue,
            Decision::Stop(_) => Outcome::Stop,
            Decision::Rewrite(_) => Outcome::Rewrite,
        })
        .await
    }

    async fn call_with(
        &self,
        step: &Step,
        exchange: &Exchange,
        lent: Lent<'_>,
    ) -> Result<Decision, Failure> {
        let Lent {
            context,
            body,
            stats,
        } = lent;
        let told = Told::new(exchange, context).ok_or(Failure::Method)?;
        let args = told.args();
        let request = http_req_call::Request {
            id: 0,
            src_ip: told.src_ip.as_bytes(),
            method: told.method,
            path: told.path,
            args: (&*args).into(),
            headers: (&*told.headers).into(),
            conf_token: ConfToken(0),
        };
        let mut answers = FromExchange {
            exchange,
            request: body,
            response: None,
            bodies: self.bodies,
            memory: &self.memory,
        };
        let connections = exchange.worker.local::<WorkerConnections>();
        let call = connections.0.request_call(
            &step.runner,
            &step.conf,
            &self.options,
            request,
            &mut answers,
            |answer| Decision::read(&answer, exchange),
        );
        let (used, answer) = call.await;
        *stats = used;
        let mut decision = answer?.map_err(Failure::Answer)?;
        if let Decision::Rewrite(rewrite) = &mut decision {
            rewrite.body.take_if(|body| answers.request.is(body));
            if let Some(context) = context {
                context.forget_echo(&mut rewrite.headers);
            }
        }
        if let Some(body) = decision.body_mut() {
            self.hold(body)?;
        }
        Ok(decision)
    }
}
