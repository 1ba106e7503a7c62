//! A small blocking HTTP/1.1 client that sends what it is told and shows what
//! came back: no redirects, no retries, no header of its own but `Host` and the
//! body's length.

mod connection;
mod request;
mod response;

use std::fmt;
use std::io;
use std::net::SocketAddr;

pub use connection::Connection;
pub use request::Request;
pub use response::Response;

use crate::wire::WireError;

/// Why there was no response.
#[derive(Debug)]
pub enum ClientError {
    /// The gateway did not take the connection.
    Connect(SocketAddr, io::Error),
    /// The request went out, or a part of it, and this came of it.
    Exchange(WireError),
    /// The connection was closed before the first byte of a response.
    NoResponse,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(address, error) => write!(f, "cannot connect to {address}: {error}"),
            Self::Exchange(error) => write!(f, "no whole response: {error}"),
            Self::NoResponse => f.write_str("the connection was closed without a response"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<WireError> for ClientError {
    fn from(error: WireError) -> Self {
        Self::Exchange(error)
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Exchange(WireError::Io(error))
    }
}

/// Requests to one address, each on a connection of its own.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    address: SocketAddr,
}

impl Client {
    /// A client for the server at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// The address requests go to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A GET request for `target`.
    pub fn get(&self, target: &str) -> Request<'static> {
        self.request("GET", target)
    }

    /// A POST request for `target`.
    pub fn post(&self, target: &str) -> Request<'static> {
        self.request("POST", target)
    }

    /// A request for `target`, which goes out as it stands.
    pub fn request(&self, method: &str, target: &str) -> Request<'static> {
        Request::fresh(self.address, method, target)
    }

    /// A connection for one request after the other.
    ///
    /// # Panics
    /// If the server does not take it.
    #[track_caller]
    pub fn connection(&self) -> Connection {
        match Connection::open(self.address) {
            Ok(connection) => connection,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends `bytes` as they are on a new connection and returns all that comes
    /// back until the server closes it.
    ///
    /// # Panics
    /// If there is no connection, or the server leaves it open.
    #[track_caller]
    pub fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut connection = self.connection();
        connection.write(bytes);
        connection.read_to_end()
    }
}

/// Does `work` `count` times at once, each time on a thread of its own that
/// waits for all the others to be ready, and returns the results in order.
///
/// # Panics
/// If one of them does.
pub fn together<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    work(number)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}
