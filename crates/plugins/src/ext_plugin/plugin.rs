//! The plugin object: calls its runner and carries out what it decides.

use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use outrigger_engine::body::BodyError;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_host::a6::{ConfToken, http_req_call};
use outrigger_host::{CallError, CallOptions, Conf as HostConf, Connections, Runner};
use outrigger_model::{Fault, PropertyPath};
use outrigger_telemetry::metrics::{CallCost, CallLabels, Calls, Metrics, Outcome};
use outrigger_telemetry::repeats::Repeats;

use super::call::{FromExchange, Told};
use super::conf::{Conf, ResponseHeaders};
use super::decision::{BadAnswer, Decision};
use super::{Runners, When};
use crate::conf;

/// How often a worker looks over its idle connections to runners.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// Failed calls of one route's plugin that are logged in one second.
const WARNINGS_PER_SECOND: u32 = 5;

pub(super) struct ExtPluginFactory {
    pub(super) when: When,
    pub(super) runners: Runners,
    pub(super) metrics: Metrics,
}

impl Factory for ExtPluginFactory {
    fn name(&self) -> &'static str {
        self.when.plugin_name()
    }

    fn priority(&self) -> i32 {
        self.when.priority()
    }

    fn build(&self, json: &serde_json::Value, owner: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let conf = Conf::read(json)?;
        let runner = self.runners.find(conf.runner.as_deref()).ok_or_else(|| {
            let message = format!(
                "there is no runner of this name in config.yaml (ext-plugin.runners); there are: {}",
                self.runners.names()
            );
            conf::fault(PropertyPath::root().key("runner"), message)
        })?;
        let key = conf.key(owner, self.when.plugin_name());
        let calls = self.metrics.calls(CallLabels {
            runner: runner.name(),
            phase: self.when.phase(),
            owner_kind: owner.kind.singular(),
            owner_id: owner.id.as_str(),
        });
        Ok(Arc::new(ExtPlugin {
            when: self.when,
            owner: owner.clone(),
            runner: Arc::clone(runner),
            conf: HostConf::new(key, conf.entries),
            allow_degradation: conf.allow_degradation,
            timeout: conf.timeout,
            response_headers: conf.response_headers,
            warnings: Repeats::new(WARNINGS_PER_SECOND),
            calls,
        }))
    }
}

pub(super) struct ExtPlugin {
    when: When,
    owner: Owner,
    pub(super) runner: Arc<Runner>,
    pub(super) conf: Arc<HostConf>,
    allow_degradation: bool,
    timeout: Option<Duration>,
    pub(super) response_headers: ResponseHeaders,
    warnings: Repeats,
    pub(super) calls: Calls,
}

/// Why a call came to nothing.
pub(super) enum Failure {
    /// The client's doing; no policy of the plugin's makes it good.
    Client(Refusal),
    /// The protocol has no number for the method.
    Method,
    Call(CallError),
    Answer(BadAnswer),
}

impl ExtPlugin {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        let counted = self.calls.begin(exchange.worker.number());
        let since = Instant::now();
        let decision = self.call(exchange).await;
        self.took(exchange, since.elapsed());
        let outcome = match &decision {
            Ok(Decision::Continue) => Outcome::Continue,
            Ok(Decision::Stop(_)) => Outcome::Stop,
            Ok(Decision::Rewrite(_)) => Outcome::Rewrite,
            Err(failure) => self.outcome(failure),
        };
        counted.end(outcome, &CallCost::default());
        match decision {
            Ok(Decision::Continue) => Ok(Flow::Continue),
            Ok(Decision::Stop(response)) => Ok(Flow::Respond(response)),
            Ok(Decision::Rewrite(rewrite)) => {
                rewrite.apply(exchange);
                Ok(Flow::Continue)
            }
            Err(failure) => self.failed(&failure).map(|()| Flow::Continue),
        }
    }

    /// What a failed call counts as.
    pub(super) fn outcome(&self, failure: &Failure) -> Outcome {
        Outcome::Failed {
            kind: match failure {
                Failure::Method => "method",
                failure => failure.kind(),
            },
            degraded: self.allow_degradation && !matches!(failure, Failure::Client(_)),
        }
    }

    /// What is said of the plugin's calls where it was configured.
    pub(super) fn options(&self) -> CallOptions {
        CallOptions {
            time_limit: self.timeout,
            ..CallOptions::default()
        }
    }

    /// Notes how long a call took, for whoever wants to know at the end.
    pub(super) fn took(&self, exchange: &mut Exchange, time: Duration) {
        let times = &mut exchange.plugin_times;
        let sum = match self.when {
            When::PreReq => &mut times.pre_req,
            When::PostReq => &mut times.post_req,
            When::PostResp => &mut times.post_resp,
        };
        *sum.get_or_insert_default() += time;
    }

    /// Says in the log that a call came to nothing, and whether the request
    /// goes on all the same.
    pub(super) fn failed(&self, failure: &Failure) -> Result<(), Refusal> {
        if let Failure::Client(refusal) = failure {
            return Err(refusal.clone());
        }
        self.warn(failure);
        if self.allow_degradation {
            return Ok(());
        }
        Err(Refusal::PluginCall {
            plugin: self.when.plugin_name(),
            kind: failure.kind(),
        })
    }

    /// Logs a failure, unless there are too many of them: a runner that is
    /// gone fails every request.
    fn warn(&self, failure: &Failure) {
        let Some(held_back) = self.warnings.pass() else {
            return;
        };
        tracing::warn!(
            plugin = self.when.plugin_name(),
            runner = self.runner.name(),
            of = format_args!("{} {}", self.owner.kind, self.owner.id),
            degraded = self.allow_degradation,
            held_back,
            "a call to the runner failed: {failure}"
        );
    }

    async fn call(&self, exchange: &mut Exchange) -> Result<Decision, Failure> {
        // Taken out so that it can be read while the rest is lent to the call.
        let mut body = std::mem::take(&mut exchange.body);
        let decision = self.call_without_body(exchange, &mut body).await;
        exchange.body = body;
        decision
    }

    async fn call_without_body(
        &self,
        exchange: &Exchange,
        body: &mut outrigger_engine::body::Body,
    ) -> Result<Decision, Failure> {
        let told = Told::new(exchange).ok_or(Failure::Method)?;
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
        let options = self.options();
        let connections = exchange.worker.local::<WorkerConnections>();
        let mut answers = FromExchange {
            exchange,
            body,
            response: None,
        };
        let read = |answer: http_req_call::Response<'_>| Decision::read(&answer, &exchange.headers);
        let call = connections.0.request_call(
            &self.runner,
            &self.conf,
            &options,
            request,
            &mut answers,
            read,
        );
        match call.await.1 {
            Ok(decision) => decision.map_err(Failure::Answer),
            Err(CallError::Body(error)) => Err(match error.downcast_ref::<BodyError>() {
                Some(error) => Failure::Client(Refusal::from_request_body(error)),
                None => Failure::Call(CallError::Body(error)),
            }),
            Err(error) => Err(Failure::Call(error)),
        }
    }
}

impl Plugin for ExtPlugin {
    fn phases(&self) -> Phases {
        match self.when {
            When::PreReq => Phases::REWRITE,
            When::PostReq => Phases::ACCESS,
            When::PostResp => Phases::RESPONSE,
        }
    }

    fn rewrite<'a>(
        &'a self,
        exchange: &'a mut Exchange,
    ) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(self.run(exchange))
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(self.run(exchange))
    }

    fn response<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> PluginFuture<'a, Result<(), Refusal>> {
        Box::pin(self.run_response(exchange, response))
    }
}

impl fmt::Debug for ExtPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} {}",
            self.when.plugin_name(),
            self.owner.kind,
            self.owner.id
        )
    }
}

impl Failure {
    /// What the client is told: a word, no internals.
    fn kind(&self) -> &'static str {
        match self {
            Failure::Client(_) => "client",
            Failure::Method => "method not supported by the protocol",
            Failure::Call(error) => error.kind(),
            Failure::Answer(_) => "malformed",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Client(refusal) => refusal.fmt(f),
            Failure::Method => f.write_str("the protocol has no number for the request's method"),
            Failure::Call(error) => error.fmt(f),
            Failure::Answer(error) => {
                write!(f, "the runner's answer cannot be carried out: {error}")
            }
        }
    }
}

/// A worker's connections to all runners, looked over now and then for as long
/// as the worker lives.
pub(super) struct WorkerConnections(pub(super) Rc<Connections>);

impl Default for WorkerConnections {
    fn default() -> Self {
        let connections = Rc::new(Connections::new());
        tokio::task::spawn_local(sweep(Rc::downgrade(&connections)));
        WorkerConnections(connections)
    }
}

async fn sweep(connections: Weak<Connections>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(connections) = connections.upgrade() else {
            return;
        };
        connections.sweep();
    }
}
