//! Requests at a fixed rate, and how long they took.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outrigger_harness::{Client, Connection};

use crate::resources;

/// Connections that are kept open.
const CONNECTIONS: usize = 8;

/// Requests a second of all connections together: few enough that the gateway always
/// has time left on a machine of two cores that it shares with client and upstream.
const RATE: usize = 2000;

/// A number that has no divisor in common with most counts: steps of it visit routes in
/// an order that no cache foresees.
const STRIDE: usize = 7919;

/// How long requests took.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that a share of them did not exceed, in milliseconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut times = self.0.clone();
        times.sort_unstable();
        let last = times.len().saturating_sub(1);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in the list"
        )]
        let at = (last as f64 * share).round() as usize;
        times
            .get(at)
            .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn join(&mut self, others: Times) {
        self.0.extend(others.0);
    }
}

/// Sends requests for `routes` routes until `stop` says so.
pub(crate) fn run(client: Client, routes: usize, stop: &AtomicBool) -> Times {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|number| scope.spawn(move || one(client, number, routes, stop)))
            .collect();
        let mut all = Times::default();
        for thread in threads {
            all.join(thread.join().expect("a client has its answers"));
        }
        all
    })
}

/// As [`run`], for so long.
pub(crate) fn run_for(client: Client, routes: usize, time: Duration) -> Times {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(client, routes, &stop));
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        running.join().expect("the load ends")
    })
}

fn one(client: Client, number: usize, routes: usize, stop: &AtomicBool) -> Times {
    let mut connection = client.connection();
    let mut times = Times::default();
    let pause = Duration::from_secs(1) * u32::try_from(CONNECTIONS).unwrap_or(1)
        / u32::try_from(RATE).unwrap_or(1);
    let mut turn = number * routes / CONNECTIONS;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        turn = (turn + STRIDE) % routes;
        let begun = Instant::now();
        get(&mut connection, turn);
        times.add(begun.elapsed());
        next += pause;
        match next.checked_duration_since(Instant::now()) {
            Some(left) => std::thread::sleep(left),
            // Whoever is late does not send all at once what was left out.
            None => next = Instant::now(),
        }
    }
    times
}

/// Asks for a route, and returns the version of it that answered.
pub(crate) fn get(connection: &mut Connection, route: usize) -> String {
    let (path, is_prefix) = resources::path(route);
    let path = if is_prefix { path + "part" } else { path };
    let mut request = connection.get(&path);
    if let Some(host) = resources::host(route) {
        request = request.host(&host);
    }
    let response = request.send();
    assert_eq!(response.status, 200, "{path}: {response:?}");
    response.header("x-version").unwrap_or_default().to_owned()
}
