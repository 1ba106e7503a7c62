//! Which member of the cluster is asked: the one that worked last, and the
//! others when it does not. One that has failed rests, longer each time.
//!
//! A machine without I/O: told of what worked and what did not, and of the time.

use std::time::{Duration, Instant};

use crate::limits;

/// The members, by their numbers.
pub(super) struct Endpoints {
    members: Vec<Member>,
    /// The one that worked last.
    current: usize,
    /// The longest that one rests.
    longest: Duration,
}

#[derive(Clone, Copy, Default)]
struct Member {
    /// In a row.
    failures: u32,
    rests_until: Option<Instant>,
}

impl Endpoints {
    pub(super) fn new(count: usize, longest: Duration) -> Self {
        Self {
            members: vec![Member::default(); count],
            current: 0,
            longest,
        }
    }

    /// All members in the order in which to ask them at `now`: the one that worked last,
    /// then the next ones in turn; those that rest come last, the soonest rested first.
    pub(super) fn order(&self, now: Instant) -> Vec<usize> {
        let count = self.members.len();
        let mut order: Vec<usize> = (0..count).map(|n| (self.current + n) % count).collect();
        // Stable: the others stay in turn.
        order.sort_by_key(|member| self.members[*member].rests_until.filter(|at| *at > now));
        order
    }

    /// This one did what it was asked.
    pub(super) fn worked(&mut self, member: usize) {
        self.members[member] = Member::default();
        self.current = member;
    }

    /// This one did not.
    pub(super) fn failed(&mut self, member: usize, now: Instant) {
        let count = self.members.len();
        let Member {
            failures,
            rests_until,
        } = &mut self.members[member];
        *failures = failures.saturating_add(1);
        let doubled = 2_u32.saturating_pow(*failures - 1);
        let rest = limits::ETCD_FIRST_PAUSE.saturating_mul(doubled);
        *rests_until = now.checked_add(rest.min(self.longest));
        if self.current == member {
            self.current = (member + 1) % count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(10);

    #[test]
    fn the_one_that_worked_is_asked_first() {
        let now = Instant::now();
        let mut endpoints = Endpoints::new(3, LONGEST);
        assert_eq!(endpoints.order(now), [0, 1, 2]);
        endpoints.worked(1);
        assert_eq!(endpoints.order(now), [1, 2, 0]);
    }

    #[test]
    fn one_that_failed_rests_and_comes_last() {
        let now = Instant::now();
        let mut endpoints = Endpoints::new(3, LONGEST);
        endpoints.failed(0, now);
        assert_eq!(endpoints.order(now), [1, 2, 0]);
        endpoints.failed(1, now + Duration::from_millis(1));
        assert_eq!(endpoints.order(now + Duration::from_millis(1)), [2, 0, 1]);
        // Rested, it has its turn again.
        assert_eq!(endpoints.order(now + LONGEST), [2, 0, 1]);
        endpoints.failed(2, now + LONGEST);
        assert_eq!(endpoints.order(now + LONGEST), [0, 1, 2]);
    }

    #[test]
    fn rests_double_up_to_the_longest_and_end_with_a_success() {
        let now = Instant::now();
        let mut endpoints = Endpoints::new(2, LONGEST);
        let rest = |endpoints: &Endpoints| endpoints.members[0].rests_until.unwrap() - now;
        let mut rests = Vec::new();
        for _ in 0..12 {
            endpoints.failed(0, now);
            rests.push(rest(&endpoints));
        }
        assert_eq!(rests[0], limits::ETCD_FIRST_PAUSE);
        assert_eq!(rests[1], limits::ETCD_FIRST_PAUSE * 2);
        assert_eq!(rests[11], LONGEST);
        endpoints.worked(0);
        endpoints.failed(0, now);
        assert_eq!(rest(&endpoints), limits::ETCD_FIRST_PAUSE);
    }
}
