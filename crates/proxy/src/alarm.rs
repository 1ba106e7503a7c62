//! A timer for what hardly ever happens: set anew for every message, it goes
//! off for hardly any. Putting it off costs nothing; the timer that the
//! runtime knows of is moved only when it goes off too early.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

pub(crate) struct Alarm {
    /// Invariant: goes off at `at` or earlier.
    sleep: Pin<Box<Sleep>>,
    at: Instant,
    /// Whom `sleep` will wake.
    waker: Option<Waker>,
}

impl Alarm {
    pub(crate) fn new(at: Instant) -> Self {
        Alarm {
            sleep: Box::pin(tokio::time::sleep_until(at)),
            at,
            waker: None,
        }
    }

    /// Has it go off at `at` instead.
    pub(crate) fn set(&mut self, at: Instant) {
        self.at = at;
        if at < self.sleep.deadline() {
            self.sleep.as_mut().reset(at);
        }
    }

    /// Ready once the time has come, and as often as it is asked from then on.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let known = |waker: &Waker| waker.will_wake(cx.waker());
        if self.waker.as_ref().is_some_and(known) && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        // A sleep that went off has forgotten its waker; one that is polled
        // when the task's budget is used up would not take it, hence no budget.
        self.waker = None;
        loop {
            if Pin::new(&mut unconstrained(self.sleep.as_mut()))
                .poll(cx)
                .is_pending()
            {
                self.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if self.at <= self.sleep.deadline() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    async fn goes_off(alarm: &mut Alarm) -> Duration {
        let begun = Instant::now();
        poll_fn(|cx| alarm.poll(cx)).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn goes_off_when_it_was_last_set_to() {
        let second = Duration::from_secs(1);
        let mut alarm = Alarm::new(Instant::now() + second);
        alarm.set(Instant::now() + 5 * second);
        assert_eq!(goes_off(&mut alarm).await.as_secs(), 5);
        assert_eq!(goes_off(&mut alarm).await.as_secs(), 0);
        alarm.set(Instant::now() + 9 * second);
        alarm.set(Instant::now() + 2 * second);
        assert_eq!(goes_off(&mut alarm).await.as_secs(), 2);
    }
}
