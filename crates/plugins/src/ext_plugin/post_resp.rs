//! The response phase: the upstream's status and headers go to the runner, its
//! body only where the runner asks for it; otherwise the body streams through.

use std::mem;
use std::time::Instant;

use outrigger_engine::exchange::Exchange;
use outrigger_engine::response::{Refusal, Response};
use outrigger_host::CallError;
use outrigger_host::a6::{ConfToken, http_resp_call};
use outrigger_telemetry::metrics::{CallCost, Outcome};

use super::call::{FromExchange, FromResponse, entries};
use super::plugin::{ExtPlugin, Failure, WorkerConnections};
use super::response_change::ResponseChange;

impl ExtPlugin {
    /// Passes an upstream's response through the runner. What the gateway or
    /// a plugin answered itself is none.
    pub(super) async fn run_response(
        &self,
        exchange: &mut Exchange,
        response: &mut Response,
    ) -> Result<(), Refusal> {
        if exchange.upstream.status().is_none() {
            return Ok(());
        }
        let counted = self.calls.begin(exchange.worker.number());
        // Taken out so that it can be read while the rest is lent to the call.
        let mut body = mem::take(&mut exchange.body);
        let since = Instant::now();
        let changed = self.call_response(exchange, &mut body, response).await;
        self.took(exchange, since.elapsed());
        exchange.body = body;
        let outcome = match &changed {
            Ok(change) if change.is_empty() => Outcome::Continue,
            Ok(_) => Outcome::Rewrite,
            Err(failure) => self.outcome(failure),
        };
        counted.end(outcome, &CallCost::default());
        match changed {
            Ok(change) => {
                change.apply(response, self.response_headers);
                Ok(())
            }
            Err(failure) => self.failed(&failure),
        }
    }

    async fn call_response(
        &self,
        exchange: &Exchange,
        body: &mut outrigger_engine::body::Body,
        response: &mut Response,
    ) -> Result<ResponseChange, Failure> {
        let (status, headers) = (response.status, &response.headers);
        let told = entries(headers);
        let request = http_resp_call::Request {
            id: 0,
            status: status.as_u16(),
            headers: (&*told).into(),
            conf_token: ConfToken(0),
        };
        let mut answers = FromExchange {
            exchange,
            body,
            response: Some(FromResponse {
                status,
                headers,
                body: &mut response.body,
            }),
        };
        let options = self.options();
        let connections = exchange.worker.local::<WorkerConnections>();
        let call = connections.0.response_call(
            &self.runner,
            &self.conf,
            &options,
            request,
            &mut answers,
            |answer| ResponseChange::read(&answer, headers),
        );
        call.await
            .1
            .map_err(|error: CallError| Failure::Call(error))?
            .map_err(Failure::Answer)
    }
}
