//! Choosing the nodes that one request is sent to, one after the other.
//!
//! Nodes of a higher priority come first, those that are not well are left
//! out, and none is asked twice; the only node of an upstream is, as in APISIX.
//! The usual choice looks at one node; all are looked at only where that one
//! cannot be taken, or where the balancing compares them.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::ring::Ring;
use super::turns::{self, Turns};
use super::{Group, Node, Spread, Upstream};

/// The nodes for one request.
#[derive(Debug)]
pub struct Choice<'a> {
    upstream: &'a Upstream,
    /// Of the request's key, where that counts.
    hash: u32,
    last: Option<usize>,
    /// Those before; a request that is sent once needs no memory for it.
    tried: Vec<usize>,
    /// Whether no node was well, so that all do.
    desperate: bool,
}

impl<'a> Choice<'a> {
    pub(super) fn new(upstream: &'a Upstream, hash: u32) -> Self {
        Choice {
            upstream,
            hash,
            last: None,
            tried: Vec::new(),
            desperate: false,
        }
    }

    /// The node to ask first, or after those so far have failed.
    pub fn next(&mut self, now: Instant) -> Option<&'a Node> {
        let upstream = self.upstream;
        if upstream.is_lone {
            return upstream.nodes.first();
        }
        self.tried.extend(self.last);
        let mut found = self.look(now);
        if found.is_none() && self.last.is_none() {
            self.desperate = true;
            found = self.look(now);
        }
        self.last = found;
        found.map(|at| &upstream.nodes[at])
    }

    fn look(&self, now: Instant) -> Option<usize> {
        let groups = self.upstream.groups.iter();
        let mut found = groups.filter_map(|group| self.look_in(group, now));
        found.next()
    }

    fn look_in(&self, group: &Group, now: Instant) -> Option<usize> {
        match &group.spread {
            Spread::Turns(turns) => self.by_turns(group, turns),
            Spread::Ring(ring) => self.on_ring(group, ring),
            Spread::LeastConnections => self.least_busy(group),
            Spread::Ewma => self.faster_of_two(group, now),
        }
    }

    fn is_eligible(&self, at: usize) -> bool {
        let upstream = self.upstream;
        let well = self.desperate || upstream.checks.is_none() || upstream.nodes[at].is_well();
        well && !self.tried.contains(&at)
    }

    fn eligible(&self, group: &Group) -> impl Iterator<Item = usize> + Clone {
        group.nodes.clone().filter(|at| self.is_eligible(*at))
    }

    /// The number of the next turn, which no other request gets.
    fn turn(&self) -> u64 {
        self.upstream.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn by_turns(&self, group: &Group, turns: &Turns) -> Option<usize> {
        let first = group.nodes.start;
        if turns.is_one() {
            return self.is_eligible(first).then_some(first);
        }
        let turn = self.turn();
        let at = first + turns.at(turn);
        if self.is_eligible(at) {
            return Some(at);
        }
        let weighted = |at: usize| (at, self.upstream.nodes[at].weight);
        turns::among(self.eligible(group).map(weighted), turn)
    }

    fn on_ring(&self, group: &Group, ring: &Ring) -> Option<usize> {
        let mut nodes = ring.nodes(self.hash).map(|node| group.nodes.start + node);
        let first = nodes.next()?;
        if self.is_eligible(first) {
            return Some(first);
        }
        // Without any, the whole ring would be gone round in vain.
        self.eligible(group).next()?;
        nodes.find(|at| self.is_eligible(*at))
    }

    /// Who has the fewest requests by weight, this one counted; of several, the
    /// one whose turn it is.
    fn least_busy(&self, group: &Group) -> Option<usize> {
        let count = group.nodes.len();
        let start = usize::try_from(self.turn() % count as u64).unwrap_or(0);
        let around = (0..count).map(|offset| group.nodes.start + (start + offset) % count);
        let busy = around.filter(|at| self.is_eligible(*at)).map(|at| {
            let node = &self.upstream.nodes[at];
            let with_this = u128::from(node.load.in_flight()) + 1;
            (at, with_this, u128::from(node.weight))
        });
        let least = busy.reduce(|least, other| {
            let less = other.1 * least.2 < least.1 * other.2;
            if less { other } else { least }
        });
        least.map(|(at, ..)| at)
    }

    fn faster_of_two(&self, group: &Group, now: Instant) -> Option<usize> {
        let count = self.eligible(group).count() as u64;
        let nth = |n| self.eligible(group).nth(usize::try_from(n).ok()?);
        if count < 2 {
            return nth(0);
        }
        let random = scattered(self.turn());
        let (first, second) = (random % count, (random >> 32) % (count - 1));
        let second = second + u64::from(second >= first);
        let (first, second) = (nth(first)?, nth(second)?);
        let seconds = |at: usize| self.upstream.nodes[at].load.seconds(now);
        let second_is_faster = seconds(second) < seconds(first);
        Some(if second_is_faster { second } else { first })
    }
}

/// Numbers that follow each other become ones that have nothing in common
/// (the finalizer of SplitMix64).
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
