//! The proxy as a whole: bind, start the workers, stop them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use outrigger_engine::real_ip::RealIp;
use outrigger_engine::snapshot::Snapshot;
use outrigger_model::{Cidr, Trust};
use outrigger_telemetry::metrics::Metrics;
use outrigger_telemetry::trace::Tracer;
use tokio::sync::{oneshot, watch};

use crate::access_log::AccessLog;
use crate::listener::{self, BindError};
use crate::upstream::Roots;
use crate::worker;

/// What the proxy needs to know; every duration is a limit.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Addresses to listen on; port 0 is chosen by the system.
    pub listen: Vec<SocketAddr>,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Peers whose `X-Forwarded-*` fields are believed.
    pub trusted: Vec<Cidr>,
    /// Proxies that are believed about their clients' addresses.
    pub real_ip: Option<Arc<RealIp>>,
    /// Longest request body in bytes; `None`: no limit.
    pub max_body: Option<u64>,
    /// Longest request head in bytes.
    pub max_head: usize,
    /// Longest line of a request head, its end not counted, in bytes.
    pub max_line: usize,
    /// For a request's head to come whole.
    pub head_timeout: Duration,
    /// Between two requests; zero: a connection serves but one.
    pub idle_timeout: Duration,
    /// Between two parts of a request's body.
    pub body_timeout: Duration,
    /// For a client to take the next part of a response.
    pub send_timeout: Duration,
    /// Whether every response tells the upstream's status, not only a failed one.
    pub show_upstream_status: bool,
    /// Whether the field `Server` tells the version.
    pub show_version: bool,
    /// Where clients and requests are counted.
    pub metrics: Metrics,
    /// What traces requests; none if nothing does.
    pub tracer: Option<Tracer>,
    /// The access log, if there is to be one.
    pub access_log: Option<AccessLog>,
    /// Who may vouch for upstreams whose certificates are verified.
    pub upstream_trust: Trust,
    /// Whether upstreams are told by name, before TLS begins, which host is meant.
    pub upstream_sni: bool,
}

/// Listeners that nobody accepts from yet.
pub struct Bound {
    settings: Settings,
    addresses: Vec<SocketAddr>,
    /// For each worker, its listener of each address.
    listeners: Vec<Vec<std::net::TcpListener>>,
}

impl Bound {
    /// Binds every address once for each worker.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub fn bind(settings: Settings) -> Result<Self, BindError> {
        let mut addresses = Vec::new();
        let mut listeners: Vec<Vec<std::net::TcpListener>> = Vec::new();
        listeners.resize_with(settings.workers.max(1), Vec::new);
        for address in &settings.listen {
            for (worker, listener) in listener::bind(*address, listeners.len())?
                .into_iter()
                .enumerate()
            {
                if worker == 0 {
                    let fail = |source| BindError {
                        address: *address,
                        source,
                    };
                    addresses.push(listener.local_addr().map_err(fail)?);
                }
                listeners[worker].push(listener);
            }
        }
        Ok(Bound {
            settings,
            addresses,
            listeners,
        })
    }

    /// The addresses that are listened on, ports as they are.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Starts the workers. Requests run on whatever `snapshot` holds when
    /// they begin.
    ///
    /// # Errors
    /// The system has no thread or runtime to give.
    pub fn start(self, snapshot: &Arc<ArcSwap<Snapshot>>) -> io::Result<Running> {
        let (stop, stopping) = watch::channel(false);
        let settings = Arc::new(self.settings);
        let connections = Arc::<AtomicU64>::default();
        let roots = Arc::new(Roots::new(settings.upstream_trust.clone()));
        let mut threads = Vec::new();
        for (number, listeners) in self.listeners.into_iter().enumerate() {
            let worker = worker::Start {
                settings: Arc::clone(&settings),
                listeners,
                snapshot: Arc::clone(snapshot),
                roots: Arc::clone(&roots),
                stopping: stopping.clone(),
                connections: Arc::clone(&connections),
            };
            threads.push(worker.spawn(number)?);
        }
        Ok(Running { stop, threads })
    }
}

/// The workers at work. Dropping this stops them without waiting.
pub struct Running {
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Accepts no more connections, lets requests in flight end for at most
    /// `grace`, then closes what is left and waits for the threads.
    pub async fn stop(self, grace: Duration) {
        // Fails only when no worker is left to hear it.
        let _ = self.stop.send(true);
        let (joined, all_joined) = oneshot::channel();
        let threads = self.threads;
        // A thread of its own, not the runtime's: that one would wait for it
        // beyond the grace, when the runtime is dropped.
        std::thread::spawn(move || {
            for thread in threads {
                // A worker's panic has been reported by its thread already.
                let _ = thread.join();
            }
            // Nobody listens any more after the grace.
            let _ = joined.send(());
        });
        // After the grace the process ends, and the threads with it.
        let _ = tokio::time::timeout(grace, all_joined).await;
    }
}
