//! The response phase: the upstream's status and headers go to the runners, its
//! body only where one asks for it; otherwise the body streams through.

use outrigger_engine::exchange::Exchange;
use outrigger_engine::response::{Refusal, Response};
use outrigger_host::a6::{ConfToken, http_resp_call};
use outrigger_telemetry::metrics::Outcome;

use super::answers::{FromExchange, FromResponse, ToldBody};
use super::context;
use super::failure::{Failure, Verdict};
use super::measured::Lent;
use super::plugin::{ExtPlugin, WorkerConnections};
use super::response_change::ResponseChange;
use super::steps::Step;
use super::traced::entries;

impl ExtPlugin {
    /// Passes an upstream's response through the runners, one call after the
    /// other. What the gateway or a plugin answered itself is none.
    pub(super) async fn run_response(
        &self,
        exchange: &mut Exchange,
        response: &mut Response,
    ) -> Result<(), Refusal> {
        if exchange.upstream.status().is_none() {
            return Ok(());
        }
        context::drop_foreign(&mut response.headers);
        if !self.is_wanted(self.when.as_ref(), exchange, Some(response)) {
            return Ok(());
        }
        for step in &self.steps {
            if !self.is_wanted(step.when.as_ref(), exchange, Some(response)) {
                continue;
            }
            let changed = self.call_response(step, exchange, response).await;
            match changed {
                Ok(mut change) => {
                    if let Some(context) = change.context.take() {
                        exchange.context = context;
                    }
                    change.apply(response, self.response_headers);
                }
                Err(failure) => match self.failed(step, &failure) {
                    Verdict::GoOn => {}
                    Verdict::Answer(instead) => {
                        *response = instead;
                        return Ok(());
                    }
                    Verdict::Refuse(refusal) => return Err(refusal),
                },
            }
        }
        Ok(())
    }

    async fn call_response(
        &self,
        step: &Step,
        exchange: &mut Exchange,
        response: &mut Response,
    ) -> Result<ResponseChange, Failure> {
        let call = async |exchange: &Exchange, told: Lent<'_>| {
            self.call_with_response(step, exchange, told, response)
                .await
        };
        self.measured(step, exchange, call, |change| match change.is_empty() {
            true => Outcome::Continue,
            false => Outcome::Rewrite,
        })
        .await
    }

    async fn call_with_response(
        &self,
        step: &Step,
        exchange: &Exchange,
        lent: Lent<'_>,
        response: &mut Response,
    ) -> Result<ResponseChange, Failure> {
        let Lent {
            context,
            body,
            stats,
        } = lent;
        let (status, headers) = (response.status, &response.headers);
        let told = entries(headers, context);
        let request = http_resp_call::Request {
            id: 0,
            status: status.as_u16(),
            headers: (&*told).into(),
            conf_token: ConfToken(0),
        };
        let mut answers = FromExchange {
            exchange,
            request: body,
            response: Some(FromResponse {
                status,
                headers,
                body: ToldBody::nothing_of(&mut response.body),
            }),
            bodies: self.bodies,
            memory: &self.memory,
        };
        let connections = exchange.worker.local::<WorkerConnections>();
        let call = connections.0.response_call(
            &step.runner,
            &step.conf,
            &self.options,
            request,
            &mut answers,
            |answer| ResponseChange::read(&answer, headers, &exchange.context),
        );
        let (used, answer) = call.await;
        *stats = used;
        let mut change = answer?.map_err(Failure::Answer)?;
        if let Some(context) = context {
            context.forget_echo(&mut change.headers);
        }
        let told = answers.response.as_ref();
        let is_told = |body: &mut bytes::Bytes| told.is_some_and(|told| told.body.is(body));
        change.body.take_if(is_told);
        if let Some(body) = &mut change.body {
            self.hold(body)?;
        }
        Ok(change)
    }
}
