//! How many bytes of long frames a runner has in memory here, over all its
//! connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::CallError;
use crate::error::Overload;
use crate::limits::UNCOUNTED_BUFFER;

/// One runner's budget.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: AtomicUsize,
    held: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            held: AtomicUsize::new(0),
        }
    }

    pub(crate) fn resize(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes that connections hold now.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// One connection's part of a budget. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    pub(crate) fn nothing(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    /// The connection's buffers have `bytes` bytes now. Costs nothing for those
    /// that never grow.
    ///
    /// # Errors
    /// [`CallError::Overloaded`] where that is more than the budget has left.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), CallError> {
        let bytes = if bytes > UNCOUNTED_BUFFER { bytes } else { 0 };
        if bytes <= self.bytes {
            self.shrink(bytes);
            return Ok(());
        }
        let (held, limit) = (&self.budget.held, self.budget.limit.load(Ordering::Relaxed));
        let more = bytes - self.bytes;
        let before = held.fetch_add(more, Ordering::Relaxed);
        if before + more > limit {
            held.fetch_sub(more, Ordering::Relaxed);
            return Err(CallError::Overloaded {
                what: Overload::Buffers,
                limit,
            });
        }
        self.bytes = bytes;
        Ok(())
    }

    fn shrink(&mut self, bytes: usize) {
        if bytes < self.bytes {
            let less = self.bytes - bytes;
            self.budget.held.fetch_sub(less, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = UNCOUNTED_BUFFER;

    #[test]
    fn small_buffers_do_not_count() {
        let budget = Arc::new(Budget::new(0));
        let mut held = Held::nothing(&budget);
        assert!(held.resize(SMALL).is_ok());
        assert_eq!(budget.held(), 0);
        assert!(held.resize(SMALL + 1).is_err());
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn all_connections_share_one_budget() {
        let budget = Arc::new(Budget::new(5 * SMALL));
        let (mut a, mut b) = (Held::nothing(&budget), Held::nothing(&budget));
        assert!(a.resize(3 * SMALL).is_ok());
        assert!(b.resize(3 * SMALL).is_err());
        assert!(b.resize(2 * SMALL).is_ok());
        assert!(a.resize(3 * SMALL + 1).is_err());
        assert_eq!(budget.held(), 5 * SMALL, "what was refused changes nothing");
        drop(a);
        assert!(b.resize(5 * SMALL).is_ok());
        assert!(b.resize(0).is_ok());
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn what_is_held_stays_when_the_budget_shrinks() {
        let budget = Arc::new(Budget::new(5 * SMALL));
        let mut held = Held::nothing(&budget);
        assert!(held.resize(4 * SMALL).is_ok());
        budget.resize(2 * SMALL);
        assert!(held.resize(3 * SMALL).is_ok(), "less is always fine");
        assert!(held.resize(4 * SMALL).is_err());
    }
}
