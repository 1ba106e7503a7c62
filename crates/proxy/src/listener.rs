//! Binding and accepting: every worker has a listener of its own on each address, and
//! the kernel shares connections out among them.
//!
//! A listener that is given up is not closed at once: connections that the kernel has
//! taken for it, or is about to, would be lost.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::limits::{ACCEPT_PAUSE, LISTEN_BACKLOG, RETIRE};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", hint(source))]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (another process listens there; change apisix.node_listen)",
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need the capability NET_BIND_SERVICE)"
        }
        _ => "",
    }
}

/// An address with a listener for each worker.
pub(crate) struct Port {
    /// What was asked for; its port may be 0.
    wanted: SocketAddr,
    /// What it is.
    address: SocketAddr,
    /// Bound, and each there until its worker takes it.
    sockets: Mutex<Vec<Option<Socket>>>,
}

impl Port {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The listener of a worker, which listens from now on; none the second time.
    pub(crate) fn take(&self, worker: usize) -> Option<io::Result<TcpListener>> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = sockets.get_mut(worker)?.take()?;
        let listen = || {
            socket.listen(LISTEN_BACKLOG)?;
            TcpListener::from_std(socket.into())
        };
        Some(listen())
    }
}

/// Ports for the addresses `wanted`, of which those in `present` stay what they are; the
/// others are bound. Nobody can connect to them yet.
pub(crate) fn bind(
    wanted: &[SocketAddr],
    workers: usize,
    present: &[Arc<Port>],
) -> Result<Vec<Arc<Port>>, BindError> {
    let mut present: Vec<_> = present.iter().collect();
    let port = |wanted: &SocketAddr| {
        let known = present.iter().position(|port| port.wanted == *wanted);
        match known {
            Some(known) => Ok(Arc::clone(present.swap_remove(known))),
            None => Ok(Arc::new(bind_one(*wanted, workers)?)),
        }
    };
    wanted.iter().map(port).collect()
}

/// A port of 0 is chosen by the system, the same for all workers.
fn bind_one(wanted: SocketAddr, workers: usize) -> Result<Port, BindError> {
    let bind = || {
        let mut address = wanted;
        let mut sockets = Vec::with_capacity(workers);
        for _ in 0..workers {
            let socket = bound_socket(address)?;
            let bound = socket.local_addr()?;
            address = bound.as_socket().unwrap_or(address);
            sockets.push(Some(socket));
        }
        Ok(Port {
            wanted,
            address,
            sockets: Mutex::new(sockets),
        })
    };
    bind().map_err(|source| BindError {
        address: wanted,
        source,
    })
}

fn bound_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        // The same port of IPv4 is a listener of its own, if it is configured.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whoever has it keeps a listener accepting.
pub(crate) struct Open(oneshot::Sender<()>);

impl Open {
    /// Has the listener take what is on its way to it and close.
    pub(crate) fn retire(self) {
        // The listener has failed already.
        let _ = self.0.send(());
    }
}

/// Accepts for as long as [`Open`] is there. Dropped, it has the listener take those
/// that wait, and close at once.
pub(crate) fn accept_all(
    listener: TcpListener,
    mut accept: impl FnMut(TcpStream, SocketAddr),
) -> (Open, impl Future<Output = ()>) {
    let (open, retired) = oneshot::channel();
    let accepting = async move {
        let retired = until(retired, &listener, &mut accept).await;
        if retired.is_ok() {
            // Whatever fails here costs a connection at most, of an address that is
            // given up.
            if SockRef::from(&listener).attach_filter(&NO_NEW).is_ok() {
                let over = tokio::time::sleep(RETIRE);
                until(over, &listener, &mut accept).await;
            }
        }
        until(std::future::ready(()), &listener, &mut accept).await;
    };
    (Open(open), accepting)
}

/// Accepts until `end`, and then whoever waits still.
async fn until<T>(
    end: impl Future<Output = T>,
    listener: &TcpListener,
    accept: &mut impl FnMut(TcpStream, SocketAddr),
) -> T {
    let mut end = pin!(end);
    loop {
        let mut next = pin!(poll_fn(|cx| {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(Ok(accepted));
            }
            end.as_mut().poll(cx).map(Err)
        }));
        match next.as_mut().await {
            Ok(Ok((stream, peer))) => accept(stream, peer),
            Ok(Err(error)) => {
                tracing::warn!(%error, "accepting a connection failed");
                let pause = pin!(tokio::time::sleep(ACCEPT_PAUSE));
                pause.await;
            }
            Err(ended) => return ended,
        }
    }
}

/// A filter (classic BPF) that a listener's packets pass: without those that begin a
/// connection, and with those that complete one that has begun.
const NO_NEW: [SockFilter; 4] = {
    /// Load the byte at an offset of the packet, which begins with TCP's head.
    const LOAD_BYTE: u16 = 0x30;
    /// Jump by whether one of these bits is set.
    const JUMP_IF_SET: u16 = 0x45;
    /// Say how much of the packet to take.
    const RETURN: u16 = 0x06;
    /// Where TCP's flags are, and which of them is SYN.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
};
