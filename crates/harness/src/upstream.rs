//! Upstreams for the gateway to talk to: one that echoes, and one that a test
//! scripts byte by byte.

mod deaf;
mod echo;
mod received;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use deaf::Deaf;
pub use received::{RawConnection, Received};

use crate::tls::TlsServer;
use crate::wait;

/// A server on a free loopback port, a thread per connection. Dropping it
/// closes every connection.
///
/// It reads requests strictly: what the gateway must not send fails the test
/// when the upstream is dropped, unless the test
/// [takes it away](Upstream::take_violations).
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What the threads of one upstream know together.
#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    accepted: AtomicUsize,
    open: Mutex<HashMap<usize, TcpStream>>,
    requests: Mutex<Vec<Received>>,
    violations: Mutex<Vec<String>>,
}

impl Upstream {
    /// An upstream that answers with the request as JSON, `{"method", "uri",
    /// "headers": [[name, value]…], "body"}`, except on these paths:
    ///
    /// | path | answer |
    /// | --- | --- |
    /// | `/hello` | `hello world\n`, text/plain |
    /// | `/chunked` | the same, chunked, without a type |
    /// | `/status/N` | `status\n` with status N |
    /// | `/big/N` | N times `x` |
    /// | `/slow/MS` | `slow\n` after MS milliseconds |
    /// | `/echo` | the request's body |
    /// | `/multi` | `multi\n`, text/plain, two Set-Cookie and an ETag |
    ///
    /// A request header `resp-NAME: v` makes it answer with a header `NAME: v`.
    ///
    /// # Panics
    /// If the system has no free port.
    pub fn echo() -> Self {
        Self::raw(echo::serve)
    }

    /// An upstream that does with each connection what `serve` says, and closes
    /// it afterwards.
    ///
    /// # Panics
    /// If the system has no free port.
    pub fn raw(serve: impl Fn(&mut RawConnection) + Send + Sync + 'static) -> Self {
        Self::start(None, serve)
    }

    /// As [`Upstream::echo`], over TLS.
    ///
    /// # Panics
    /// If the system has no free port.
    pub fn tls_echo(tls: &TlsServer) -> Self {
        Self::tls(tls, echo::serve)
    }

    /// As [`Upstream::raw`], over TLS. A connection on which TLS does not come
    /// about is closed.
    ///
    /// # Panics
    /// If the system has no free port.
    pub fn tls(
        tls: &TlsServer,
        serve: impl Fn(&mut RawConnection) + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(tls.clone()), serve)
    }

    fn start(
        tls: Option<TlsServer>,
        serve: impl Fn(&mut RawConnection) + Send + Sync + 'static,
    ) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has a port");
        let shared = Arc::<Shared>::default();
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared, tls.as_ref(), &Arc::new(serve))
        });
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `host:port`, as a node of the configuration.
    pub fn node(&self) -> String {
        self.address.to_string()
    }

    /// The number of requests read so far.
    pub fn hits(&self) -> usize {
        lock(&self.shared.requests).len()
    }

    /// Waits until `count` requests have been read.
    ///
    /// # Panics
    /// If they do not come.
    #[track_caller]
    pub fn wait_hits(&self, count: usize) {
        wait::eventually(&format!("{count} requests at the upstream"), || {
            self.hits() >= count
        });
    }

    /// The requests read so far.
    pub fn requests(&self) -> Vec<Received> {
        lock(&self.shared.requests).clone()
    }

    /// The request that was read last.
    ///
    /// # Panics
    /// If there was none.
    #[track_caller]
    pub fn last(&self) -> Received {
        let last = lock(&self.shared.requests).last().cloned();
        last.expect("the upstream has seen no request")
    }

    /// The number of connections that are open now.
    pub fn open_connections(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// The number of connections taken so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Takes away what requests broke HTTP's rules.
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.violations))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor up.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in lock(&self.shared.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let violations = self.take_violations();
        if !violations.is_empty() && !std::thread::panicking() {
            panic!("the upstream was sent what must not be sent: {violations:#?}");
        }
    }
}

impl Shared {
    fn record(&self, request: Received) {
        lock(&self.requests).push(request);
    }

    fn violation(&self, what: String) {
        // What a connection closed at the end leaves unfinished is no fault.
        if !self.stopping.load(Ordering::SeqCst) {
            lock(&self.violations).push(what);
        }
    }
}

fn accept<F>(listener: &TcpListener, shared: &Arc<Shared>, tls: Option<&TlsServer>, serve: &Arc<F>)
where
    F: Fn(&mut RawConnection) + Send + Sync + 'static,
{
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            continue;
        };
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        if admit(shared, number, &stream).is_err() {
            continue;
        }
        let (shared, serve, tls) = (Arc::clone(shared), Arc::clone(serve), tls.cloned());
        std::thread::spawn(move || {
            let _gone = Gone(&shared, number);
            let connection = RawConnection::new(stream, tls.as_ref(), &shared, number);
            // A client that does not speak TLS has nothing to say here.
            if let Ok(mut connection) = connection {
                serve(&mut connection);
                connection.close();
            }
        });
    }
}

fn admit(shared: &Shared, number: usize, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let copy = stream.try_clone()?;
    lock(&shared.open).insert(number, copy);
    Ok(())
}

/// Takes a connection off the list of open ones, however its thread ends. The
/// list's copy of the socket would keep it open otherwise.
struct Gone<'a>(&'a Shared, usize);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        if let Some(stream) = lock(&self.0.open).remove(&self.1) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
