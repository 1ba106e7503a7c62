//! Telling a worker's connections to end after the request that they are at.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Shared by a worker and its connections. Asking costs one read of a cell.
#[derive(Default)]
pub(crate) struct Drain {
    draining: Cell<bool>,
    wakers: RefCell<HashMap<u64, Waker>>,
}

impl Drain {
    /// Counts a connection in, until the returned member is dropped.
    pub(crate) fn join(self: &Rc<Self>, connection: u64) -> Member {
        Member {
            drain: Rc::clone(self),
            connection,
            known: false,
        }
    }

    /// Wakes every connection to tell it that it is to end.
    pub(crate) fn begin(&self) {
        self.draining.set(true);
        self.wakers.borrow().values().for_each(Waker::wake_by_ref);
    }

    pub(crate) fn connections(&self) -> usize {
        self.wakers.borrow().len()
    }
}

pub(crate) struct Member {
    drain: Rc<Drain>,
    connection: u64,
    known: bool,
}

impl Member {
    /// Whether the connection is to end; wakes its task when that changes.
    pub(crate) fn poll_draining(&mut self, cx: &mut Context<'_>) -> bool {
        // A task's waker is the same for the task's whole life.
        if !self.known {
            self.drain
                .wakers
                .borrow_mut()
                .insert(self.connection, cx.waker().clone());
            self.known = true;
        }
        self.drain.draining.get()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.drain.wakers.borrow_mut().remove(&self.connection);
    }
}
