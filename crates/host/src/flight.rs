//! One attempt at a time, and its failure shared by all who were waiting for
//! it.
//!
//! Success is not handed over here: whoever gets its turn looks first whether
//! what it wants is there by now. A failure is handed to all who came before it
//! happened, or a runner that fails slowly would be asked by one waiter after
//! the other. Who comes later makes an attempt of its own. An attempt that ends
//! without a result lets the next waiter try.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::CallError;

#[derive(Debug, Default)]
pub(crate) struct Flight {
    finished: Arc<AtomicU64>,
    gate: Arc<Mutex<Option<Failure>>>,
}

#[derive(Debug)]
struct Failure {
    /// The number of attempts that had finished with this one.
    attempt: u64,
    error: CallError,
}

/// When somebody came, in attempts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival(u64);

/// The right to make the next attempt. Others wait while it lives.
#[derive(Debug)]
pub(crate) struct Turn {
    failure: OwnedMutexGuard<Option<Failure>>,
    finished: Arc<AtomicU64>,
}

impl Flight {
    /// To be called before waiting for a turn.
    pub(crate) fn arrive(&self) -> Arrival {
        Arrival(self.finished.load(Ordering::Acquire))
    }

    /// Waits until no attempt is under way.
    pub(crate) async fn turn(&self) -> Turn {
        let failure = Arc::clone(&self.gate).lock_owned().await;
        Turn {
            failure,
            finished: Arc::clone(&self.finished),
        }
    }

    /// A turn, if no attempt is under way now and nobody waits.
    pub(crate) fn turn_now(&self) -> Option<Turn> {
        let failure = Arc::clone(&self.gate).try_lock_owned().ok()?;
        Some(Turn {
            failure,
            finished: Arc::clone(&self.finished),
        })
    }
}

impl Turn {
    /// The failure of the last attempt, if it failed after `arrival`.
    pub(crate) fn failed_since(&self, arrival: Arrival) -> Option<CallError> {
        let failure = self.failure.as_ref()?;
        (failure.attempt > arrival.0).then(|| failure.error.clone())
    }

    /// Ends the attempt of this turn.
    pub(crate) fn finish(mut self, failure: Option<CallError>) {
        let attempt = self.finished.load(Ordering::Relaxed) + 1;
        *self.failure = failure.map(|error| Failure { attempt, error });
        self.finished.store(attempt, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> CallError {
        CallError::TokenLost { tries: 1 }
    }

    fn share(turn: &Turn, arrival: Arrival) -> bool {
        turn.failed_since(arrival).is_some()
    }

    #[test]
    fn there_is_one_turn_at_a_time() {
        let flight = Flight::default();
        let turn = flight.turn_now().unwrap();
        assert!(flight.turn_now().is_none());
        turn.finish(None);
        assert!(flight.turn_now().is_some());
    }

    #[test]
    fn a_failure_is_shared_by_those_who_came_before_it() {
        let flight = Flight::default();
        let before = flight.arrive();
        let turn = flight.turn_now().unwrap();
        let meanwhile = flight.arrive();
        turn.finish(Some(failure()));
        let afterwards = flight.arrive();

        let turn = flight.turn_now().unwrap();
        assert!(share(&turn, before) && share(&turn, meanwhile));
        assert!(!share(&turn, afterwards));
    }

    #[test]
    fn a_success_after_a_failure_is_the_end_of_it() {
        let flight = Flight::default();
        let before = flight.arrive();
        flight.turn_now().unwrap().finish(Some(failure()));
        flight.turn_now().unwrap().finish(None);
        assert!(!share(&flight.turn_now().unwrap(), before));
    }

    #[test]
    fn an_attempt_that_was_dropped_leaves_the_turn_to_the_next() {
        let flight = Flight::default();
        let before = flight.arrive();
        drop(flight.turn_now().unwrap());
        assert!(!share(&flight.turn_now().unwrap(), before));
    }
}
