//! A route's configuration for a runner, and the token it has there.
//!
//! A call reads the token through an atomic pointer. Only where there is none
//! does it wait: for the one PrepareConf that is under way for this
//! configuration, whichever worker sent it. A PrepareConf is a task of its own,
//! which the call that started it does not take with it when it is dropped; so
//! impatient clients cannot keep a slow runner from ever being prepared.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use outrigger_a6::{ConfToken, Encoder, Entries, Entry, prepare_conf};
use tokio::time::{Instant, timeout};

use crate::call::prepared;
use crate::connection::Connection;
use crate::flight::{Flight, Turn};
use crate::runner::Shared;
use crate::token::Token;
use crate::{CallError, CloseReason, Event, Runner, Stage};

/// What a route says to the plugins of a runner. It belongs to one runner, and
/// lives as long as the route's configuration does not change; each worker
/// calls with the same one.
#[derive(Debug)]
pub struct Conf(Arc<Prepared>);

#[derive(Debug)]
struct Prepared {
    key: String,
    entries: Vec<(String, String)>,
    token: ArcSwapOption<Token>,
    flight: Flight,
}

impl Conf {
    /// A configuration that has no token yet. `key` names resource, plugin and
    /// version, as in `route#1#ext-plugin-pre-req#…`: a runner may answer the
    /// same key with the same token. `entries` are the plugins in the order
    /// they run, each with its configuration.
    pub fn new(key: String, entries: Vec<(String, String)>) -> Arc<Self> {
        Arc::new(Self(Arc::new(Prepared {
            key,
            entries,
            token: ArcSwapOption::empty(),
            flight: Flight::default(),
        })))
    }

    /// Which configuration this is, in which version.
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// The plugins' names and configurations.
    pub fn entries(&self) -> &[(String, String)] {
        &self.0.entries
    }

    /// A token for the process that `runner` has now, as far as that is known.
    ///
    /// # Errors
    /// Those of connecting and preparing.
    pub(crate) async fn token(&self, runner: &Runner) -> Result<Token, CallError> {
        let now = Instant::now();
        match self.0.usable(now, runner.shared()) {
            Some(token) => {
                if token.is_renewal_due(now) {
                    self.renew(runner);
                }
                Ok(token)
            }
            None => self.prepare(runner).await,
        }
    }

    /// Forgets `token`, if it is still the one in use.
    pub(crate) fn void(&self, token: &Token) {
        self.0.replace(token, None);
    }

    async fn prepare(&self, runner: &Runner) -> Result<Token, CallError> {
        let arrival = self.0.flight.arrive();
        let after = runner.timeouts().prepare;
        let turn = timeout(after, self.0.flight.turn())
            .await
            .map_err(|_| CallError::Timeout {
                stage: Stage::Prepare,
                after,
            })?;
        if let Some(token) = self.0.usable(Instant::now(), runner.shared()) {
            return Ok(token);
        }
        if let Some(error) = turn.failed_since(arrival) {
            return Err(error);
        }
        let preparing = self.start(runner, turn, false);
        match tokio::spawn(preparing).await {
            Ok(result) => result,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => Err(CallError::NotRunning {
                why: "the gateway is stopping".into(),
            }),
        }
    }

    /// Has the token renewed in the background, unless somebody does so.
    fn renew(&self, runner: &Runner) {
        let Some(turn) = self.0.flight.turn_now() else {
            return;
        };
        let now = Instant::now();
        // The turn before this one may have renewed it just now.
        if self
            .0
            .usable(now, runner.shared())
            .is_some_and(|token| token.is_renewal_due(now))
        {
            drop(tokio::spawn(self.start(runner, turn, true)));
        }
    }

    fn start(
        &self,
        runner: &Runner,
        turn: Turn,
        renewal: bool,
    ) -> impl Future<Output = Result<Token, CallError>> + Send + use<> {
        let conf = Arc::clone(&self.0);
        let runner = Arc::clone(runner.shared());
        async move {
            let begun = Instant::now();
            let result = conf.prepare_at(&runner).await;
            match &result {
                Ok(token) => {
                    conf.token.store(Some(Arc::new(*token)));
                    let (key, token, took) = (&*conf.key, token.value(), begun.elapsed());
                    runner.event(Event::ConfPrepared {
                        key,
                        token,
                        renewal,
                        took,
                    });
                    turn.finish(None);
                }
                Err(error) => {
                    if renewal {
                        conf.put_off_renewal();
                    }
                    let key = &*conf.key;
                    runner.event(Event::PrepareFailed {
                        key,
                        renewal,
                        error,
                    });
                    turn.finish(Some(error.clone()));
                }
            }
            result
        }
    }
}

impl Prepared {
    fn usable(&self, now: Instant, runner: &Shared) -> Option<Token> {
        let token = **self.token.load().as_ref()?;
        token
            .is_usable(now, runner.target().process())
            .then_some(token)
    }

    /// Puts another in the place of `token`, if that is still there.
    fn replace(&self, token: &Token, by: Option<Token>) {
        let current = self.token.load();
        if current.as_ref().is_some_and(|current| current.is(token)) {
            self.token.compare_and_swap(&current, by.map(Arc::new));
        }
    }

    fn put_off_renewal(&self) {
        if let Some(token) = self.token.load_full() {
            self.replace(&token, Some(token.after_failed_renewal(Instant::now())));
        }
    }

    /// Sends PrepareConf. On a connection of its own, which is closed
    /// afterwards: the Java runner may write its answer twice.
    async fn prepare_at(&self, runner: &Arc<Shared>) -> Result<Token, CallError> {
        let mut connection = runner.connect().await?;
        let asked_at = Instant::now();
        let after = runner.timeouts().prepare;
        let asked = timeout(after, self.ask(&mut connection)).await;
        let answer = asked.unwrap_or(Err(CallError::Timeout {
            stage: Stage::Prepare,
            after,
        }));
        connection.closes_as(if answer.is_ok() {
            CloseReason::Done
        } else {
            CloseReason::Failed
        });
        let process = connection.process();
        Ok(Token::new(
            answer?,
            process,
            asked_at,
            runner.conf_lifetime(),
        ))
    }

    async fn ask(&self, connection: &mut Connection) -> Result<ConfToken, CallError> {
        let entries: Vec<_> = self.entries.iter().map(entry).collect();
        let request = prepare_conf::Request {
            conf: Entries::from(&entries),
            key: self.key.as_bytes(),
        };
        let mut encoder = Encoder::new();
        let frame = encoder
            .encode(&request)
            .map_err(|source| CallError::TooLarge { source })?;
        connection.send(frame, Stage::Prepare)?;
        loop {
            if let Some(frame) = connection.received(Stage::Prepare)? {
                return prepared(frame);
            }
            connection.exchange_bytes(Stage::Prepare).await?;
        }
    }
}

fn entry((name, value): &(String, String)) -> Entry<'_> {
    Entry {
        name: name.as_bytes(),
        value: Some(value.as_bytes()),
    }
}
