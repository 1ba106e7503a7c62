//! One worker thread: its runtime, its listeners, what its requests share.

use std::cell::{Cell, RefCell};
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
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use crate::connection::{self, Arrival};
use crate::current::Current;
use crate::drain::Drain;
use crate::limits::{DRAIN_POLL, SWEEP_INTERVAL};
use crate::listener::{self, Open, Port};
use crate::seldom::Seldom;
use crate::server::Orders;
use crate::settings::{Fixed, Listen};
use crate::terms::{Terms, Upstreams};

/// What all requests of one worker share. Nothing of it is seen by another.
pub(crate) struct Worker {
    /// The newest; whoever begins something takes them.
    terms: RefCell<Rc<Terms>>,
    pub(crate) current: Current,
    pub(crate) engine: Rc<EngineWorker>,
    pub(crate) drain: Rc<Drain>,
    pub(crate) metrics: WorkerMetrics,
    /// What the log says of clients for which there is no certificate.
    pub(crate) uncertified: Seldom,
    /// How many connections all workers have accepted.
    connections: Arc<AtomicU64>,
}

impl Worker {
    /// The number of a connection that was just accepted, which no other has.
    pub(crate) fn number_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What what begins now is to be served by.
    pub(crate) fn terms(&self) -> Rc<Terms> {
        Rc::clone(&self.terms.borrow())
    }

    /// Brings `terms` up to date; costs next to nothing where they are.
    pub(crate) fn refresh(&self, terms: &mut Rc<Terms>) {
        let newest = self.terms.borrow();
        if !Rc::ptr_eq(&newest, terms) {
            *terms = Rc::clone(&newest);
        }
    }

    /// The connections to upstreams.
    pub(crate) fn upstreams(&self) -> Rc<Upstreams> {
        Rc::clone(&self.terms.borrow().upstreams)
    }
}

/// All that a worker thread starts with.
pub(crate) struct Start {
    pub(crate) number: usize,
    pub(crate) fixed: Fixed,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) orders: watch::Receiver<Arc<Orders>>,
    pub(crate) connections: Arc<AtomicU64>,
}

impl Start {
    pub(crate) fn spawn(self) -> io::Result<JoinHandle<()>> {
        // Made here so that a failure is the caller's to report.
        let mut builder = Builder::new_current_thread();
        builder.enable_all();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("worker-{}", self.number))
            .spawn(move || match builder.build_local(LocalOptions::default()) {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    runtime.block_on(self.run());
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

    async fn run(mut self) {
        let orders = Arc::clone(&self.orders.borrow_and_update());
        let terms = Terms::new(&orders, None);
        let worker = Rc::new(Worker {
            terms: RefCell::new(terms),
            metrics: self.fixed.metrics.worker(self.number),
            current: Current::new(self.snapshot),
            engine: EngineWorker::numbered(self.number),
            drain: Rc::new(Drain::default()),
            uncertified: Seldom::default(),
            connections: self.connections,
        });
        let mut doors = Doors {
            number: self.number,
            worker: Rc::clone(&worker),
            doors: Vec::new(),
        };
        doors.open(&orders.ports);
        orders.heard();
        drop(orders);
        let sweeping = tokio::task::spawn_local(sweep(Rc::clone(&worker)));
        // An error means that whoever gives orders is gone: that is the last one.
        while self.orders.changed().await.is_ok() {
            let orders = Arc::clone(&self.orders.borrow_and_update());
            let before = worker.terms();
            let terms = Terms::new(&orders, Some(&before));
            *worker.terms.borrow_mut() = terms;
            doors.open(&orders.ports);
            orders.heard();
        }
        doors.close().await;
        worker.drain.begin();
        while worker.drain.connections() > 0 {
            tokio::time::sleep(DRAIN_POLL).await;
        }
        sweeping.abort();
        if let Some(log) = &worker.terms().access_log {
            log.hand_over();
        }
    }
}

/// Where a worker lets connections in.
struct Doors {
    number: usize,
    worker: Rc<Worker>,
    doors: Vec<Door>,
}

struct Door {
    port: Arc<Port>,
    open: Open,
    closed: Rc<Cell<bool>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Doors {
    /// Has `ports` open, and no others.
    fn open(&mut self, ports: &[Arc<Port>]) {
        let (stay, leave): (Vec<_>, Vec<_>) = std::mem::take(&mut self.doors)
            .into_iter()
            .partition(|door| ports.iter().any(|port| Arc::ptr_eq(port, &door.port)));
        self.doors = stay;
        for door in leave {
            door.closed.set(true);
            door.open.retire();
        }
        for port in ports {
            match port.take(self.number) {
                // It is open.
                None => {}
                Some(Ok(listener)) => {
                    let closed = Rc::<Cell<bool>>::default();
                    let worker = Rc::clone(&self.worker);
                    let arrived = Rc::clone(&closed);
                    let listen = port.speaks();
                    let accept =
                        move |stream, peer| accept(stream, peer, listen, &arrived, &worker);
                    let (open, accepting) = listener::accept_all(listener, accept);
                    self.doors.push(Door {
                        port: Arc::clone(port),
                        open,
                        closed,
                        accepting: tokio::task::spawn_local(accepting),
                    });
                }
                Some(Err(error)) => {
                    let address = port.address();
                    tracing::error!(%address, %error, "a listener cannot be used");
                }
            }
        }
    }

    /// Lets those in that wait, and no more.
    async fn close(self) {
        for Door {
            open, accepting, ..
        } in self.doors
        {
            drop(open);
            // A panic has been reported by its thread.
            let _ = accepting.await;
        }
        // They get to see their requests before they are told to end.
        tokio::task::yield_now().await;
    }
}

async fn sweep(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let upstreams = worker.upstreams();
        for name in upstreams.pool.sweep(&upstreams.names) {
            let upstreams = Rc::clone(&upstreams);
            // What comes of it shows when a connection is made, or in the next sweep.
            tokio::task::spawn_local(async move { upstreams.names.addresses(&name).await.is_ok() });
        }
        upstreams.tls.sweep();
        worker.terms().tls.sweep();
    }
}

fn accept(
    stream: TcpStream,
    peer: SocketAddr,
    listen: Listen,
    closed: &Rc<Cell<bool>>,
    worker: &Rc<Worker>,
) {
    // A peer that is gone already has no addresses; there is nobody to tell.
    let Ok(local) = stream.local_addr() else {
        return;
    };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let arrival = Arrival {
        peer,
        local,
        http2: listen.http2,
        closed: Rc::clone(closed),
    };
    let worker = Rc::clone(worker);
    if listen.tls {
        tokio::task::spawn_local(connection::serve_tls(stream, arrival, worker));
    } else {
        tokio::task::spawn_local(connection::serve(stream, arrival, worker));
    }
}
