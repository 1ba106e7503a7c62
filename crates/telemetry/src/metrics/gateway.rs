//! The gateway as a whole: its connections and requests, its configuration,
//! its process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use super::cells::{Counter, Gauge};
use super::process;
use super::shard::Sharded;
use super::text::{Family, Labels, Text};

/// What one worker counts of its clients.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {
    number: usize,
    all: Arc<Sharded<Cells>>,
}

#[derive(Debug, Default)]
struct Cells {
    accepted: Counter,
    open: Gauge,
    requests: Counter,
    serving: Gauge,
    /// Responses by the first digit of their status, from 1.
    classes: [Counter; CLASSES.len()],
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl WorkerMetrics {
    fn cells(&self) -> &Cells {
        self.all.of(self.number)
    }

    /// A client has connected. Its connection is closed when the [`Connected`]
    /// is dropped.
    pub fn connected(&self) -> Connected<'_> {
        let cells = self.cells();
        cells.accepted.add(1);
        cells.open.add(1);
        Connected { cells }
    }

    /// A request has come; its response has begun or its client left when the
    /// [`Serving`] is dropped.
    pub fn request(&self) -> Serving<'_> {
        let cells = self.cells();
        cells.requests.add(1);
        cells.serving.add(1);
        Serving { cells }
    }
}

/// A client's connection.
#[derive(Debug)]
#[must_use = "a connection that is dropped is closed"]
pub struct Connected<'a> {
    cells: &'a Cells,
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.cells.open.add(-1);
    }
}

/// A request that is being served.
#[derive(Debug)]
#[must_use = "a request that is dropped is served no more"]
pub struct Serving<'a> {
    cells: &'a Cells,
}

impl Serving<'_> {
    /// There is a response with this status.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).checked_sub(1);
        if let Some(counter) = class.and_then(|class| self.cells.classes.get(class)) {
            counter.add(1);
        }
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.cells.serving.add(-1);
    }
}

/// What is known of the gateway as a whole.
#[derive(Debug)]
pub(crate) struct Gateway {
    workers: Arc<Sharded<Cells>>,
    routes: AtomicI64,
    applied: AtomicU64,
    refused: AtomicU64,
    /// Seconds since 1970; 0: not yet.
    applied_at: AtomicU64,
}

impl Gateway {
    pub(crate) fn new(workers: usize) -> Self {
        Gateway {
            workers: Arc::new(Sharded::new(workers)),
            routes: AtomicI64::new(0),
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            applied_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn worker(&self, number: usize) -> WorkerMetrics {
        WorkerMetrics {
            number,
            all: Arc::clone(&self.workers),
        }
    }

    pub(crate) fn applied(&self, routes: usize) {
        self.routes
            .store(i64::try_from(routes).unwrap_or(i64::MAX), Relaxed);
        self.applied.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.applied_at
            .store(now.unwrap_or_default().as_secs(), Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn write(&self, text: &mut Text) {
        self.write_clients(text);
        let version = Labels::none().with("version", env!("CARGO_PKG_VERSION"));
        text.family(BUILD, [(version, 1)]);
        let system = rustix::system::uname();
        let name = system.nodename().to_string_lossy().to_ascii_lowercase();
        text.family(NODE, [(Labels::none().with("hostname", name), 1)]);
        text.single(ROUTES, self.routes.load(Relaxed));
        let changes = [("applied", &self.applied), ("refused", &self.refused)];
        let changes = changes.map(|(result, count)| {
            let labels = Labels::none().with("result", result);
            (labels, count.load(Relaxed))
        });
        text.family(CHANGES, changes);
        text.single(APPLIED_AT, self.applied_at.load(Relaxed));
        process::write(text);
    }

    fn write_clients(&self, text: &mut Text) {
        let (mut accepted, mut requests) = (0, 0);
        let (mut open, mut serving) = (0, 0);
        let mut classes = [0; CLASSES.len()];
        for cells in self.workers.parts() {
            accepted += cells.accepted.get();
            requests += cells.requests.get();
            open += cells.open.get();
            serving += cells.serving.get();
            for (sum, counter) in classes.iter_mut().zip(&cells.classes) {
                *sum += counter.get();
            }
        }
        let accepted = i64::try_from(accepted).unwrap_or(i64::MAX);
        let states = [
            ("active", open),
            ("accepted", accepted),
            ("handled", accepted),
            ("writing", serving),
            ("waiting", (open - serving).max(0)),
        ];
        let states = states.map(|(state, count)| (Labels::none().with("state", state), count));
        text.family(CONNECTIONS, states);
        text.single(REQUESTS, requests);
        let classes = CLASSES.iter().zip(classes);
        let classes = classes.map(|(class, count)| (Labels::none().with("class", class), count));
        text.family(RESPONSES, classes);
    }
}

const CONNECTIONS: Family = Family::gauge(
    "apisix_nginx_http_current_connections",
    "Client connections: open, accepted so far, with a request being served, without.",
);
const REQUESTS: Family = Family::gauge(
    "apisix_http_requests_total",
    "Requests since the gateway started.",
);
const RESPONSES: Family = Family::counter(
    "outrigger_http_responses_total",
    "Responses by class of status, whoever made them.",
);
const BUILD: Family = Family::gauge("outrigger_build_info", "The gateway's version; always 1.");
const NODE: Family = Family::gauge("apisix_node_info", "The machine's name; always 1.");
const ROUTES: Family = Family::gauge("outrigger_routes", "Routes that serve.");
const CHANGES: Family = Family::counter(
    "outrigger_config_changes_total",
    "Changes of routes and the like that were applied, or refused as they do not hold.",
);
const APPLIED_AT: Family = Family::gauge(
    "outrigger_config_applied_timestamp_seconds",
    "When the last change was applied; 0: none was.",
);
