//! What to do next to keep up with etcd: read everything, follow the changes, or wait.
//!
//! A machine without I/O: told of what happened, it says the next step.

use std::time::Duration;

use super::api::Header;
use crate::limits;

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Read all resources.
    Load,
    /// Follow the changes from this revision on.
    Watch(u64),
    /// Wait so long, unless somebody is in a hurry.
    Pause(Duration),
}

/// How far it has come.
#[derive(Debug)]
pub(super) struct Course {
    /// Where everything up to this revision is known, and of which cluster it is.
    known: Option<Header>,
    /// In a row.
    failures: u32,
    /// Whether to wait before the next try.
    pause: bool,
    /// The longest wait, without what chance adds.
    longest: Duration,
}

impl Course {
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            known: None,
            failures: 0,
            pause: false,
            longest: longest.max(limits::ETCD_FIRST_PAUSE),
        }
    }

    /// The next step. `chance` is between 0 and 1: gateways that lost etcd at once
    /// are not to come back at once.
    pub(super) fn next(&mut self, chance: f64) -> Step {
        if std::mem::take(&mut self.pause) {
            let doubled = 2_u32.saturating_pow(self.failures.saturating_sub(1));
            let pause = limits::ETCD_FIRST_PAUSE.saturating_mul(doubled);
            let pause = pause.min(self.longest);
            return Step::Pause(pause.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 2.0));
        }
        match self.known {
            None => Step::Load,
            Some(known) => Step::Watch(known.revision + 1),
        }
    }

    /// Everything was read, as it was when etcd said this.
    pub(super) fn loaded(&mut self, header: Header) {
        self.known = Some(header);
    }

    /// etcd took the watch and said this. Whether it can be followed: where etcd
    /// knows less than what was known of it before, or is another one, its changes are
    /// changes of something else.
    pub(super) fn opened(&mut self, header: Header) -> bool {
        let continues = self.known.is_some_and(|known| {
            known.cluster_id == header.cluster_id
                && known.revision <= header.revision
                && known.raft_term <= header.raft_term
        });
        match &mut self.known {
            Some(known) if continues => known.raft_term = header.raft_term,
            _ => self.known = None,
        }
        continues
    }

    /// Everything up to this revision is known.
    pub(super) fn advanced(&mut self, revision: u64) {
        self.proven();
        if let Some(known) = &mut self.known {
            known.revision = known.revision.max(revision);
        }
    }

    /// What etcd said lately was heard: it is there.
    pub(super) fn proven(&mut self) {
        self.failures = 0;
    }

    /// etcd has forgotten changes that were not heard of.
    pub(super) fn compacted(&mut self) {
        self.known = None;
    }

    /// A step has failed.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.pause = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(5);

    fn header(revision: u64) -> Header {
        Header {
            cluster_id: 1,
            revision,
            raft_term: 2,
        }
    }

    #[test]
    fn all_is_read_once_and_then_followed() {
        let mut course = Course::new(LONGEST);
        assert_eq!(course.next(0.0), Step::Load);
        course.loaded(header(7));
        assert_eq!(course.next(0.0), Step::Watch(8));
        assert!(course.opened(header(9)));
        course.advanced(9);
        assert_eq!(course.next(0.0), Step::Watch(10));
    }

    #[test]
    fn a_lost_watch_is_taken_up_where_it_was_after_a_pause() {
        let mut course = Course::new(LONGEST);
        course.loaded(header(7));
        course.failed();
        assert_eq!(course.next(0.0), Step::Pause(limits::ETCD_FIRST_PAUSE));
        assert_eq!(course.next(0.0), Step::Watch(8));
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_chance_adds_half() {
        let mut course = Course::new(LONGEST);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            course.failed();
            pauses.push(course.next(0.0));
            assert_eq!(course.next(0.0), Step::Load);
        }
        assert_eq!(pauses[1], Step::Pause(limits::ETCD_FIRST_PAUSE * 2));
        assert_eq!(pauses[9], Step::Pause(LONGEST));
        course.failed();
        assert_eq!(course.next(1.0), Step::Pause(LONGEST * 3 / 2));
        course.proven();
        course.failed();
        assert_eq!(course.next(0.0), Step::Pause(limits::ETCD_FIRST_PAUSE));
    }

    #[test]
    fn what_etcd_forgot_is_read_again() {
        let mut course = Course::new(LONGEST);
        course.loaded(header(7));
        course.compacted();
        assert_eq!(course.next(0.0), Step::Load);
    }

    #[test]
    fn another_etcd_or_one_that_went_back_is_read_anew() {
        let known = header(7);
        for other in [
            Header {
                cluster_id: 2,
                ..known
            },
            Header {
                revision: 6,
                ..known
            },
            Header {
                raft_term: 1,
                ..known
            },
        ] {
            let mut course = Course::new(LONGEST);
            course.loaded(known);
            assert!(!course.opened(other), "{other:?}");
            assert_eq!(course.next(0.0), Step::Load, "{other:?}");
        }
    }
}
