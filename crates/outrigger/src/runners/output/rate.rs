//! So many lines a second, with a burst after a pause; the others are counted.
//!
//! Pure: the time comes from outside.

use std::time::{Duration, Instant};

/// How often it is said how many lines were left out, at most.
const REPORT_EVERY: Duration = Duration::from_secs(5);

const SECOND: u128 = 1_000_000_000;

/// Which lines pass.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: u32,
    burst: u32,
    /// Lines that may pass now, in billionths.
    room: u128,
    /// When `room` was last counted.
    counted: Instant,
    left_out: u64,
    /// Since when lines are left out that were not told of.
    since: Option<Instant>,
}

impl Rate {
    /// At most `per_second` lines in the long run, `burst` at once.
    pub(super) fn new(now: Instant, per_second: u32, burst: u32) -> Self {
        Self {
            per_second,
            burst,
            room: u128::from(burst) * SECOND,
            counted: now,
            left_out: 0,
            since: None,
        }
    }

    /// Whether there is room for a line.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.counted);
        let gained = passed.as_nanos() * u128::from(self.per_second);
        self.room = (self.room + gained).min(u128::from(self.burst) * SECOND);
        self.counted = now;
        self.room >= SECOND
    }

    /// A line takes the room that there is.
    pub(super) fn passes(&mut self) {
        self.room = self.room.saturating_sub(SECOND);
    }

    /// A line was left out.
    pub(super) fn leaves_out(&mut self, now: Instant) {
        self.left_out += 1;
        self.since.get_or_insert(now);
    }

    /// How many lines were left out since this was last told, where it is time
    /// to tell.
    pub(super) fn due_to_tell(&mut self, now: Instant) -> Option<u64> {
        let due = self.since? + REPORT_EVERY <= now;
        due.then(|| self.tell_now())?
    }

    /// As [`due_to_tell`](Self::due_to_tell), at once: nothing may follow.
    pub(super) fn tell_now(&mut self) -> Option<u64> {
        self.since.take()?;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `lines` pass at this moment.
    fn passing(rate: &mut Rate, now: Instant, lines: usize) -> usize {
        let pass = |_: &usize| {
            let room = rate.has_room(now);
            if room {
                rate.passes();
            } else {
                rate.leaves_out(now);
            }
            room
        };
        (0..lines).filter(pass).count()
    }

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 10, 30);
        assert_eq!(passing(&mut rate, start, 100), 30);
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(passing(&mut rate, after(99), 100), 0);
        assert_eq!(passing(&mut rate, after(100), 100), 1);
        assert_eq!(passing(&mut rate, after(1100), 100), 10);
        // However long the pause was.
        assert_eq!(passing(&mut rate, after(900_000), 100), 30);
    }

    #[test]
    fn what_was_left_out_is_told_once_in_a_while() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 1, 1);
        assert_eq!(rate.due_to_tell(start), None);
        assert_eq!(passing(&mut rate, start, 5), 1);
        let later = start + REPORT_EVERY;
        assert_eq!(rate.due_to_tell(later - Duration::from_millis(1)), None);
        assert_eq!(rate.due_to_tell(later), Some(4));
        assert_eq!(rate.due_to_tell(later), None);
        passing(&mut rate, later, 3);
        assert_eq!(rate.tell_now(), Some(2));
        assert_eq!(rate.tell_now(), None);
    }

    #[test]
    fn a_clock_that_stands_still_gives_nothing() {
        let start = Instant::now();
        let mut rate = Rate::new(start + Duration::from_secs(1), u32::MAX, 1);
        assert_eq!(passing(&mut rate, start, 2), 1);
    }
}
