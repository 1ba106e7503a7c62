//! A route's configuration for a runner, and the tokens it has there.
//!
//! Each process gives a token of its own, so there is a [`Slot`] for each
//! generation of each process. A call reads its token through atomic pointers.
//! Only where there is none does it wait: for the one PrepareConf that is under
//! way for this configuration at this process, whichever worker sent it. A
//! PrepareConf is a task of its own, which the call that started it does not
//! take with it when it is dropped; so impatient clients cannot keep a slow
//! runner from ever being prepared.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use outrigger_a6::{ConfToken, Encoder, Entries, Entry, prepare_conf};
use tokio::time::{Instant, timeout};

use crate::call::prepared;
use crate::connection::Connection;
use crate::flight::{Flight, Turn};
use crate::ready::connect;
use crate::runner::Shared;
use crate::target::Target;
use crate::token::Token;
use crate::{CallError, CloseReason, Event, Stage};

/// What a route says to the plugins of a runner. It belongs to one runner, and
/// lives as long as the route's configuration does not change; each worker
/// calls with the same one.
#[derive(Debug)]
pub struct Conf(Arc<Prepared>);

#[derive(Debug)]
pub(crate) struct Prepared {
    key: String,
    entries: Vec<(String, String)>,
    /// One for each process that is called now, and perhaps some that were.
    slots: ArcSwap<Vec<Arc<Slot>>>,
    /// Whether it is among those that are prepared ahead.
    ahead: AtomicBool,
}

/// The token of one generation of a process.
#[derive(Debug)]
struct Slot {
    generation: u64,
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
            slots: ArcSwap::default(),
            ahead: AtomicBool::new(false),
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

    pub(crate) fn prepared(&self) -> &Arc<Prepared> {
        &self.0
    }
}

/// How long preparing may take, and connecting for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) prepare: Duration,
    pub(crate) connect: Duration,
}

impl Prepared {
    /// The token for a call to `target`, if there is one.
    pub(crate) fn token(
        self: &Arc<Self>,
        runner: &Arc<Shared>,
        target: &Arc<Target>,
        now: Instant,
    ) -> Option<Token> {
        let slots = self.slots.load();
        let slot = slots
            .iter()
            .find(|slot| slot.generation == target.generation())?;
        let token = slot.usable(now, target)?;
        if token.is_renewal_due(now) {
            self.renew(runner, target, slot);
        }
        Some(token)
    }

    /// Forgets `token`, if it is still the one in use for `target`.
    pub(crate) fn void(&self, target: &Target, token: &Token) {
        if let Some(slot) = self.find(target) {
            slot.replace(token, None);
        }
    }

    /// The token for calls to `target`, asked for if need be.
    ///
    /// # Errors
    /// Those of connecting and preparing.
    pub(crate) async fn prepare(
        self: &Arc<Self>,
        runner: &Arc<Shared>,
        target: &Arc<Target>,
        patience: Patience,
    ) -> Result<Token, CallError> {
        let slot = self.slot(runner, target);
        let arrival = slot.flight.arrive();
        let after = patience.prepare;
        let turn = timeout(after, slot.flight.turn())
            .await
            .map_err(|_| CallError::Timeout {
                stage: Stage::Prepare,
                after,
            })?;
        if let Some(token) = slot.usable(Instant::now(), target) {
            return Ok(token);
        }
        if let Some(error) = turn.failed_since(arrival) {
            return Err(error);
        }
        let preparing = self.start(runner, target, &slot, turn, patience, false);
        match tokio::spawn(preparing).await {
            Ok(result) => result,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => Err(CallError::NotRunning {
                why: "the gateway is stopping".into(),
            }),
        }
    }

    /// Has the token renewed in the background, unless somebody does so.
    fn renew(self: &Arc<Self>, runner: &Arc<Shared>, target: &Arc<Target>, slot: &Arc<Slot>) {
        let Some(turn) = slot.flight.turn_now() else {
            return;
        };
        let now = Instant::now();
        // The turn before this one may have renewed it just now.
        if slot
            .usable(now, target)
            .is_some_and(|token| token.is_renewal_due(now))
        {
            let timeouts = runner.timeouts();
            let patience = Patience {
                prepare: timeouts.prepare,
                connect: timeouts.connect,
            };
            drop(tokio::spawn(
                self.start(runner, target, slot, turn, patience, true),
            ));
        }
    }

    fn start(
        self: &Arc<Self>,
        runner: &Arc<Shared>,
        target: &Arc<Target>,
        slot: &Arc<Slot>,
        turn: Turn,
        patience: Patience,
        renewal: bool,
    ) -> impl Future<Output = Result<Token, CallError>> + Send + use<> {
        let (conf, slot) = (Arc::clone(self), Arc::clone(slot));
        let (runner, target) = (Arc::clone(runner), Arc::clone(target));
        async move {
            let begun = Instant::now();
            let result = tokio::select! {
                result = conf.prepare_at(&runner, &target, patience) => result,
                // Nobody needs it any more, and its process is to end.
                () = runner.retired(&target) => Err(replaced()),
            };
            let key = &*conf.key;
            match &result {
                Ok(token) => {
                    slot.token.store(Some(Arc::new(*token)));
                    let (token, took) = (token.value(), begun.elapsed());
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
                        slot.put_off_renewal();
                    }
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

    /// Whether anybody has tried to prepare it at `target`.
    pub(crate) fn was_tried(&self, target: &Target) -> bool {
        self.find(target).is_some()
    }

    /// True the first time.
    pub(crate) fn is_first_to_be_ahead(&self) -> bool {
        !self.ahead.swap(true, Ordering::Relaxed)
    }

    fn find(&self, target: &Target) -> Option<Arc<Slot>> {
        let slots = self.slots.load();
        let mut slots = slots.iter();
        slots
            .find(|slot| slot.generation == target.generation())
            .cloned()
    }

    /// The slot for `target`. Where there is none yet, those of processes that
    /// are gone make room for it.
    fn slot(&self, runner: &Shared, target: &Target) -> Arc<Slot> {
        if let Some(slot) = self.find(target) {
            return slot;
        }
        let slot = Arc::new(Slot {
            generation: target.generation(),
            token: ArcSwapOption::empty(),
            flight: Flight::default(),
        });
        let table = runner.table();
        let is_called = |slot: &Arc<Slot>| {
            let mut targets = table.targets();
            targets.any(|target| target.generation() == slot.generation)
        };
        self.slots.rcu(|slots| {
            if slots
                .iter()
                .any(|other| other.generation == slot.generation)
            {
                return Arc::clone(slots);
            }
            let called = slots.iter().filter(|slot| is_called(slot)).cloned();
            Arc::new(called.chain([Arc::clone(&slot)]).collect())
        });
        // Somebody else's, if that was faster.
        self.find(target).unwrap_or(slot)
    }

    /// Sends PrepareConf. On a connection of its own, which is closed
    /// afterwards: the Java runner may write its answer twice.
    async fn prepare_at(
        &self,
        runner: &Arc<Shared>,
        target: &Arc<Target>,
        patience: Patience,
    ) -> Result<Token, CallError> {
        let mut connection = connect(runner, target, patience.connect).await?;
        let asked_at = Instant::now();
        let after = patience.prepare;
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
        let from = (connection.process(), connection.encounter());
        let lifetime = runner.settings().conf_lifetime;
        Ok(Token::new(answer?, from, asked_at, lifetime))
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

impl Slot {
    fn usable(&self, now: Instant, target: &Target) -> Option<Token> {
        let token = **self.token.load().as_ref()?;
        (token.is_usable(now) && target.is_current(token.encounter())).then_some(token)
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
}

/// What ends the work for a process that is called no more.
pub(crate) fn replaced() -> CallError {
    CallError::NotRunning {
        why: "its process was replaced".into(),
    }
}

fn entry((name, value): &(String, String)) -> Entry<'_> {
    Entry {
        name: name.as_bytes(),
        value: Some(value.as_bytes()),
    }
}
