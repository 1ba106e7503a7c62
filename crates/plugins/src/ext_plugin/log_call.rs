//! The log phase: runners are told of a response that was sent, and nobody
//! waits for what they say.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use outrigger_engine::body::Start;
use outrigger_engine::finished::Finished;
use outrigger_engine::{expr, vars};
use outrigger_host::{Answers, BodyError, LogCall};
use outrigger_model::expr::Expr;
use outrigger_telemetry::metrics::Outcome;
use outrigger_telemetry::trace::CallSpan;

use super::answers::{TRUNCATED, request_body_variable, sent_body};
use super::conf::Bodies;
use super::failure::Failure;
use super::measured::cost;
use super::plugin::{ExtPlugin, WorkerConnections};
use super::steps::Step;
use super::traced::{self, ToldContext, entries};

impl ExtPlugin {
    /// Tells every runner, independently of the others.
    pub(super) fn run_log(&self, finished: &Rc<Finished>) {
        let holds = |when: Option<&Expr>| {
            let lookup = |name: &str| vars::lookup_finished(finished, name);
            when.is_none_or(|when| expr::matches(when, &lookup))
        };
        if !holds(self.when.as_ref()) {
            return;
        }
        for step in &self.steps {
            if holds(step.when.as_ref()) {
                self.call_log(step, finished);
            }
        }
    }

    fn call_log(&self, step: &Step, finished: &Rc<Finished>) {
        let worker = &finished.exchange.worker;
        let span = traced::begin(&finished.exchange, step, self.phase);
        let traceparent = span.as_ref().map(CallSpan::traceparent);
        let context = traceparent.as_ref();
        let context = context.map(|it| ToldContext::new(&finished.exchange, it));
        let headers = entries(&finished.end.headers, context).into_iter();
        let headers = headers.map(|told| (told.name.into(), told.value.unwrap_or_default().into()));
        let call = LogCall {
            runner: Arc::clone(&step.runner),
            conf: Arc::clone(&step.conf),
            options: self.options,
            status: finished.end.status.as_u16(),
            headers: headers.collect(),
            answers: FromFinished {
                finished: Rc::clone(finished),
                bodies: self.bodies,
                told_a_part: false,
            },
        };
        let counted = step.calls.begin_detached(worker.number());
        let counted = Rc::new(Cell::new(Some((counted, span))));
        let (failures, at_end) = (Arc::clone(&self.failures), Rc::clone(&counted));
        let runner = Arc::clone(&step.runner);
        let connections = worker.local::<WorkerConnections>();
        let under_way = connections.0.log_call(call, move |stats, result| {
            let outcome = match result {
                Ok(()) => Outcome::Continue,
                Err(error) => {
                    let failure = Failure::from(error);
                    failures.warn(&runner, &failure);
                    Outcome::Failed {
                        kind: failure.word(),
                        degraded: true,
                    }
                }
            };
            if let Some((counted, span)) = at_end.take() {
                let cost = cost(stats);
                counted.end(outcome, &cost);
                if let Some(span) = span {
                    span.end(outcome, &cost);
                }
            }
        });
        if !under_way && let Some((counted, span)) = counted.take() {
            counted.dropped();
            if let Some(span) = span {
                span.discard();
            }
        }
    }
}

/// Answers from a request that is over. Its response's body is gone.
struct FromFinished {
    finished: Rc<Finished>,
    bodies: Bodies,
    told_a_part: bool,
}

impl FromFinished {
    fn request_bytes(&self) -> Option<Start> {
        let exchange = &self.finished.exchange;
        sent_body(&exchange.body, exchange.kept_body.as_ref(), self.bodies)
    }
}

impl Answers for FromFinished {
    async fn var(&mut self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let name = std::str::from_utf8(name).ok()?;
        match name {
            TRUNCATED => self.told_a_part.then_some(Cow::Borrowed(b"1")),
            "request_body" => request_body_variable(self.request_bytes()),
            name => vars::lookup_finished(&self.finished, name),
        }
    }

    async fn request_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some(sent) = self.request_bytes() else {
            return Ok(None);
        };
        self.told_a_part |= !sent.whole;
        Ok((!sent.bytes.is_empty()).then_some(sent.bytes))
    }

    async fn response_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        Ok(None)
    }
}
