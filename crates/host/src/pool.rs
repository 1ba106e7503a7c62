//! A worker's idle connections, per runner, and its count of calls under way.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use crate::connection::Connection;
use crate::limits::{CALLS_IN_FLIGHT, IDLE_CONNECTIONS, IDLE_LIMIT};
use crate::runner::{Shared, Target};
use crate::{CallError, CloseReason};

/// The pools of all runners that this worker called lately. They are few, so
/// they are searched in order.
#[derive(Default)]
pub(crate) struct Pools(RefCell<Vec<Rc<Pool>>>);

/// The connections to one runner.
struct Pool {
    runner: Arc<Shared>,
    /// The one used last is at the back: it is the next to be used, and the
    /// others grow old.
    idle: RefCell<VecDeque<Connection>>,
    in_flight: Cell<usize>,
}

/// The right to have one call under way.
pub(crate) struct Place(Rc<Pool>);

impl Pools {
    /// # Errors
    /// [`CallError::Overloaded`]
    pub(crate) fn enter(&self, runner: &Arc<Shared>) -> Result<Place, CallError> {
        let pool = self.pool(runner);
        let in_flight = pool.in_flight.get();
        if in_flight >= CALLS_IN_FLIGHT {
            return Err(CallError::Overloaded {
                limit: CALLS_IN_FLIGHT,
            });
        }
        pool.in_flight.set(in_flight + 1);
        Ok(Place(pool))
    }

    /// Closes what will not be used again.
    pub(crate) fn sweep(&self) {
        self.0.borrow_mut().retain(|pool| pool.is_needed());
    }

    fn pool(&self, runner: &Arc<Shared>) -> Rc<Pool> {
        let mut pools = self.0.borrow_mut();
        if let Some(pool) = pools.iter().find(|pool| Arc::ptr_eq(&pool.runner, runner)) {
            return Rc::clone(pool);
        }
        // Runners come and go with the configuration. This is the place where
        // those that are gone would pile up.
        pools.retain(|pool| pool.is_needed());
        let pool = Rc::new(Pool {
            runner: Arc::clone(runner),
            idle: RefCell::default(),
            in_flight: Cell::new(0),
        });
        pools.push(Rc::clone(&pool));
        pool
    }
}

impl Pool {
    /// Closes what will not be used again. Whether anything is left.
    fn is_needed(&self) -> bool {
        let (target, now) = (self.runner.target(), Instant::now());
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|connection| {
            let unfit = unfit(connection, &target, now);
            if let Some(reason) = unfit {
                connection.closes_as(reason);
            }
            unfit.is_none()
        });
        self.in_flight.get() > 0 || !idle.is_empty()
    }
}

impl Place {
    /// An idle connection that leads to the process that calls go to now.
    pub(crate) fn checkout(&self) -> Option<Connection> {
        let now = Instant::now();
        let target = self.0.runner.target();
        loop {
            let mut connection = self.0.idle.borrow_mut().pop_back()?;
            match unfit(&connection, &target, now) {
                Some(reason) => connection.closes_as(reason),
                None => {
                    connection.closes_as(CloseReason::Cancelled);
                    return Some(connection);
                }
            }
        }
    }

    /// Takes a connection back after a call that went well.
    pub(crate) fn give_back(&self, mut connection: Connection) {
        let now = Instant::now();
        let mut idle = self.0.idle.borrow_mut();
        // The oldest go here, if not in a sweep.
        while idle.front().is_some_and(|oldest| is_old(oldest, now)) {
            if let Some(mut oldest) = idle.pop_front() {
                oldest.closes_as(CloseReason::Idle);
            }
        }
        if !connection.is_clean() {
            connection.closes_as(CloseReason::Unclean);
        } else if is_outdated(&connection, &self.0.runner.target()) {
            connection.closes_as(CloseReason::Outdated);
        } else if idle.len() >= IDLE_CONNECTIONS {
            connection.closes_as(CloseReason::Surplus);
        } else {
            connection.rest(now);
            idle.push_back(connection);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

/// Why an idle connection is not to be used again.
fn unfit(connection: &Connection, target: &Target, now: Instant) -> Option<CloseReason> {
    if is_outdated(connection, target) {
        Some(CloseReason::Outdated)
    } else if is_old(connection, now) {
        Some(CloseReason::Idle)
    } else if !connection.is_quiet() {
        Some(CloseReason::Disturbed)
    } else {
        None
    }
}

fn is_outdated(connection: &Connection, target: &Target) -> bool {
    connection.generation() != target.generation() || target.process() != Some(connection.process())
}

fn is_old(connection: &Connection, now: Instant) -> bool {
    now.duration_since(connection.idle_since()) >= IDLE_LIMIT
}
