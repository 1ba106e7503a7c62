//! The caller's end: start, restart, stop.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::driver::{Driver, Wishes};
use crate::event::Observer;
use crate::limits;
use crate::spec::{Generation, Spec};
use crate::status::{State, Status};

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
            drained: VecDeque::new(),
            halt: false,
            stop: false,
        };
        let (wishes, inbox) = watch::channel(wishes);
        let (publisher, status) = watch::channel(Status {
            state: State::Starting,
            since: SystemTime::now(),
            generation: None,
            pid: None,
            socket: None,
            restarts: 0,
            crashes: 0,
        });
        Handle {
            wishes: Arc::new(wishes),
            status,
            driver: tokio::spawn(Driver::new(observer, inbox, publisher).run()),
        }
    }
}

/// A runner that runs. Dropping it kills the runner's processes.
#[derive(Debug)]
pub struct Handle {
    wishes: Arc<watch::Sender<Wishes>>,
    status: watch::Receiver<Status>,
    driver: JoinHandle<()>,
}

impl Handle {
    /// Replaces the process by a new one, without a gap if each has a socket
    /// path of its own: the old one serves until the new one is ready, is then
    /// reported as [`Retired`](crate::Event::Retired), and is stopped after
    /// [`Spec::drain`], or as soon as [`drained`](Self::drained) is called.
    ///
    /// With a fixed path the old one makes way first.
    ///
    /// If the new one does not come up after some tries, or within
    /// [`Spec::start_limit`], the old one stays, or one like it is spawned; see
    /// [`FellBack`](crate::Event::FellBack). A runner that was halted is started.
    pub fn restart(&self) {
        self.wishes.send_modify(|wishes| {
            wishes.restarts += 1;
            wishes.halt = false;
        });
    }

    /// As [`restart`](Self::restart), with another command or other terms. The
    /// name in events stays the one the runner was started with.
    pub fn restart_with(&self, spec: Spec) {
        self.wishes.send_modify(|wishes| {
            wishes.spec = Arc::new(spec);
            wishes.restarts += 1;
            wishes.halt = false;
        });
    }

    /// Lets the process end its calls, stops it, and spawns none until
    /// [`start`](Self::start) or [`restart`](Self::restart).
    pub fn halt(&self) {
        self.wishes.send_modify(|wishes| wishes.halt = true);
    }

    /// Starts a runner that was halted. One that runs is left alone.
    pub fn start(&self) {
        self.wishes.send_modify(|wishes| wishes.halt = false);
    }

    /// How the runner is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Says that no call is left on `generation`, so that it can be stopped if it
    /// is [`Retired`](crate::Event::Retired).
    pub fn drained(&self, generation: Generation) {
        drained(&self.wishes, generation);
    }

    /// For whoever only tells when calls have ended.
    #[must_use]
    pub fn drainer(&self) -> Drainer {
        Drainer(Arc::downgrade(&self.wishes))
    }

    /// Waits until the runner is about this. Returns at once if it has stopped for
    /// good, which its status says.
    pub async fn until(&self, state: State) -> Status {
        let mut status = self.status.clone();
        match status.wait_for(|status| status.state == state).await {
            Ok(status) => status.clone(),
            // The driver has ended; what it said last stays.
            Err(_) => self.status(),
        }
    }

    /// Stops the runner for good: SIGTERM to its process group, SIGKILL after the grace.
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

/// Tells a runner which of its processes have no calls any more. Keeps nothing
/// running.
#[derive(Debug, Clone)]
pub struct Drainer(Weak<watch::Sender<Wishes>>);

impl Drainer {
    /// As [`Handle::drained`]; nothing if the handle is gone.
    pub fn drained(&self, generation: Generation) {
        if let Some(wishes) = self.0.upgrade() {
            drained(&wishes, generation);
        }
    }
}

fn drained(wishes: &watch::Sender<Wishes>, generation: Generation) {
    wishes.send_modify(|wishes| {
        // Older ones have been heeded, or been stopped meanwhile.
        if wishes.drained.len() == limits::DRAINED {
            wishes.drained.pop_front();
        }
        wishes.drained.push_back(generation);
    });
}
