//! A worker's idle upstream connections.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use outrigger_engine::upstream::{Address, Keepalive};

use super::link::Link;
use crate::limits::MAX_IDLE_LINKS;

pub(crate) struct Pool {
    idle: RefCell<BTreeMap<Address, Vec<Idle>>>,
    /// How many links `idle` holds.
    count: Cell<usize>,
    /// When it was last swept: a clock that costs nothing to look at.
    swept: Cell<Instant>,
}

struct Idle {
    link: Box<Link>,
    /// Zero: without end.
    timeout: Duration,
}

impl Idle {
    fn is_over(&self, now: Instant) -> bool {
        !self.timeout.is_zero() && now.duration_since(self.link.last_used) >= self.timeout
    }
}

impl Pool {
    pub(crate) fn new() -> Self {
        Pool {
            idle: RefCell::default(),
            count: Cell::new(0),
            swept: Cell::new(Instant::now()),
        }
    }

    /// The link to `address` that was used last, if one seems usable.
    pub(crate) fn take(&self, address: &Address, now: Instant) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        let links = idle.get_mut(address)?;
        while let Some(candidate) = links.pop() {
            self.count.set(self.count.get() - 1);
            if !candidate.is_over(now) && candidate.link.is_ready() {
                return Some(candidate.link);
            }
        }
        None
    }

    /// Puts a link aside after its response has been read to the end, unless
    /// it cannot be used again or there are enough. Its idle time counts from
    /// when its request was sent, or from the last sweep if that was later.
    pub(crate) fn put(&self, address: &Address, mut link: Box<Link>, keepalive: &Keepalive) {
        let spent = link.served >= keepalive.requests;
        if spent || self.count.get() >= MAX_IDLE_LINKS || !(link.is_ready() || link.probe()) {
            return;
        }
        link.last_used = link.last_used.max(self.swept.get());
        let idle = Idle {
            link,
            timeout: keepalive.idle_timeout,
        };
        let mut links = self.idle.borrow_mut();
        // A look-up by reference first: a node's key is cloned only once.
        if let Some(links) = links.get_mut(address) {
            if links.len() >= keepalive.size {
                return;
            }
            links.push(idle);
        } else if keepalive.size > 0 {
            links.insert(address.clone(), vec![idle]);
        } else {
            return;
        }
        self.count.set(self.count.get() + 1);
    }

    /// Drops links that have been idle too long or that the node has closed.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.swept.set(now);
        let mut idle = self.idle.borrow_mut();
        for links in idle.values_mut() {
            links.retain_mut(|idle| !idle.is_over(now) && idle.link.probe());
        }
        idle.retain(|_, links| !links.is_empty());
        self.count.set(idle.values().map(Vec::len).sum());
    }
}
