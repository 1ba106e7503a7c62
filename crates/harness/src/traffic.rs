//! Requests that go on while a test does something else, to see that nobody
//! notices.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientError, Response};
use crate::wait;

/// What became of a [`Traffic`]'s requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often each status came back.
    pub statuses: BTreeMap<u16, usize>,
    /// Why a request got no whole response.
    pub errors: Vec<String>,
    /// The longest that a request took.
    pub slowest: Duration,
}

impl Tally {
    /// The number of requests.
    pub fn total(&self) -> usize {
        self.statuses.values().sum::<usize>() + self.errors.len()
    }

    /// Whether every request was answered with `status`.
    pub fn only(&self, status: u16) -> bool {
        self.errors.is_empty() && self.statuses.keys().eq([&status])
    }

    fn count(&mut self, outcome: Result<Response, ClientError>) {
        match outcome {
            Ok(response) => *self.statuses.entry(response.status).or_default() += 1,
            Err(error) => self.errors.push(error.to_string()),
        }
    }
}

/// Some clients that send a request as soon as the last one is answered. Dropping it ends
/// them.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    done: AtomicUsize,
    tally: Mutex<Tally>,
}

impl Traffic {
    /// Starts `clients` that GET `target` over and over, each request on a
    /// connection of its own.
    pub fn start(client: Client, target: &str, clients: usize) -> Self {
        let shared = Arc::<Shared>::default();
        let threads = (0..clients)
            .map(|_| {
                let (shared, target) = (Arc::clone(&shared), target.to_owned());
                std::thread::spawn(move || shared.send(client, &target))
            })
            .collect();
        Self { shared, threads }
    }

    /// Waits until `count` more requests have been answered.
    ///
    /// # Panics
    /// If they are not.
    #[track_caller]
    pub fn wait_more(&self, count: usize) {
        let goal = self.shared.done.load(Ordering::SeqCst) + count;
        wait::eventually(&format!("{count} more requests"), || {
            self.shared.done.load(Ordering::SeqCst) >= goal
        });
    }

    /// Ends it, and tells what came of it.
    ///
    /// # Panics
    /// If a client has.
    pub fn stop(mut self) -> Tally {
        self.end();
        let tally = self.shared.tally.lock();
        tally.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().expect("a client of the traffic panicked");
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn send(&self, client: Client, target: &str) {
        while !self.stop.load(Ordering::SeqCst) {
            let begun = Instant::now();
            let outcome = client.get(target).try_send();
            let took = begun.elapsed();
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.count(outcome);
            tally.slowest = tally.slowest.max(took);
            drop(tally);
            self.done.fetch_add(1, Ordering::SeqCst);
        }
    }
}
