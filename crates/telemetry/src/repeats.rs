//! Keeping a message that comes thousands of times a second from drowning the
//! log: so many a second pass, the others are counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lets at most `limit` messages a second through, without a lock.
#[derive(Debug)]
pub struct Repeats {
    begun: Instant,
    limit: u32,
    /// The second since `begun` in the upper half, messages in it in the lower.
    window: AtomicU64,
    held_back: AtomicU64,
}

impl Repeats {
    /// At most `limit` messages a second.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Repeats {
            begun: Instant::now(),
            limit,
            window: AtomicU64::new(0),
            held_back: 0.into(),
        }
    }

    /// Whether this message passes; if so, how many were held back since the
    /// last that did.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(self.begun.elapsed())
    }

    fn pass_at(&self, since: Duration) -> Option<u64> {
        let second = since.as_secs() << 32;
        let count = |window: u64| {
            if window & !0xffff_ffff == second {
                window & 0xffff_ffff
            } else {
                0
            }
        };
        let next = |window: u64| {
            let count = count(window);
            (count < u64::from(self.limit)).then(|| second | (count + 1))
        };
        if self
            .window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
        {
            return Some(self.held_back.swap(0, Ordering::Relaxed));
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pass_each_second_and_the_others_are_counted() {
        let repeats = Repeats::new(2);
        let at = |ms| repeats.pass_at(Duration::from_millis(ms));
        assert_eq!(
            [at(0), at(1), at(2), at(999)],
            [Some(0), Some(0), None, None]
        );
        assert_eq!([at(1000), at(1001), at(1002)], [Some(2), Some(0), None]);
        assert_eq!(at(5000), Some(1));
    }
}
