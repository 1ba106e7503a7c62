//! The proxy as a whole: bind, start the workers, tell them other settings, stop them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use outrigger_engine::snapshot::Snapshot;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::limits::HEAR;
use crate::listener::{self, BindError, Port};
use crate::probes;
use crate::settings::{Fixed, Listen, Settings};
use crate::tls::TlsServers;
use crate::upstream::Roots;
use crate::worker;

/// What workers are told. Each takes it up by itself, between two requests.
pub(crate) struct Orders {
    pub(crate) settings: Arc<Settings>,
    pub(crate) ports: Vec<Arc<Port>>,
    pub(crate) roots: Arc<Roots>,
    pub(crate) tls: Arc<TlsServers>,
    /// One permit from each worker that goes by these orders.
    heard: Semaphore,
}

impl Orders {
    fn new(settings: Settings, ports: Vec<Arc<Port>>, before: Option<&Orders>) -> Self {
        let known =
            before.filter(|orders| orders.settings.upstream_trust == settings.upstream_trust);
        let new = || Arc::new(Roots::new(settings.upstream_trust.clone()));
        let same_tls = before.filter(|orders| orders.settings.tls == settings.tls);
        let new_tls = || Arc::new(TlsServers::new(settings.tls.clone()));
        Orders {
            tls: same_tls.map_or_else(new_tls, |orders| Arc::clone(&orders.tls)),
            roots: known.map_or_else(new, |orders| Arc::clone(&orders.roots)),
            settings: Arc::new(settings),
            ports,
            heard: Semaphore::new(0),
        }
    }

    /// A worker goes by them from now on.
    pub(crate) fn heard(&self) {
        self.heard.add_permits(1);
    }
}

/// Why the workers cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address has been taken since it was reserved.
    #[error(transparent)]
    Address(#[from] BindError),
    /// There is no thread or runtime to be had.
    #[error("a worker cannot be started: {0}")]
    Worker(#[from] io::Error),
}

/// Addresses that are reserved; nobody can connect to them yet.
pub struct Bound {
    fixed: Fixed,
    orders: Orders,
}

impl Bound {
    /// Binds every address once for each worker.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub fn bind(fixed: Fixed, settings: Settings) -> Result<Self, BindError> {
        let workers = fixed.workers.max(1);
        let ports = listener::bind(&settings.listen, workers, &[])?;
        let orders = Orders::new(settings, ports, None);
        Ok(Bound {
            fixed: Fixed { workers, ..fixed },
            orders,
        })
    }

    /// Listens, and starts the workers. Requests run on whatever `snapshot` holds
    /// when they begin.
    ///
    /// # Errors
    /// [`StartError`] says what the system has not to give.
    pub fn start(self, snapshot: &Arc<ArcSwap<Snapshot>>) -> Result<Running, StartError> {
        for port in &self.orders.ports {
            port.listen()?;
        }
        let (orders, told) = watch::channel(Arc::new(self.orders));
        let connections = Arc::<AtomicU64>::default();
        let start = |number| {
            let worker = worker::Start {
                number,
                fixed: self.fixed.clone(),
                snapshot: Arc::clone(snapshot),
                orders: told.clone(),
                connections: Arc::clone(&connections),
            };
            worker.spawn()
        };
        let threads = (0..self.fixed.workers).map(start);
        Ok(Running {
            threads: threads.collect::<io::Result<_>>()?,
            orders,
        })
    }
}

/// The workers at work. Dropping this stops them without waiting.
pub struct Running {
    orders: watch::Sender<Arc<Orders>>,
    threads: Vec<JoinHandle<()>>,
}

/// Other settings, made ready. Dropped, it changes nothing.
pub struct Change(Orders);

impl Change {
    /// Where it will listen, ports as they are, and what is spoken there.
    #[must_use]
    pub fn listens(&self) -> Vec<Listen> {
        listens(&self.0.ports)
    }
}

impl Running {
    /// Where it listens, ports as they are, and what is spoken there.
    #[must_use]
    pub fn listens(&self) -> Vec<Listen> {
        listens(&self.orders.borrow().ports)
    }

    /// The addresses that are listened on, ports as they are.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.orders.borrow().ports)
    }

    /// Makes `settings` ready to be gone by: reserves the addresses that are new.
    ///
    /// # Errors
    /// [`BindError`] names the address. Nothing has changed.
    pub fn prepare(&self, settings: Settings) -> Result<Change, BindError> {
        let before = self.orders.borrow();
        let ports = listener::bind(&settings.listen, self.threads.len(), &before.ports)?;
        Ok(Change(Orders::new(settings, ports, Some(&before))))
    }

    /// Has all workers go by other settings. Requests and connections that have
    /// begun end by the old ones; a connection that the new ones hold to something
    /// else, or whose address is not listened on any more, ends after its next
    /// request. Returns when the workers have heard of it, at the latest after
    /// [`HEAR`]; true if all have.
    pub async fn apply(&self, change: Change) -> bool {
        let orders = Arc::new(change.0);
        for port in &orders.ports {
            // It could be reserved, so this is hardly possible; and it is too late
            // to turn back.
            if let Err(error) = port.listen() {
                tracing::error!("{error}");
            }
        }
        // Fails only when no worker is left to hear it.
        let _ = self.orders.send(Arc::clone(&orders));
        let workers = u32::try_from(self.threads.len()).unwrap_or(u32::MAX);
        let heard = orders.heard.acquire_many(workers);
        tokio::time::timeout(HEAR, heard).await.is_ok()
    }

    /// Looks after the health of the nodes of upstreams in `snapshot`; ends when the
    /// workers are told to stop. To be run by the caller, beside everything else.
    pub fn look_after_health(
        &self,
        snapshot: &Arc<ArcSwap<Snapshot>>,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        probes::look_after(Arc::clone(snapshot), self.orders.subscribe())
    }

    /// Accepts no more connections, lets requests in flight end for at most
    /// `grace`, then closes what is left and waits for the threads.
    pub async fn stop(self, grace: Duration) {
        drop(self.orders);
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

fn listens(ports: &[Arc<Port>]) -> Vec<Listen> {
    ports.iter().map(|port| port.speaks()).collect()
}

fn addresses(ports: &[Arc<Port>]) -> Vec<SocketAddr> {
    ports.iter().map(|port| port.address()).collect()
}
