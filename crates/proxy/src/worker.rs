//! One worker thread: its runtime, its listeners, what its requests share.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use outrigger_engine::snapshot::Snapshot;
use outrigger_engine::worker::Worker as EngineWorker;
use outrigger_telemetry::metrics::WorkerMetrics;
use outrigger_telemetry::trace::{Tracer, WorkerTracer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use crate::access_log::Lines;
use crate::connection;
use crate::current::Current;
use crate::drain::Drain;
use crate::limits::{ACCEPT_PAUSE, SWEEP_INTERVAL};
use crate::server::Settings;
use crate::upstream::{Pool, Roots, TlsClients};

/// What all requests of one worker share. Nothing of it is seen by another.
pub(crate) struct Worker {
    pub(crate) settings: Arc<Settings>,
    pub(crate) current: Current,
    pub(crate) engine: Rc<EngineWorker>,
    pub(crate) pool: Rc<Pool>,
    pub(crate) tls: TlsClients,
    pub(crate) drain: Rc<Drain>,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) tracer: Option<Rc<WorkerTracer>>,
    pub(crate) access_log: Option<Rc<Lines>>,
    /// How many connections all workers have accepted.
    connections: Arc<AtomicU64>,
}

impl Worker {
    /// The number of a connection that was just accepted, which no other has.
    pub(crate) fn number_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// All that a worker thread starts with.
pub(crate) struct Start {
    pub(crate) settings: Arc<Settings>,
    pub(crate) listeners: Vec<std::net::TcpListener>,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) roots: Arc<Roots>,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) connections: Arc<AtomicU64>,
}

impl Start {
    pub(crate) fn spawn(self, number: usize) -> io::Result<JoinHandle<()>> {
        // Made here so that a failure is the caller's to report.
        let mut builder = Builder::new_current_thread();
        builder.enable_all();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || match builder.build_local(LocalOptions::default()) {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    runtime.block_on(self.run(number));
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            })?;
        started
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the worker thread ended")))?;
        Ok(thread)
    }

    async fn run(mut self, number: usize) {
        let metrics = self.settings.metrics.worker(number);
        let tracer = self.settings.tracer.as_ref().map(Tracer::for_worker);
        let access_log = self.settings.access_log.clone();
        let tls = TlsClients::new(self.roots, self.settings.upstream_sni);
        let worker = Rc::new(Worker {
            metrics,
            tracer,
            settings: self.settings,
            current: Current::new(self.snapshot),
            engine: EngineWorker::numbered(number),
            pool: Rc::new(Pool::new()),
            tls,
            drain: Rc::new(Drain::default()),
            access_log: access_log.map(Lines::start),
            connections: self.connections,
        });
        let accepting: Vec<_> = self
            .listeners
            .into_iter()
            .map(|listener| tokio::task::spawn_local(accept_all(listener, Rc::clone(&worker))))
            .collect();
        let sweeping = tokio::task::spawn_local(sweep(Rc::clone(&worker)));
        // An error means that the sender is gone: stop as well.
        let _ = self.stopping.wait_for(|stop| *stop).await;
        accepting.iter().for_each(tokio::task::JoinHandle::abort);
        worker.drain.begin();
        while worker.drain.connections() > 0 {
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        sweeping.abort();
        if let Some(log) = &worker.access_log {
            log.hand_over();
        }
    }
}

async fn sweep(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        worker.pool.sweep();
        worker.tls.sweep();
    }
}

async fn accept_all(listener: std::net::TcpListener, worker: Rc<Worker>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot be watched"),
    };
    loop {
        match poll_fn(|cx| listener.poll_accept(cx)).await {
            Ok((stream, peer)) => accept(stream, peer, &worker),
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn accept(stream: TcpStream, peer: SocketAddr, worker: &Rc<Worker>) {
    // A peer that is gone already has no addresses; there is nobody to tell.
    let Ok(local) = stream.local_addr() else {
        return;
    };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    tokio::task::spawn_local(connection::serve(stream, peer, local, Rc::clone(worker)));
}
