//! The caller's end: start, restart, stop.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::driver::{Driver, Wishes};
use crate::event::Observer;
use crate::spec::{Generation, Spec};

/// Starts runners.
#[derive(Debug)]
pub struct Supervisor;

impl Supervisor {
    /// Starts a runner and keeps it running until the handle is used or dropped.
    ///
    /// It runs as a task of the current tokio runtime, whose thread must live as
    /// long as the gateway: **the kernel kills the child when the thread that
    /// spawned it ends**, even if the process lives on. The thread of a
    /// current-thread runtime does; so do the workers of a multi-thread runtime
    /// as long as nobody calls `block_in_place` on them.
    ///
    /// The death of the gateway reaches the runner's first process only. A
    /// runner with processes of its own must look after them.
    ///
    /// # Panics
    /// If called outside a tokio runtime with I/O and time enabled.
    #[must_use = "dropping the handle kills the runner"]
    pub fn start(spec: Spec, observer: Arc<dyn Observer>) -> Handle {
        let wishes = Wishes {
            spec: Arc::new(spec),
            restarts: 0,
            drained: Generation::NONE,
            stop: false,
        };
        let (wishes, inbox) = watch::channel(wishes);
        Handle {
            wishes,
            driver: tokio::spawn(Driver::new(observer, inbox).run()),
        }
    }
}

/// A runner that runs. Dropping it kills the runner's processes.
#[derive(Debug)]
pub struct Handle {
    wishes: watch::Sender<Wishes>,
    driver: JoinHandle<()>,
}

impl Handle {
    /// Replaces the process by a new one, without a gap if each has a socket
    /// path of its own: the old one serves until the new one is ready, is then
    /// reported as [`Retired`](crate::Event::Retired), and is stopped some
    /// seconds later, or as soon as [`drained`](Self::drained) is called. If the
    /// new one does not get ready the old one stays.
    ///
    /// With a fixed path the old one is stopped first.
    pub fn restart(&self) {
        self.wishes.send_modify(|wishes| wishes.restarts += 1);
    }

    /// As [`restart`](Self::restart), with another command or other terms. The
    /// name in events stays the one the runner was started with.
    pub fn restart_with(&self, spec: Spec) {
        self.wishes.send_modify(|wishes| {
            wishes.spec = Arc::new(spec);
            wishes.restarts += 1;
        });
    }

    /// Says that no call is left on `generation` or those before it, so that
    /// those [`Retired`](crate::Event::Retired) by now can be stopped.
    pub fn drained(&self, generation: Generation) {
        self.wishes
            .send_modify(|wishes| wishes.drained = wishes.drained.max(generation));
    }

    /// Stops the runner: SIGTERM to its process group, SIGKILL after the grace.
    /// Returns when its processes are gone, their output has been reported and
    /// the sockets are removed.
    ///
    /// If this future is dropped the stop goes on without it.
    pub async fn stop(self) {
        self.wishes.send_modify(|wishes| wishes.stop = true);
        // An error means that the observer panicked or the runtime shut down;
        // either way the processes were killed.
        let _ = self.driver.await;
    }
}
