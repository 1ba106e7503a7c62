//! The time limit for a request's head, as the HTTP library wants it kept.
//!
//! The library asks for a sleep whenever it begins to wait for a head, and
//! drops it when the head has come. Here a sleep is only a note of when it is
//! over; the connection's task keeps one alarm for all of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::alarm::Alarm;

/// The connection's side.
pub(crate) struct HeadLimit {
    due: Arc<Due>,
    alarm: Alarm,
}

impl HeadLimit {
    pub(crate) fn new() -> Self {
        let begun = tokio::time::Instant::now();
        HeadLimit {
            due: Arc::new(Due {
                begun: begun.into(),
                after: AtomicU64::new(NEVER),
            }),
            alarm: Alarm::new(begun),
        }
    }

    /// What the HTTP library is to be given.
    pub(crate) fn timer(&self) -> HeadTimer {
        HeadTimer(Arc::clone(&self.due))
    }

    /// Ready once a head is overdue; the library, polled then, finds its sleep
    /// over. Wakes the task in time if a head is waited for now.
    pub(crate) fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due.get() else {
            return Poll::Pending;
        };
        self.alarm.set(due.into());
        ready!(self.alarm.poll(cx));
        self.due.after.store(OVER, Ordering::Relaxed);
        Poll::Ready(())
    }
}

/// When the head that is waited for must be there. Only one task uses it; that
/// it can be shared is the library's wish.
struct Due {
    begun: Instant,
    /// Nanoseconds after `begun`, or one of the two below.
    after: AtomicU64,
}

/// No head is waited for.
const NEVER: u64 = u64::MAX;

/// It is past.
const OVER: u64 = 0;

impl Due {
    fn set(&self, at: Instant) {
        let after = at.saturating_duration_since(self.begun).as_nanos();
        let after = u64::try_from(after).unwrap_or(NEVER).max(OVER + 1);
        self.after.store(after, Ordering::Relaxed);
    }

    fn get(&self) -> Option<Instant> {
        match self.after.load(Ordering::Relaxed) {
            NEVER => None,
            after => Some(self.begun + Duration::from_nanos(after)),
        }
    }
}

/// The library's side. Invariant: one sleep at a time.
pub(crate) struct HeadTimer(Arc<Due>);

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.0.set(deadline);
        Box::pin(HeadSleep(Arc::clone(&self.0)))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }

    fn reset(&self, _: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        self.0.set(deadline);
    }
}

struct HeadSleep(Arc<Due>);

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.after.load(Ordering::Relaxed) == OVER {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Sleep for HeadSleep {}

impl Drop for HeadSleep {
    fn drop(&mut self) {
        self.0.after.store(NEVER, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Waker;

    fn is_over(sleep: &mut Pin<Box<dyn Sleep>>) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        sleep.as_mut().poll(&mut cx).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_overdue_when_its_own_sleep_is_over() {
        let second = Duration::from_secs(1);
        let mut limit = HeadLimit::new();
        let timer = limit.timer();
        let begun = timer.now();
        drop(timer.sleep(second));
        tokio::time::advance(5 * second).await;
        let nobody_waits = poll_fn(|cx| Poll::Ready(limit.poll_overdue(cx).is_pending()));
        assert!(nobody_waits.await);

        let mut sleep = timer.sleep(2 * second);
        timer.reset(&mut sleep, begun + 9 * second);
        assert!(!is_over(&mut sleep));
        poll_fn(|cx| limit.poll_overdue(cx)).await;
        assert_eq!((timer.now() - begun).as_secs(), 9);
        assert!(is_over(&mut sleep));
    }
}
