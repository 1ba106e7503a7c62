//! Binding: every worker has a listener of its own on each address, and the
//! kernel shares connections out among them.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::LISTEN_BACKLOG;

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

/// Listeners of one address, one for each of `workers`; a port of 0 is
/// chosen by the system, the same for all.
pub(crate) fn bind(
    address: SocketAddr,
    workers: usize,
) -> Result<Vec<std::net::TcpListener>, BindError> {
    let fail = |source| BindError { address, source };
    let mut listeners = Vec::with_capacity(workers);
    let mut chosen = address;
    for _ in 0..workers {
        let listener = listen(chosen).map_err(fail)?;
        chosen = listener.local_addr().map_err(fail)?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
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
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}
