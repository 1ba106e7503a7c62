//! The plugin object: a route's external plugins in one phase.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use outrigger_engine::body::BodyMemory;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::expr;
use outrigger_engine::finished::Finished;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::schemas::Schemas;
use outrigger_engine::vars;
use outrigger_host::{CallOptions, Connections};
use outrigger_model::Fault;
use outrigger_model::expr::Expr;
use outrigger_telemetry::metrics::Outcome;

use super::conf::{Bodies, Conf, Policy, ResponseHeaders, SCHEMAS};
use super::failure::{Failure, Verdict};
use super::failure_log::FailureLog;
use super::steps::{Step, check, steps};
use super::{External, Phase};

pub(super) struct ExtPluginFactory {
    pub(super) phase: Phase,
    pub(super) external: External,
}

impl Factory for ExtPluginFactory {
    fn name(&self) -> &'static str {
        self.phase.plugin_name()
    }

    fn priority(&self) -> i32 {
        self.phase.priority()
    }

    fn schemas(&self) -> &Schemas {
        &SCHEMAS
    }

    fn build(&self, json: &serde_json::Value, owner: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let mut conf = Conf::read(json)?;
        let steps = steps(&mut conf, &self.external, owner, self.phase)?;
        Ok(Arc::new(ExtPlugin {
            phase: self.phase,
            owner: owner.clone(),
            steps,
            when: conf.when,
            options: conf.options,
            failures: Arc::new(FailureLog::new(
                self.phase,
                owner.clone(),
                conf.policy.allow_degradation || self.phase == Phase::Log,
            )),
            policy: conf.policy,
            bodies: conf.bodies,
            response_headers: conf.response_headers,
            memory: self.external.body_memory.clone(),
        }))
    }

    fn check(&self, json: &serde_json::Value) -> Result<(), Fault> {
        check(&Conf::read(json)?, &self.external.runners)
    }
}

pub(super) struct ExtPlugin {
    pub(super) phase: Phase,
    owner: Owner,
    pub(super) steps: Vec<Step>,
    /// For which requests there are any.
    pub(super) when: Option<Expr>,
    pub(super) options: CallOptions,
    policy: Policy,
    pub(super) bodies: Bodies,
    pub(super) response_headers: ResponseHeaders,
    pub(super) memory: BodyMemory,
    pub(super) failures: Arc<FailureLog>,
}

impl ExtPlugin {
    /// Whether a condition holds for the request, and the response where there
    /// is one.
    pub(super) fn is_wanted(
        &self,
        when: Option<&Expr>,
        exchange: &Exchange,
        response: Option<&Response>,
    ) -> bool {
        let lookup = |name: &str| -> Option<Cow<'_, [u8]>> {
            match response {
                None => vars::lookup(exchange, name),
                Some(response) => {
                    vars::lookup_with_response(exchange, response.status, &response.headers, name)
                }
            }
        };
        when.is_none_or(|when| expr::matches(when, &lookup))
    }

    /// Counts a body that a runner made.
    pub(super) fn hold(&self, body: &mut Bytes) -> Result<(), Failure> {
        let limit = self.memory.limit();
        let held = self.memory.hold(std::mem::take(body));
        *body = held.ok_or(Failure::NoMemory { limit })?;
        Ok(())
    }

    /// What a failed call counts as.
    pub(super) fn outcome(&self, failure: &Failure) -> Outcome {
        if matches!(failure, Failure::Skipped) {
            return Outcome::Cancelled;
        }
        Outcome::Failed {
            kind: failure.word(),
            degraded: self.policy.degrades(failure),
        }
    }

    /// Says in the log that a call came to nothing, and what becomes of the
    /// request.
    pub(super) fn failed(&self, step: &Step, failure: &Failure) -> Verdict {
        if !matches!(failure, Failure::Refused(_) | Failure::Skipped) {
            self.failures.warn(&step.runner, failure);
        }
        self.policy.verdict(self.phase, failure)
    }

    /// Has the request's body kept for calls after it was sent on. One that
    /// is kept already is enough, if there is as much of it.
    fn keep_request_body(&self, exchange: &mut Exchange) {
        let kept = exchange.kept_body.as_ref();
        if kept.is_some_and(|kept| kept.limit() >= self.bodies.max) {
            return;
        }
        if let Some(kept) = exchange.body.keep(self.bodies.max, &self.memory) {
            exchange.kept_body = Some(kept);
        }
    }
}

impl Plugin for ExtPlugin {
    fn phases(&self) -> Phases {
        match self.phase {
            Phase::PreReq => Phases::REWRITE,
            Phase::PostReq => Phases::ACCESS,
            Phase::PostResp => Phases {
                access: self.bodies.keep_request_body,
                ..Phases::RESPONSE
            },
            Phase::Log => Phases {
                access: self.bodies.keep_request_body,
                ..Phases::LOG
            },
        }
    }

    fn rewrite<'a>(
        &'a self,
        exchange: &'a mut Exchange,
    ) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(self.run_request(exchange))
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange) -> PluginFuture<'a, Result<Flow, Refusal>> {
        if self.phase == Phase::PostReq {
            return Box::pin(self.run_request(exchange));
        }
        self.keep_request_body(exchange);
        Box::pin(std::future::ready(Ok(Flow::Continue)))
    }

    fn response<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> PluginFuture<'a, Result<(), Refusal>> {
        Box::pin(self.run_response(exchange, response))
    }

    fn log(&self, finished: &Rc<Finished>) {
        self.run_log(finished);
    }
}

impl fmt::Debug for ExtPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = (self.owner.kind, &self.owner.id);
        write!(f, "{} of {kind} {id}", self.phase.plugin_name())
    }
}

/// A worker's connections to all runners, looked over now and then for as long
/// as the worker lives.
pub(super) struct WorkerConnections(pub(super) Rc<Connections>);

impl Default for WorkerConnections {
    fn default() -> Self {
        let connections = Rc::new(Connections::new());
        tokio::task::spawn_local(connections.tend());
        WorkerConnections(connections)
    }
}
