//! Who is woken when a link has news.
//!
//! The HTTP library rings for what the node sends, which nobody expects, and
//! for what the link's user does: hand over a request, take a part of a body.
//! Whoever does so drives the link right after and need not be told; a task
//! that woke itself each time would poll its whole connection twice as often.
//! So the task is woken only while it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// A link's waker for as long as the link lives, whichever task uses it.
pub(crate) struct Bell {
    line: Arc<Line>,
    waker: Waker,
}

#[derive(Default)]
struct Line {
    rung: AtomicBool,
    waiting: AtomicWaker,
}

impl Bell {
    pub(crate) fn new() -> Self {
        let line = Arc::<Line>::default();
        let waker = Waker::from(Arc::clone(&line));
        Bell { line, waker }
    }

    /// What the link is to be driven with: forgets what rang so far, for the
    /// driver finds out.
    pub(crate) fn answer(&self) -> Context<'_> {
        self.line.waiting.take();
        self.line.rung.store(false, Ordering::Release);
        Context::from_waker(&self.waker)
    }

    /// Has the task woken when the bell rings, or has rung since it was last
    /// answered.
    pub(crate) fn wait(&self, cx: &mut Context<'_>) {
        self.line.waiting.register(cx.waker());
        if self.line.rung.load(Ordering::Acquire) {
            self.line.waiting.wake();
        }
    }
}

impl Wake for Line {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.waiting.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[derive(Default)]
    struct Task(AtomicU32);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_only_while_it_waits_and_for_what_it_has_not_seen() {
        let (bell, task) = (Bell::new(), Arc::new(Task::default()));
        let waker = Waker::from(Arc::clone(&task));
        let ring = || bell.waker.wake_by_ref();
        let wait = || bell.wait(&mut Context::from_waker(&waker));
        let woken = || task.0.swap(0, Ordering::Relaxed);

        ring();
        bell.answer();
        wait();
        assert_eq!(woken(), 0, "what rang before the answer is known");
        ring();
        assert_eq!(woken(), 1);
        bell.answer();
        ring();
        assert_eq!(woken(), 0, "nobody waits");
        wait();
        assert_eq!(woken(), 1, "it rang after the answer");
        bell.answer();
        wait();
        bell.answer();
        ring();
        assert_eq!(woken(), 0, "an answered bell is waited for no longer");
    }
}
