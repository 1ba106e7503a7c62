//! The time that a call has: it stands still while it is not the runner that is
//! waited for.
//!
//! A body that the runner asks for comes at the pace of a client or an upstream.
//! If that counted, a slow client would make calls fail that a good runner was
//! asked, and open its circuit breaker for everyone.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::time::{Instant, sleep_until};

/// The time of one call, from one sending to the next.
#[derive(Debug)]
pub(crate) struct Clock {
    deadline: Cell<Instant>,
    /// Since when it stands still, if it does.
    paused: Cell<Option<Instant>>,
}

impl Clock {
    /// Runs until `deadline`.
    pub(crate) fn until(deadline: Instant) -> Self {
        Self {
            deadline: Cell::new(deadline),
            paused: Cell::new(None),
        }
    }

    /// When it runs out, as far as is known now.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline.get()
    }

    /// Stands still until what this returns is dropped.
    pub(crate) fn pause(&self) -> Pause<'_> {
        self.paused.set(Some(Instant::now()));
        Pause(self)
    }

    /// What `work` comes to, unless the time runs out before.
    pub(crate) async fn limit<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        let mut alarm = pin!(sleep_until(self.deadline()));
        poll_fn(|cx| {
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(result));
            }
            if self.paused.get().is_some() {
                return Poll::Pending;
            }
            if alarm.deadline() != self.deadline() {
                alarm.as_mut().reset(self.deadline());
            }
            alarm.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

/// Keeps a clock from running on.
#[must_use = "the clock runs on as soon as this is dropped"]
pub(crate) struct Pause<'c>(&'c Clock);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if let Some(since) = self.0.paused.take() {
            self.0.deadline.set(self.0.deadline() + since.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::sleep;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn work_has_its_time_and_no_more() {
        let begun = Instant::now();
        let clock = Clock::until(begun + 3 * SECOND);
        assert_eq!(clock.limit(sleep(2 * SECOND)).await, Some(()));
        assert_eq!(clock.limit(sleep(2 * SECOND)).await, None);
        assert_eq!(begun.elapsed(), 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_does_not_count() {
        let begun = Instant::now();
        let clock = Clock::until(begun + 3 * SECOND);
        let work = async {
            sleep(2 * SECOND).await;
            let pause = clock.pause();
            sleep(60 * SECOND).await;
            drop(pause);
            sleep(60 * SECOND).await;
        };
        assert_eq!(clock.limit(work).await, None);
        assert_eq!(begun.elapsed(), 63 * SECOND);
        assert_eq!(clock.deadline(), begun + 63 * SECOND);
    }
}
