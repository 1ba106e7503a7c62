//! An upstream that nobody can connect to, and that does not say so.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

/// A listener that accepts nothing and has no room for more to wait: whoever
/// connects waits until they give up.
#[derive(Debug)]
pub struct Deaf {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

/// How long a connection that there is room for takes at most.
const PROMPT: Duration = Duration::from_millis(500);

/// More than the room that was asked for.
const MOST_WAITING: usize = 64;

impl Deaf {
    /// One on a free loopback port.
    ///
    /// # Panics
    /// If the system has none, or always has room.
    #[allow(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Self {
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        bind(&listener, &any).expect("loopback has a free port");
        listen(&listener, 0).expect("a bound socket can listen");
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().expect("a bound socket has a port");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, PROMPT) {
            waiting.push(stream);
            assert!(waiting.len() < MOST_WAITING, "there is always room");
        }
        Self {
            address,
            _listener: listener,
            _waiting: waiting,
        }
    }

    /// `host:port`, as a node of the configuration.
    pub fn node(&self) -> String {
        self.address.to_string()
    }
}
