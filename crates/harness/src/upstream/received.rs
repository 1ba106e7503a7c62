//! A request as it came in, and the connection it came in on.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use crate::headers::Headers;
use crate::tls::{Secured, Tls, TlsServer};
use crate::wire::{self, WireError};

/// A whole request.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The request target as it stood in the request line.
    pub uri: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The header lines in order.
    pub headers: Headers,
    /// The body without its transfer coding.
    pub body: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Headers,
    /// Which connection it came in on, counted from 0.
    pub connection: usize,
    /// When it had been read.
    pub at: Instant,
    /// What was said while TLS began; none without it.
    pub tls: Option<Secured>,
}

impl Received {
    /// The first value of the header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    pub(super) fn wants_close(&self) -> bool {
        self.version == "HTTP/1.0" || self.headers.lists("connection", "close")
    }
}

/// One connection to a scripted upstream.
#[derive(Debug)]
pub struct RawConnection {
    stream: BufReader<Stream>,
    socket: TcpStream,
    secured: Option<Secured>,
    shared: Arc<Shared>,
    number: usize,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Tls),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl RawConnection {
    pub(super) fn new(
        stream: TcpStream,
        tls: Option<&TlsServer>,
        shared: &Arc<Shared>,
        number: usize,
    ) -> io::Result<Self> {
        let socket = stream.try_clone()?;
        let (stream, secured) = match tls {
            None => (Stream::Plain(stream), None),
            Some(tls) => {
                let (stream, secured) = tls.accept(stream)?;
                (Stream::Tls(stream), Some(secured))
            }
        };
        Ok(Self {
            stream: BufReader::new(stream),
            socket,
            secured,
            shared: Arc::clone(shared),
            number,
        })
    }

    /// Ends the stream as its protocol wants it ended.
    pub(super) fn close(&mut self) {
        if let Stream::Tls(tls) = self.stream.get_mut() {
            tls.close();
        }
    }

    /// Cuts the connection off without a word of TLS.
    pub fn cut_off(&mut self) {
        // It may be gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Which connection of its upstream it is, counted from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The gateway's side of it.
    ///
    /// # Panics
    /// If it is broken.
    pub fn peer(&self) -> SocketAddr {
        let peer = self.socket.peer_addr();
        peer.expect("an open connection has a peer")
    }

    /// Reads a whole request; `None` if the gateway closed the connection. An
    /// `Expect: 100-continue` is granted.
    pub fn read_request(&mut self) -> Option<Received> {
        let read = self.read_head().and_then(|head| match head {
            Some(request) => self.read_body(request).map(Some),
            None => Ok(None),
        });
        self.note(read)
    }

    /// Reads a request up to its body, which is left unread; `None` if the
    /// gateway closed the connection. It counts as a hit.
    pub fn read_request_head(&mut self) -> Option<Received> {
        let read = self.read_head();
        self.note(read)
    }

    fn note(&self, read: Result<Option<Received>, WireError>) -> Option<Received> {
        match read {
            Ok(request) => {
                let request = request?;
                self.shared.record(request.clone());
                Some(request)
            }
            Err(WireError::Malformed(what)) => {
                self.shared.violation(what);
                None
            }
            // The gateway gives a request up when its client has gone.
            Err(WireError::Io(_) | WireError::Truncated(_)) => None,
        }
    }

    fn read_head(&mut self) -> Result<Option<Received>, WireError> {
        let Some(head) = wire::read_head(&mut self.stream)? else {
            return Ok(None);
        };
        let words: Vec<&str> = head.start.split(' ').collect();
        let [method, uri, version @ ("HTTP/1.1" | "HTTP/1.0")] = words[..] else {
            return Err(WireError::Malformed(format!(
                "request line {:?}",
                head.start
            )));
        };
        if version == "HTTP/1.1" && head.headers.all("host").len() != 1 {
            let hosts = head.headers.all("host");
            return Err(WireError::Malformed(format!("host {hosts:?}")));
        }
        Ok(Some(Received {
            method: method.to_owned(),
            uri: uri.to_owned(),
            version: version.to_owned(),
            headers: head.headers,
            body: Vec::new(),
            trailers: Headers::default(),
            connection: self.number,
            at: Instant::now(),
            tls: self.secured.clone(),
        }))
    }

    fn read_body(&mut self, mut request: Received) -> Result<Received, WireError> {
        let framing = wire::request_framing(&request.headers)?;
        if request.headers.lists("expect", "100-continue") {
            self.try_write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        (request.body, request.trailers) = wire::read_body(&mut self.stream, framing)?;
        request.at = Instant::now();
        Ok(request)
    }

    /// Sends `bytes` as they are. A gateway that has gone is no failure.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.try_write(bytes);
    }

    /// Sends `bytes` as they are.
    ///
    /// # Errors
    /// The gateway no longer takes them.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Waits until the gateway closes the connection.
    pub fn wait_closed(&mut self) {
        let _ = io::copy(&mut self.stream, &mut io::sink());
    }

    /// The socket, for what the methods here do not offer.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }
}
