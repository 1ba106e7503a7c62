//! A worker's idle upstream connections.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outrigger_engine::upstream::{Address, Keepalive};

use super::link;
use super::names::Names;
use super::stream::Stream;
use super::tls::Secured;
use crate::limits::MAX_IDLE_LINKS;

/// A connection to a node.
pub(crate) type Link = link::Link<Stream>;

/// Where a connection leads; those to the same place do for each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) address: Address,
    /// None without TLS.
    pub(crate) tls: Option<Secured>,
}

pub(crate) struct Pool {
    idle: RefCell<BTreeMap<Place, Vec<Idle>>>,
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

    /// The link to `place` that was used last. That its node has closed it may
    /// show only when it is used.
    pub(crate) fn take(&self, place: &Place, now: Instant) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        let links = idle.get_mut(place)?;
        while let Some(candidate) = links.pop() {
            self.count.set(self.count.get() - 1);
            if !candidate.is_over(now) {
                return Some(candidate.link);
            }
        }
        None
    }

    /// Puts a link aside after its response has been read to the end, unless
    /// it cannot be used again or there are enough. Its idle time counts from
    /// when its request was sent, or from the last sweep if that was later.
    pub(crate) fn put(&self, place: &Place, mut link: Box<Link>, keepalive: &Keepalive) {
        let spent = link.served >= keepalive.requests;
        if spent || self.count.get() >= MAX_IDLE_LINKS || !link.is_reusable() {
            return;
        }
        link.rest();
        link.last_used = link.last_used.max(self.swept.get());
        let idle = Idle {
            link,
            timeout: keepalive.idle_timeout,
        };
        let mut links = self.idle.borrow_mut();
        // A look-up by reference first: a place is cloned only once.
        if let Some(links) = links.get_mut(place) {
            if links.len() >= keepalive.size {
                return;
            }
            links.push(idle);
        } else if keepalive.size > 0 {
            links.insert(place.clone(), vec![idle]);
        } else {
            return;
        }
        self.count.set(self.count.get() + 1);
    }

    /// Drops links that have been idle too long, that the node has closed, or that lead
    /// to where a name no longer does. Returns the names that are to be looked up.
    pub(crate) fn sweep(&self, names: &Names) -> Vec<Arc<str>> {
        let now = Instant::now();
        self.swept.set(now);
        let mut idle = self.idle.borrow_mut();
        let mut due = Vec::new();
        for (place, links) in idle.iter_mut() {
            links.retain_mut(|idle| !idle.is_over(now) && idle.link.is_quiet());
            if let Address::Name(name, _) = &place.address {
                links.retain(|idle| names.has(name, idle.link.peer.ip()));
                if !links.is_empty() && !due.contains(name) && names.is_due(name) {
                    due.push(Arc::clone(name));
                }
            }
        }
        idle.retain(|_, links| !links.is_empty());
        self.count.set(idle.values().map(Vec::len).sum());
        due
    }
}
