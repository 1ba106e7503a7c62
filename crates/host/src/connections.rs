//! A worker's connections to runners, and the calls on them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use outrigger_a6::{Encode, Encoder, extra_info, http_req_call, http_resp_call};
use tokio::time::{Instant, timeout, timeout_at};

use crate::attempts::{Attempts, Next};
use crate::breaker::Outcome;
use crate::call::{Call, Kind, RequestCall, ResponseCall, Step};
use crate::clock::Clock;
use crate::connection::Connection;
use crate::extra_info::Question;
use crate::limits::SWEEP_INTERVAL;
use crate::log_call::UnderWay;
use crate::pool::Pools;
use crate::ready::{Approach, Ready, times};
use crate::token::Token;
use crate::{Answers, CallError, CallOptions, CallStats, CloseReason, Conf, Event, Runner, Stage};

/// A worker's connections to runners: as many as it has calls under way, and
/// some idle ones. They stay on the worker's thread.
///
/// The future of a call may be dropped at any time. That closes its connection,
/// and the runner may or may not have seen the call.
#[derive(Default)]
pub struct Connections {
    pools: Pools,
    encoder: RefCell<Encoder>,
    last_id: Cell<u32>,
    log_calls: UnderWay,
}

/// The parts of a call that stay the same when it is sent again.
struct Job<'a, K: Kind> {
    runner: &'a Runner,
    conf: &'a Conf,
    request: K::Request<'a>,
    options: &'a CallOptions,
}

impl Connections {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has a request pass through the plugins of `conf` in `runner`.
    ///
    /// In `request`, `id` and `conf_token` are filled in here. `on_reply` takes
    /// from the runner's answer what is to stay.
    ///
    /// # Errors
    /// [`CallError`]; `on_reply` was not called then.
    pub async fn request_call<A: Answers, R>(
        &self,
        runner: &Runner,
        conf: &Conf,
        options: &CallOptions,
        request: http_req_call::Request<'_>,
        answers: &mut A,
        on_reply: impl FnOnce(http_req_call::Response<'_>) -> R,
    ) -> (CallStats, Result<R, CallError>) {
        let job = Job::<RequestCall> {
            runner,
            conf,
            request,
            options,
        };
        self.call(&job, answers, on_reply).await
    }

    /// Has an upstream's response pass through the plugins of `conf` in
    /// `runner`; otherwise as [`request_call`](Self::request_call).
    ///
    /// # Errors
    /// [`CallError`]; `on_reply` was not called then.
    pub async fn response_call<A: Answers, R>(
        &self,
        runner: &Runner,
        conf: &Conf,
        options: &CallOptions,
        response: http_resp_call::Request<'_>,
        answers: &mut A,
        on_reply: impl FnOnce(http_resp_call::Response<'_>) -> R,
    ) -> (CallStats, Result<R, CallError>) {
        let job = Job::<ResponseCall> {
            runner,
            conf,
            request: response,
            options,
        };
        self.call(&job, answers, on_reply).await
    }

    /// Closes idle connections that are too old, that the runner closed, or
    /// that lead to a process that calls do not go to any more: now and then,
    /// and when the control thread says that there are such. To be run on the
    /// worker's thread; ends some time after the connections were dropped.
    /// Without it and without calls, nothing else notices.
    pub fn tend(self: &Rc<Self>) -> impl Future<Output = ()> + use<> {
        let wake = Arc::clone(self.pools.wake());
        let connections = Rc::downgrade(self);
        async move {
            loop {
                // Either way it is time to look.
                let _ = timeout(SWEEP_INTERVAL, wake.notified()).await;
                match connections.upgrade() {
                    Some(connections) => connections.sweep(),
                    None => return,
                }
            }
        }
    }

    /// Closes idle connections that will not be used again. See
    /// [`tend`](Self::tend).
    pub fn sweep(&self) {
        self.pools.sweep();
    }

    pub(crate) fn log_calls(&self) -> &UnderWay {
        &self.log_calls
    }

    async fn call<K, A, R>(
        &self,
        job: &Job<'_, K>,
        answers: &mut A,
        on_reply: impl FnOnce(K::Response<'_>) -> R,
    ) -> (CallStats, Result<R, CallError>)
    where
        K: Kind,
        A: Answers,
    {
        let mut stats = CallStats::default();
        let result = self.attempt(job, answers, on_reply, &mut stats).await;
        if let Err(error) = &result {
            job.runner.shared().event(Event::CallFailed { error });
        }
        (stats, result)
    }

    async fn attempt<K, A, R>(
        &self,
        job: &Job<'_, K>,
        answers: &mut A,
        on_reply: impl FnOnce(K::Response<'_>) -> R,
        stats: &mut CallStats,
    ) -> Result<R, CallError>
    where
        K: Kind,
        A: Answers,
    {
        let runner = job.runner.shared();
        let mut now = Instant::now();
        let (times, breaker) = {
            let settings = runner.settings();
            (times(job.options, settings.timeouts), settings.breaker)
        };
        let deadline = now + times.call;
        let pool = self.pools.of(runner);
        if !runner.admission().try_enter() {
            // Nobody should wait long to be told that it was in vain.
            runner.is_passable(now, breaker)?;
            let entered = timeout_at(deadline, runner.admission().enter_in_turn()).await;
            stats.waited = now.elapsed();
            now += stats.waited;
            entered.unwrap_or(Err(CallError::Timeout {
                stage: Stage::Queue,
                after: times.call,
            }))?;
        }
        let mut approach = Approach {
            runner,
            conf: job.conf.prepared(),
            place: pool.place(),
            times,
            deadline,
            attempts: Attempts::new(job.options.retry),
            sent: false,
            avoid: None,
            waited: Duration::ZERO,
        };
        let passed = runner.pass_breaker(now, breaker)?;
        let result = self
            .send_until_answered(job, &mut approach, answers, on_reply, stats)
            .await;
        stats.waited += approach.waited;
        let outcome = match &result {
            Ok(_) => Outcome::Good,
            Err(error) => error.outcome(),
        };
        passed.ended(outcome, Instant::now());
        result
    }

    /// Sends a call, again where its connection dies.
    async fn send_until_answered<K, A, R>(
        &self,
        job: &Job<'_, K>,
        approach: &mut Approach<'_>,
        answers: &mut A,
        on_reply: impl FnOnce(K::Response<'_>) -> R,
        stats: &mut CallStats,
    ) -> Result<R, CallError>
    where
        K: Kind,
        A: Answers,
    {
        let runner = approach.runner;
        let mut on_reply = Some(on_reply);
        loop {
            let Ready {
                token,
                mut connection,
                seat,
            } = approach.ready().await?;
            stats.attempts += 1;
            approach.sent = true;
            let clock = Clock::until(approach.deadline);
            let sent = self.exchange(job, &token, &mut connection, &clock, answers, &mut on_reply);
            let result = clock.limit(sent).await;
            approach.deadline = clock.deadline();
            stats.sent += connection.sent();
            stats.received += connection.received_bytes();
            let error = match result {
                Some(Ok(reply)) => {
                    approach.place.give_back(connection, Instant::now());
                    return Ok(reply);
                }
                Some(Err(error)) => error,
                None => return Err(approach.timeout()),
            };
            connection.closes_as(CloseReason::Failed);
            let used = connection.used();
            drop(connection);
            match approach.attempts.after(error, used) {
                Next::Fail(error) => return Err(error),
                Next::NewConnection(error) => {
                    approach.avoid = Some(seat.target().generation());
                    runner.event(Event::CallRepeated { error: &error });
                }
                Next::NewToken => {
                    let (key, lost) = (job.conf.key(), token.value());
                    runner.event(Event::TokenLost { key, token: lost });
                    approach.conf.void(seat.target(), &token);
                }
            }
        }
    }

    /// One sending of a call, and its answer.
    async fn exchange<K, A, R>(
        &self,
        job: &Job<'_, K>,
        token: &Token,
        connection: &mut Connection,
        clock: &Clock,
        answers: &mut A,
        on_reply: &mut Option<impl FnOnce(K::Response<'_>) -> R>,
    ) -> Result<R, CallError>
    where
        K: Kind,
        A: Answers,
    {
        let id = self.next_id();
        let mut call = Call::<K>::new(id);
        self.send(connection, &K::filled(job.request, id, token.value()))?;
        loop {
            let question = match connection.received(Stage::Call)? {
                None => {
                    connection.exchange_bytes(Stage::Call).await?;
                    continue;
                }
                Some(frame) => match call.receive(frame)? {
                    Step::Done(response) => {
                        let on_reply = on_reply.take().expect("a call is done once");
                        return Ok(on_reply(response));
                    }
                    Step::Answer(question) => question,
                },
            };
            // Answers go one by one: a runner that asks and asks without
            // reading must not have them pile up here.
            connection.flush(Stage::Call).await?;
            let _pause = clock.pause();
            self.answer(connection, question, answers).await?;
        }
    }

    async fn answer(
        &self,
        connection: &mut Connection,
        question: Question,
        answers: &mut impl Answers,
    ) -> Result<(), CallError> {
        let body = match question {
            Question::Var(name) => {
                let value = answers.var(&name).await;
                let result = value.as_deref();
                return self.send(connection, &extra_info::Response { result });
            }
            Question::RequestBody => answers.request_body().await.map_err(CallError::Body)?,
            Question::ResponseBody => answers.response_body().await.map_err(CallError::Body)?,
            Question::Nothing => None,
        };
        self.send(
            connection,
            &extra_info::Response {
                result: body.as_deref(),
            },
        )
    }

    fn send(&self, connection: &mut Connection, message: &impl Encode) -> Result<(), CallError> {
        let mut encoder = self.encoder.borrow_mut();
        let frame = encoder
            .encode(message)
            .map_err(|source| CallError::TooLarge { source })?;
        connection.send(frame, Stage::Call)
    }

    /// Never 0, which the Python runner refuses.
    fn next_id(&self) -> u32 {
        let id = self.last_id.get().checked_add(1).unwrap_or(1);
        self.last_id.set(id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_and_are_never_zero() {
        let connections = Connections::new();
        assert_eq!([connections.next_id(), connections.next_id()], [1, 2]);
        connections.last_id.set(u32::MAX - 1);
        assert_eq!(
            [connections.next_id(), connections.next_id()],
            [u32::MAX, 1]
        );
    }
}
