//! A line of the log for what clients can cause as often as they like.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// Lets one of many through in each while.
#[derive(Default)]
pub(crate) struct Seldom {
    last: Cell<Option<Instant>>,
    left_out: Cell<u64>,
}

impl Seldom {
    /// Whether to say it now, and how often it was left unsaid before.
    pub(crate) fn let_through(&self, pause: Duration) -> Option<u64> {
        let now = Instant::now();
        if self.last.get().is_some_and(|last| now - last < pause) {
            self.left_out.set(self.left_out.get() + 1);
            return None;
        }
        self.last.set(Some(now));
        Some(self.left_out.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_out_is_counted() {
        let second = Duration::from_secs(1);
        let seldom = Seldom::default();
        let said: Vec<_> = (0..3).map(|_| seldom.let_through(second)).collect();
        assert_eq!(said, [Some(0), None, None]);
        tokio::time::advance(second).await;
        assert_eq!(seldom.let_through(second), Some(2));
        tokio::time::advance(second).await;
        assert_eq!(seldom.let_through(second), Some(0));
    }
}
