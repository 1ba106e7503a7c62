//! How often processes ended before their time, and what follows from it.

use std::time::Duration;

use crate::limits;
use crate::spec::Backoff;

/// Ends in a row.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Of processes that never listened, failed spawns included, since one did.
    unborn: u32,
    /// Of processes that listened, but not for long, since one did for long.
    flaps: u32,
}

impl Ends {
    /// A process listens.
    pub(super) fn listened(&mut self) {
        self.unborn = 0;
    }

    /// A process ended, or was not spawned, before it listened.
    pub(super) fn unborn(&mut self) {
        self.unborn = self.unborn.saturating_add(1);
    }

    /// A process ended that had listened.
    pub(super) fn ended(&mut self, had_settled: bool) {
        self.flaps = if had_settled {
            0
        } else {
            self.flaps.saturating_add(1)
        };
    }

    /// How many of these ends say that the runner does not come up. Whoever
    /// kills one that works must do so often until it looks like that.
    fn failures(&self) -> u32 {
        self.unborn + self.flaps.saturating_sub(limits::FLAPS)
    }

    /// How many they are, if they are enough to say so.
    pub(super) fn failing(&self) -> Option<u32> {
        Some(self.failures()).filter(|failures| *failures >= limits::FAILING_AFTER)
    }

    /// The time until the next process.
    pub(super) fn delay(&self, backoff: Backoff) -> Duration {
        match self.failures() {
            0 => {
                let longest = backoff.first.max(limits::FLAP_DELAY);
                backoff.delay(self.flaps.saturating_sub(1)).min(longest)
            }
            failures => backoff.delay(failures - 1),
        }
    }
}
