//! What a call needs before it can be sent: a process, a token, a connection.
//!
//! With all of them at hand this waits for nothing and locks nothing. Where no
//! process listens, a call waits here within its time limit, as long as there
//! is hope.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::attempts::Attempts;
use crate::conf::{Patience, Prepared, replaced};
use crate::connection::Connection;
use crate::limits::{CONNECT_RETRY_FIRST, CONNECT_RETRY_MAX, LONGEST_TIME};
use crate::pool::Place;
use crate::runner::Shared;
use crate::target::{Absence, Seat, Target};
use crate::token::Token;
use crate::{CallError, CallOptions, CloseReason, Event, Stage, Timeouts};

/// A call on its way to a connection, again where it is sent again.
pub(crate) struct Approach<'a> {
    pub(crate) runner: &'a Arc<Shared>,
    pub(crate) conf: &'a Arc<Prepared>,
    pub(crate) place: Place,
    pub(crate) times: Timeouts,
    /// When the call's time is over. Before it is sent for the first time,
    /// preparing its configuration puts this off.
    pub(crate) deadline: Instant,
    pub(crate) attempts: Attempts,
    /// Whether it was sent before.
    pub(crate) sent: bool,
    /// A generation where it did not go well.
    pub(crate) avoid: Option<u64>,
    /// How long it waited for a process.
    pub(crate) waited: Duration,
}

/// All that a call needs.
pub(crate) struct Ready {
    pub(crate) token: Token,
    pub(crate) connection: Connection,
    pub(crate) seat: Seat,
}

/// The times of a call.
pub(crate) fn times(options: &CallOptions, configured: Timeouts) -> Timeouts {
    let or = |time: Option<Duration>, configured| time.unwrap_or(configured).min(LONGEST_TIME);
    Timeouts {
        connect: or(options.connect, configured.connect),
        prepare: or(options.prepare, configured.prepare),
        call: or(options.time_limit, configured.call),
    }
}

impl Approach<'_> {
    /// # Errors
    /// Those of connecting and preparing, and that nobody came to listen in
    /// time.
    pub(crate) async fn ready(&mut self) -> Result<Ready, CallError> {
        let mut pause = CONNECT_RETRY_FIRST;
        let mut refusals = 0;
        loop {
            let seat = self.seat().await?;
            let error = match self.ready_at(seat.target()).await {
                Ok(Some((token, connection))) => {
                    return Ok(Ready {
                        token,
                        connection,
                        seat,
                    });
                }
                Ok(None) => {
                    self.attempts.token_is_useless()?;
                    continue;
                }
                Err(error) => error,
            };
            if seat.target().is_retired() && error.is_nobody_there() {
                continue;
            }
            let tried_before = self.avoid.replace(seat.target().generation());
            drop(seat);
            let others = self.runner.table().targets().count() > 1;
            if error.is_too_busy() && others && tried_before.is_none() {
                self.runner.event(Event::CallRepeated { error: &error });
                continue;
            }
            if !error.is_nobody_there() {
                let error = &self.attempts.prepare_failed(error)?;
                self.runner.event(Event::CallRepeated { error });
                continue;
            }
            refusals += 1;
            if refusals >= self.runner.table().targets().count() {
                refusals = 0;
                self.pause(error, pause).await?;
                pause = (pause * 2).min(CONNECT_RETRY_MAX);
            }
        }
    }

    /// `None` where the token turned out to be of another process.
    async fn ready_at(
        &mut self,
        target: &Arc<Target>,
    ) -> Result<Option<(Token, Connection)>, CallError> {
        let now = Instant::now();
        let token = match self.conf.token(self.runner, target, now) {
            Some(token) => token,
            None => self.prepare(target).await?,
        };
        let idle = if self.attempts.need_new_connection() {
            None
        } else {
            self.place.checkout(target, now)
        };
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect(target).await?,
        };
        if connection.process() == token.process() {
            return Ok(Some((token, connection)));
        }
        connection.closes_as(CloseReason::OtherProcess);
        self.conf.void(target, &token);
        Ok(None)
    }

    /// A seat at a process that listens, waiting until one does.
    async fn seat(&mut self) -> Result<Seat, CallError> {
        if let Some(seat) = self.runner.seat(self.avoid, self.place.turn()) {
            return Ok(seat);
        }
        let begun = Instant::now();
        let mut counted = None;
        loop {
            let mut changed = pin!(self.runner.changed());
            // Before looking, or a change in between would be missed.
            changed.as_mut().enable();
            if let Some(seat) = self.runner.seat(self.avoid, self.place.turn()) {
                self.waited += begun.elapsed();
                return Ok(seat);
            }
            let (absence, why) = self.runner.table().absence();
            if absence != Absence::Passing {
                return Err(CallError::NotRunning { why });
            }
            if counted.is_none() {
                counted = Some(self.runner.admission().wait_elsewhere()?);
            }
            if timeout_at(self.deadline, changed).await.is_err() {
                self.waited += begun.elapsed();
                return Err(CallError::NotRunning { why });
            }
        }
    }

    /// Nobody accepted connections. Whoever was there is ending or starting,
    /// and nobody can tell when that is over.
    async fn pause(&mut self, error: CallError, pause: Duration) -> Result<(), CallError> {
        let _counted = self.runner.admission().wait_elsewhere()?;
        let mut changed = pin!(self.runner.changed());
        changed.as_mut().enable();
        let now = Instant::now();
        tokio::select! {
            () = changed => {}
            () = sleep_until(self.deadline.min(now + pause)) => {}
        }
        self.waited += now.elapsed();
        if Instant::now() < self.deadline {
            Ok(())
        } else {
            Err(error)
        }
    }

    async fn prepare(&mut self, target: &Arc<Target>) -> Result<Token, CallError> {
        let patience = Patience {
            prepare: self.times.prepare,
            connect: self.times.connect,
        };
        let begun = Instant::now();
        let preparing = async {
            tokio::select! {
                result = self.conf.prepare(self.runner, target, patience) => result,
                () = self.runner.retired(target) => Err(replaced()),
            }
        };
        if self.sent {
            let result = timeout_at(self.deadline, preparing).await;
            return result.unwrap_or_else(|_| Err(self.timeout()));
        }
        let result = preparing.await;
        self.deadline += begun.elapsed();
        result
    }

    async fn connect(&self, target: &Arc<Target>) -> Result<Connection, CallError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        connect(self.runner, target, self.times.connect.min(left)).await
    }

    /// The call's time is over.
    pub(crate) fn timeout(&self) -> CallError {
        CallError::Timeout {
            stage: Stage::Call,
            after: self.times.call,
        }
    }
}

/// A new connection to `target`. Waits at most for `limit` while too many
/// others wait to be accepted.
///
/// # Errors
/// [`CallError::Connect`], [`CallError::WrongUser`], [`CallError::Timeout`]
pub(crate) async fn connect(
    runner: &Arc<Shared>,
    target: &Arc<Target>,
    limit: Duration,
) -> Result<Connection, CallError> {
    let give_up = Instant::now() + limit;
    let mut pause = CONNECT_RETRY_FIRST;
    loop {
        let opened = timeout_at(give_up, Connection::open(runner, target)).await;
        match opened {
            Err(_) => {
                return Err(CallError::Timeout {
                    stage: Stage::Connect,
                    after: limit,
                });
            }
            Ok(Err(error)) if error.is_queue_full() && Instant::now() < give_up => {
                sleep_until(give_up.min(Instant::now() + pause)).await;
                pause = (pause * 2).min(CONNECT_RETRY_MAX);
            }
            Ok(result) => return result,
        }
    }
}
