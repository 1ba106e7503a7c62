//! One connection, request after request, and raw bytes where a test wants to
//! send what no client would.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::{ClientError, Request, Response};
use crate::limits;
use crate::wire::{self, Head, WireError};

/// A connection to the gateway. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Result<Self, ClientError> {
        let refused = |error| ClientError::Connect(address, error);
        let stream = TcpStream::connect(address).map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        let stream = BufReader::new(stream);
        let connection = Self { address, stream };
        connection.limit(limits::EXCHANGE)?;
        Ok(connection)
    }

    /// A GET request on this connection.
    pub fn get(&mut self, target: &str) -> Request<'_> {
        self.request("GET", target)
    }

    /// A request on this connection.
    pub fn request(&mut self, method: &str, target: &str) -> Request<'_> {
        Request::on(self, method, target)
    }

    /// The address of this side.
    ///
    /// # Panics
    /// If the connection is broken.
    pub fn local_addr(&self) -> SocketAddr {
        let address = self.stream.get_ref().local_addr();
        address.expect("an open connection has an address")
    }

    /// Sends `bytes` as they are.
    ///
    /// # Panics
    /// If the server no longer takes them.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.get_mut().write_all(bytes) {
            panic!("cannot send {} bytes: {error}", bytes.len());
        }
    }

    /// Says that nothing more will be sent.
    ///
    /// # Panics
    /// If the connection is broken.
    #[track_caller]
    pub fn finish(&mut self) {
        if let Err(error) = self.stream.get_ref().shutdown(Shutdown::Write) {
            panic!("cannot close the sending half: {error}");
        }
    }

    /// Reads the response to a request with `method`.
    ///
    /// # Panics
    /// If there is none, or it is not whole.
    #[track_caller]
    pub fn read_response(&mut self, method: &str) -> Response {
        match self.response(method) {
            Ok(response) => response,
            Err(error) => panic!("response to {method}: {error}"),
        }
    }

    /// Reads the next `length` bytes.
    ///
    /// # Panics
    /// If they do not come.
    #[track_caller]
    pub fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        if let Err(error) = self.stream.read_exact(&mut bytes) {
            panic!("cannot read {length} bytes: {error}");
        }
        bytes
    }

    /// Reads until the server closes the connection, in whatever way.
    ///
    /// # Panics
    /// If it does not within [`limits::EXCHANGE`].
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(error) if is_timeout(&error) => panic!(
                "the connection was left open after {} bytes: {}",
                bytes.len(),
                bytes.escape_ascii()
            ),
            Err(_) => bytes,
        }
    }

    pub(super) fn limit(&self, within: Duration) -> Result<(), ClientError> {
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(within))?;
        stream.set_write_timeout(Some(within))?;
        Ok(())
    }

    /// Sends a request and reads its response. A failure to send is not the end:
    /// a server may answer and close before it has read everything.
    pub(super) fn exchange(
        &mut self,
        method: &str,
        head: &[u8],
        body: &[u8],
    ) -> Result<Response, ClientError> {
        if body.len() <= limits::BODY_INLINE {
            let sent = self.stream.get_mut().write_all(&[head, body].concat());
            return self.after_sending(method, sent);
        }
        let mut sender = self.stream.get_ref().try_clone()?;
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || {
                sender.write_all(head)?;
                sender.write_all(body)
            });
            let response = self.response(method);
            if response.is_err() {
                // So that the sender does not wait for room that never comes.
                let _ = self.stream.get_ref().shutdown(Shutdown::Both);
            }
            let sent = sending.join().expect("sending bytes does not panic");
            match (response, sent) {
                (Err(ClientError::NoResponse), Err(error)) => Err(error.into()),
                (response, _) => response,
            }
        })
    }

    fn after_sending(
        &mut self,
        method: &str,
        sent: std::io::Result<()>,
    ) -> Result<Response, ClientError> {
        match (self.response(method), sent) {
            (Err(_), Err(error)) => Err(error.into()),
            (response, _) => response,
        }
    }

    fn response(&mut self, method: &str) -> Result<Response, ClientError> {
        let mut interim = Vec::new();
        loop {
            let Some(head) = wire::read_head(&mut self.stream)? else {
                return Err(ClientError::NoResponse);
            };
            let (status, reason) = status_line(&head)?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let framing = wire::response_framing(method, status, &head.headers)?;
            let (body, trailers) = wire::read_body(&mut self.stream, framing)?;
            return Ok(Response {
                status,
                reason,
                headers: head.headers,
                body,
                trailers,
                interim,
            });
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

fn status_line(head: &Head) -> Result<(u16, String), WireError> {
    let parse = || {
        let mut words = head.start.splitn(3, ' ');
        let version = words.next()?;
        let status = words.next().filter(|status| status.len() == 3)?;
        let known = matches!(version, "HTTP/1.1" | "HTTP/1.0");
        let status = status.parse().ok().filter(|_| known)?;
        Some((status, words.next()?.to_owned()))
    };
    parse().ok_or_else(|| WireError::Malformed(format!("status line {:?}", head.start)))
}
