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
use crate::settings::Listen;

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
    wanted: Listen,
    /// What its address is.
    address: SocketAddr,
    /// Bound, and each there until its worker takes it.
    sockets: Mutex<Vec<Option<Socket>>>,
}

impl Port {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What may be spoken at its address.
    pub(crate) fn speaks(&self) -> Listen {
        let address = self.address;
        Listen {
            address,
            ..self.wanted
        }
    }

    /// From now on everybody can connect, and waits until a worker takes its listener.
    pub(crate) fn listen(&self) -> Result<(), BindError> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut untaken = sockets.iter().flatten();
        let listening = untaken.try_for_each(|socket| socket.listen(LISTEN_BACKLOG));
        listening.map_err(|source| BindError {
            address: self.address,
            source,
        })
    }

    /// The listener of a worker; none the second time.
    pub(crate) fn take(&self, worker: usize) -> Option<io::Result<TcpListener>> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = sockets.get_mut(worker)?.take()?;
        Some(TcpListener::from_std(socket.into()))
    }
}

/// Ports for the addresses `wanted`, of which those in `present` stay what they are; the
/// others are bound. Nobody can connect to them yet.
pub(crate) fn bind(
    wanted: &[Listen],
    workers: usize,
    present: &[Arc<Port>],
) -> Result<Vec<Arc<Port>>, BindError> {
    let mut present: Vec<_> = present.iter().collect();
    let port = |wanted: &Listen| {
        let known = present.iter().position(|port| port.wanted == *wanted);
        match known {
            Some(known) => Ok(Arc::clone(present.swap_remove(known))),
            None => Ok(Arc::new(bind_one(*wanted, workers)?)),
        }
    };
    wanted.iter().map(port).collect()
}

/// A port of 0 is chosen by the system, the same for all workers.
fn bind_one(wanted: Listen, workers: usize) -> Result<Port, BindError> {
    let bind = || {
        let mut address = wanted.address;
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
        address: wanted.address,
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
        // Whatever fails here costs a connection at most, of an address that is
        // given up.
        if retired.is_ok() && SockRef::from(&listener).attach_filter(&NO_NEW).is_ok() {
            until(tokio::time::sleep(RETIRE), &listener, &mut accept).await;
        }
        // The runtime may not have heard of the last ones yet.
        while let Ok((stream, peer)) = SockRef::from(&listener).accept() {
            let stream = stream.set_nonblocking(true).map(|()| stream.into());
            let stream = stream.and_then(TcpStream::from_std);
            if let (Ok(stream), Some(peer)) = (stream, peer.as_socket()) {
                accept(stream, peer);
            }
        }
    };
    (Open(open), accepting)
}

/// Accepts until `end`.
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::TcpStream as Client;
    use std::rc::Rc;

    use super::*;

    const ANY: &str = "127.0.0.1:0";

    fn plain(address: SocketAddr) -> Listen {
        Listen {
            address,
            tls: false,
            http2: true,
        }
    }

    fn ports(wanted: &[SocketAddr], present: &[Arc<Port>]) -> Vec<Arc<Port>> {
        let wanted: Vec<_> = wanted.iter().copied().map(plain).collect();
        bind(&wanted, 2, present).unwrap()
    }

    #[test]
    fn an_address_that_is_to_speak_something_else_gets_listeners_of_its_own() {
        let before = ports(&[ANY.parse().unwrap()], &[]);
        let plain = plain(before[0].address());
        let secure = Listen { tls: true, ..plain };
        let after = bind(&[secure], 2, &before).unwrap();
        assert_eq!(after[0].speaks(), secure);
    }

    #[test]
    fn addresses_that_stay_keep_their_listeners() {
        let any: SocketAddr = ANY.parse().unwrap();
        let before = ports(&[any, any], &[]);
        let fixed = ports(&[any], &[])[0].address();
        let after = ports(&[fixed, any], &before);
        assert_eq!(after[0].address(), fixed);
        assert!(Arc::ptr_eq(&after[1], &before[0]));
        let more = ports(&[any, any, any], &before);
        let new = more.iter().filter(|port| {
            let mut before = before.iter();
            !before.any(|before| Arc::ptr_eq(before, port))
        });
        assert_eq!(new.count(), 1);
    }

    #[test]
    fn an_address_is_only_reserved_until_a_worker_takes_its_listener() {
        let port = ports(&[ANY.parse().unwrap()], &[]).remove(0);
        let refused = Client::connect(port.address()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        port.listen().unwrap();
        let _listener = port.take(1).unwrap().unwrap();
        assert!(port.take(1).is_none(), "it is taken once");
        assert!(port.take(2).is_none(), "there are two workers");
        Client::connect(port.address()).unwrap();
    }

    #[test]
    fn an_address_that_cannot_be_had_is_named() {
        let other = std::net::TcpListener::bind(ANY).unwrap();
        let taken = other.local_addr().unwrap();
        let error = bind(&[plain(taken)], 1, &[]).err().unwrap().to_string();
        let expected = format!("cannot listen on {taken}: ");
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.ends_with("change apisix.node_listen)"), "{error}");
    }

    /// How many connections a listener accepts until it closes, once it is told to
    /// by `end`; so many wait for it before.
    async fn accepted(waiting: usize, end: impl FnOnce(Open)) -> usize {
        let port = ports(&[ANY.parse().unwrap()], &[]).remove(0);
        port.listen().unwrap();
        let listener = port.take(0).unwrap().unwrap();
        drop(port.take(1));
        let clients: Vec<_> = (0..waiting)
            .map(|_| Client::connect(port.address()).unwrap())
            .collect();
        let count = Rc::<Cell<usize>>::default();
        let counted = Rc::clone(&count);
        let (open, accepting) = accept_all(listener, move |_, _| counted.set(counted.get() + 1));
        end(open);
        accepting.await;
        let refused = Client::connect(port.address()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        drop(clients);
        count.get()
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_is_given_up_accepts_whoever_waits() {
        assert_eq!(accepted(20, Open::retire).await, 20);
        assert_eq!(accepted(20, drop).await, 20);
        assert_eq!(accepted(0, Open::retire).await, 0);
    }

    #[tokio::test]
    async fn a_listener_that_is_given_up_lets_nobody_begin() {
        let port = ports(&[ANY.parse().unwrap()], &[]).remove(0);
        port.listen().unwrap();
        let listener = port.take(0).unwrap().unwrap();
        drop(port.take(1));
        SockRef::from(&listener).attach_filter(&NO_NEW).unwrap();
        let connecting = TcpStream::connect(port.address());
        // Long enough for what takes microseconds where it is possible at all.
        let in_vain = tokio::time::timeout(ACCEPT_PAUSE, connecting).await;
        assert!(in_vain.is_err(), "{in_vain:?}");
    }
}
