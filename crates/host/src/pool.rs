//! A worker's idle connections, per process, and its places in runners.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::CloseReason;
use crate::connection::Connection;
use crate::limits::{IDLE_CONNECTIONS, IDLE_LIMIT};
use crate::runner::Shared;
use crate::target::Target;

/// The pools of all runners that this worker called lately. They are few, so
/// they are searched in order.
#[derive(Default)]
pub(crate) struct Pools {
    pools: RefCell<Vec<Rc<Pool>>>,
    /// Woken when idle connections should be looked after.
    wake: Arc<Notify>,
}

/// The connections to one runner.
pub(crate) struct Pool {
    runner: Arc<Shared>,
    /// One for each process that was called lately; they are few.
    idle: RefCell<Vec<Idle>>,
    calls: Cell<usize>,
    /// Which process is the first to be looked at.
    turn: Cell<usize>,
}

/// The idle connections to one process.
struct Idle {
    target: Arc<Target>,
    /// The one used last is at the back: it is the next to be used, and the
    /// others grow old.
    connections: VecDeque<Connection>,
}

/// A place among the runner's calls. Given back when dropped.
pub(crate) struct Place(Rc<Pool>);

impl Pools {
    /// Closes what will not be used again.
    pub(crate) fn sweep(&self) {
        self.pools.borrow_mut().retain(|pool| pool.is_needed());
    }

    pub(crate) fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }

    pub(crate) fn of(&self, runner: &Arc<Shared>) -> Rc<Pool> {
        let mut pools = self.pools.borrow_mut();
        if let Some(pool) = pools.iter().find(|pool| Arc::ptr_eq(&pool.runner, runner)) {
            return Rc::clone(pool);
        }
        // Runners come and go with the configuration. This is the place where
        // those that are gone would pile up.
        pools.retain(|pool| pool.is_needed());
        let pool = Rc::new(Pool {
            runner: Arc::clone(runner),
            idle: RefCell::default(),
            calls: Cell::new(0),
            turn: Cell::new(0),
        });
        pools.push(Rc::clone(&pool));
        runner.add_worker(&self.wake);
        pool
    }
}

impl Pool {
    /// A place that its owner has entered already.
    pub(crate) fn place(self: Rc<Self>) -> Place {
        self.calls.set(self.calls.get() + 1);
        Place(self)
    }

    /// Closes what will not be used again. Whether anything is left.
    fn is_needed(&self) -> bool {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        for idle in &mut *idle {
            idle.connections.retain_mut(|connection| {
                let unfit = unfit(connection, now);
                if let Some(reason) = unfit {
                    connection.closes_as(reason);
                }
                unfit.is_none()
            });
        }
        idle.retain(|idle| !idle.connections.is_empty());
        self.calls.get() > 0 || !idle.is_empty()
    }
}

impl Place {
    /// Another number each time.
    pub(crate) fn turn(&self) -> usize {
        let turn = self.0.turn.get();
        self.0.turn.set(turn.wrapping_add(1));
        turn
    }

    /// An idle connection to `target`, where calls still go.
    pub(crate) fn checkout(&self, target: &Arc<Target>, now: Instant) -> Option<Connection> {
        let mut idle = self.0.idle.borrow_mut();
        let idle = idle
            .iter_mut()
            .find(|idle| Arc::ptr_eq(&idle.target, target))?;
        loop {
            let mut connection = idle.connections.pop_back()?;
            match unfit(&connection, now) {
                Some(reason) => connection.closes_as(reason),
                None => {
                    connection.closes_as(CloseReason::Cancelled);
                    return Some(connection);
                }
            }
        }
    }

    /// Takes a connection back after a call that went well.
    pub(crate) fn give_back(&self, mut connection: Connection, now: Instant) {
        if !connection.is_clean() {
            connection.closes_as(CloseReason::Unclean);
            return;
        }
        if connection.is_outdated() {
            connection.closes_as(CloseReason::Outdated);
            return;
        }
        let mut idle = self.0.idle.borrow_mut();
        let found = idle
            .iter()
            .position(|idle| Arc::ptr_eq(&idle.target, connection.target()));
        let at = found.unwrap_or_else(|| {
            // Processes come and go. Here those that are gone would pile up.
            idle.retain(|idle| !idle.target.is_retired());
            idle.push(Idle {
                target: Arc::clone(connection.target()),
                connections: VecDeque::new(),
            });
            idle.len() - 1
        });
        let connections = &mut idle[at].connections;
        // The oldest go here, if not in a sweep.
        while connections
            .front()
            .is_some_and(|oldest| is_old(oldest, now))
        {
            if let Some(mut oldest) = connections.pop_front() {
                oldest.closes_as(CloseReason::Idle);
            }
        }
        if connections.len() >= IDLE_CONNECTIONS {
            connection.closes_as(CloseReason::Surplus);
        } else {
            connection.rest(now);
            connections.push_back(connection);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get() - 1);
        self.0.runner.admission().leave();
    }
}

/// Why an idle connection is not to be used again.
fn unfit(connection: &Connection, now: Instant) -> Option<CloseReason> {
    if connection.is_outdated() {
        Some(CloseReason::Outdated)
    } else if is_old(connection, now) {
        Some(CloseReason::Idle)
    } else if !connection.is_quiet() {
        Some(CloseReason::Disturbed)
    } else {
        None
    }
}

fn is_old(connection: &Connection, now: Instant) -> bool {
    now.duration_since(connection.idle_since()) >= IDLE_LIMIT
}
