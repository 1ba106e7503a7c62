//! The time limit for a request's head, as the HTTP library wants it kept, and
//! for the wait between two requests, of which the library knows nothing.
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
    limits: Limits,
    /// When the head of the latest round was seen to have begun.
    begun: (u64, Instant),
}

/// How long a client may take.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// For a head, from its first byte on.
    pub(crate) head: Duration,
    /// To begin with another.
    pub(crate) idle: Duration,
}

impl HeadLimit {
    pub(crate) fn new(limits: Limits) -> Self {
        let begun = tokio::time::Instant::now();
        HeadLimit {
            due: Arc::new(Due {
                begun: begun.into(),
                after: AtomicU64::new(NEVER),
                round: AtomicU64::new(0),
                heard: AtomicU64::new(0),
            }),
            alarm: Alarm::new(begun),
            limits,
            begun: (0, begun.into()),
        }
    }

    /// What whoever reads from the client is to be given.
    pub(crate) fn awaited(&self) -> Awaited {
        Awaited(Arc::clone(&self.due))
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
        let at = self.limit(due);
        self.alarm.set(at.into());
        ready!(self.alarm.poll(cx));
        self.due.after.store(OVER, Ordering::Relaxed);
        Poll::Ready(())
    }

    /// When the wait that the library wants to end at `due` is to end.
    fn limit(&mut self, due: Instant) -> Instant {
        let round = self.due.round.load(Ordering::Relaxed);
        if round == FIRST {
            return due;
        }
        if self.due.heard.load(Ordering::Relaxed) != round {
            return due - self.limits.head + self.limits.idle;
        }
        if self.begun.0 != round {
            self.begun = (round, tokio::time::Instant::now().into());
        }
        self.begun.1 + self.limits.head
    }
}

/// The first wait: a client that has connected has no reason to be idle.
const FIRST: u64 = 1;

/// Tells whoever reads whether what comes is a request's head.
pub(crate) struct Awaited(Arc<Due>);

impl Awaited {
    /// The number of the wait for a head, if one is waited for.
    pub(crate) fn round(&self) -> Option<u64> {
        let waiting = self.0.after.load(Ordering::Relaxed) != NEVER;
        waiting.then(|| self.0.round.load(Ordering::Relaxed))
    }

    /// Something of the head has come.
    pub(crate) fn heard(&self) {
        let round = self.0.round.load(Ordering::Relaxed);
        self.0.heard.store(round, Ordering::Relaxed);
    }
}

/// When the head that is waited for must be there. Only one task uses it; that
/// it can be shared is the library's wish.
struct Due {
    begun: Instant,
    /// Nanoseconds after `begun`, or one of the two below.
    after: AtomicU64,
    /// Which wait this is, or was the last.
    round: AtomicU64,
    /// The last in which something came.
    heard: AtomicU64,
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
        let round = self.round.load(Ordering::Relaxed);
        self.round.store(round + 1, Ordering::Relaxed);
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

    const LIMITS: Limits = Limits {
        head: Duration::from_secs(9),
        idle: Duration::from_secs(20),
    };

    /// How long a wait takes that the library begins now, if something comes
    /// after `heard` seconds.
    async fn wait(limit: &mut HeadLimit, heard: Option<u64>) -> u64 {
        let timer = limit.timer();
        let begun = timer.now();
        let _sleep = timer.sleep(LIMITS.head);
        if let Some(heard) = heard {
            tokio::time::advance(Duration::from_secs(heard)).await;
            limit.awaited().heard();
        }
        poll_fn(|cx| limit.poll_overdue(cx)).await;
        (timer.now() - begun).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_has_a_limit_of_its_own() {
        let mut limit = HeadLimit::new(LIMITS);
        assert_eq!(wait(&mut limit, None).await, 9, "the first has to come");
        assert_eq!(wait(&mut limit, None).await, 20);
        // From the first byte on, it is a head.
        assert_eq!(wait(&mut limit, Some(15)).await, 15 + 9);
        assert_eq!(wait(&mut limit, Some(0)).await, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_overdue_when_its_own_sleep_is_over() {
        let second = Duration::from_secs(1);
        let mut limit = HeadLimit::new(LIMITS);
        let timer = limit.timer();
        let begun = timer.now();
        drop(timer.sleep(second));
        tokio::time::advance(5 * second).await;
        let nobody_waits = poll_fn(|cx| Poll::Ready(limit.poll_overdue(cx).is_pending()));
        assert!(nobody_waits.await);

        let mut sleep = timer.sleep(2 * second);
        timer.reset(&mut sleep, begun + 9 * second);
        limit.awaited().heard();
        assert!(!is_over(&mut sleep));
        poll_fn(|cx| limit.poll_overdue(cx)).await;
        assert_eq!((timer.now() - begun).as_secs(), 5 + 9);
        assert!(is_over(&mut sleep));
    }
}
