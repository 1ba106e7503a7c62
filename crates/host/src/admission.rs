//! How many calls a runner has under way, and who waits for a turn.
//!
//! A call that finds a place takes it with two atomic operations. Only where
//! there is none does it lock: it joins the line, and who leaves hands the
//! place to the first there. Nobody overtakes the line.
//!
//! The two sides cannot miss each other: who leaves first gives the place back
//! and then looks for a line, who joins first stands in line and then looks for
//! a place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::CallError;
use crate::error::Overload;
use crate::settings::Limits;

#[derive(Debug)]
pub(crate) struct Admission {
    /// Places there are.
    places: AtomicUsize,
    /// How many calls may wait.
    queue: AtomicUsize,
    /// Places that are taken.
    in_flight: AtomicUsize,
    /// Calls that wait for something else than a place.
    elsewhere: AtomicUsize,
    /// The length of `line`, to be read without locking.
    in_line: AtomicUsize,
    line: Mutex<Line>,
}

/// Those who wait for a place, in the order they came.
#[derive(Debug, Default)]
struct Line {
    last: u64,
    tickets: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            places: AtomicUsize::new(limits.in_flight.max(1)),
            queue: AtomicUsize::new(limits.queue),
            in_flight: AtomicUsize::new(0),
            elsewhere: AtomicUsize::new(0),
            in_line: AtomicUsize::new(0),
            line: Mutex::default(),
        }
    }

    /// From now on there are as many places. Who has one keeps it.
    pub(crate) fn resize(&self, limits: Limits) {
        self.places.store(limits.in_flight.max(1), SeqCst);
        self.queue.store(limits.queue, SeqCst);
        self.hand_out();
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    /// Calls that wait, whatever for.
    pub(crate) fn queued(&self) -> usize {
        self.in_line.load(SeqCst) + self.elsewhere.load(SeqCst)
    }

    /// Takes a place if there is one and nobody waits for it. To be given back
    /// by [`leave`](Self::leave).
    pub(crate) fn try_enter(&self) -> bool {
        self.in_line.load(SeqCst) == 0 && self.take()
    }

    /// Waits for a place, to be given back by [`leave`](Self::leave). May be
    /// dropped at any time.
    ///
    /// # Errors
    /// [`CallError::Overloaded`], at once, where too many wait.
    pub(crate) async fn enter_in_turn(&self) -> Result<(), CallError> {
        let (ticket, called) = oneshot::channel();
        let mut stand = self.join(ticket)?;
        self.hand_out();
        called.await.expect("a ticket is only used up by its call");
        stand.taken = true;
        Ok(())
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, SeqCst);
        if self.in_line.load(SeqCst) > 0 {
            self.hand_out();
        }
    }

    /// Counts somebody who has a place and waits for something else.
    ///
    /// # Errors
    /// [`CallError::Overloaded`] where too many wait.
    pub(crate) fn wait_elsewhere(&self) -> Result<Elsewhere<'_>, CallError> {
        let limit = self.queue.load(SeqCst);
        let before = self.elsewhere.fetch_add(1, SeqCst);
        let counted = Elsewhere(self);
        if before + self.in_line.load(SeqCst) < limit {
            Ok(counted)
        } else {
            Err(full(limit))
        }
    }

    fn join(&self, ticket: oneshot::Sender<()>) -> Result<Stand<'_>, CallError> {
        let limit = self.queue.load(SeqCst);
        let mut line = self.line();
        if line.tickets.len() + self.elsewhere.load(SeqCst) >= limit {
            return Err(full(limit));
        }
        line.last += 1;
        let number = line.last;
        line.tickets.insert(number, ticket);
        self.in_line.store(line.tickets.len(), SeqCst);
        Ok(Stand {
            admission: self,
            number,
            taken: false,
        })
    }

    /// Calls the first in line for as long as there are places.
    fn hand_out(&self) {
        let mut line = self.line();
        while !line.tickets.is_empty() && self.take() {
            if let Some((_, ticket)) = line.tickets.pop_first() {
                // Who does not listen any more gives the place back when it
                // finds that its ticket was used.
                let _ = ticket.send(());
            }
        }
        self.in_line.store(line.tickets.len(), SeqCst);
    }

    fn take(&self) -> bool {
        let places = self.places.load(SeqCst);
        let more = |taken: usize| (taken < places).then_some(taken + 1);
        self.in_flight.fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Nothing in here panics between two steps that belong together.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn full(limit: usize) -> CallError {
    CallError::Overloaded {
        what: Overload::Queue,
        limit,
    }
}

/// Somebody in line.
struct Stand<'a> {
    admission: &'a Admission,
    number: u64,
    /// The place was handed over and belongs to the call.
    taken: bool,
}

impl Drop for Stand<'_> {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut line = self.admission.line();
        let waited = line.tickets.remove(&self.number).is_some();
        self.admission.in_line.store(line.tickets.len(), SeqCst);
        drop(line);
        if !waited {
            // It was called just when it went.
            self.admission.leave();
        }
    }
}

/// Somebody who waits for something else than a place.
#[derive(Debug)]
pub(crate) struct Elsewhere<'a>(&'a Admission);

impl Drop for Elsewhere<'_> {
    fn drop(&mut self) {
        self.0.elsewhere.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests;
