//! A request being put together.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::{ClientError, Connection, Response};
use crate::limits;

/// A request to [send](Request::send).
#[derive(Debug)]
#[must_use = "a request goes out with `send`"]
pub struct Request<'a> {
    on: On<'a>,
    method: String,
    target: String,
    host: Option<String>,
    lines: Vec<u8>,
    body: Body,
    within: Duration,
}

#[derive(Debug)]
enum On<'a> {
    Fresh(SocketAddr),
    Kept(&'a mut Connection),
}

#[derive(Debug)]
enum Body {
    None,
    Whole(Vec<u8>),
    Chunked(Vec<u8>),
}

impl<'a> Request<'a> {
    pub(super) fn fresh(address: SocketAddr, method: &str, target: &str) -> Self {
        Self::new(On::Fresh(address), address, method, target)
    }

    pub(super) fn on(connection: &'a mut Connection, method: &str, target: &str) -> Self {
        let address = connection.address();
        Self::new(On::Kept(connection), address, method, target)
    }

    fn new(on: On<'a>, address: SocketAddr, method: &str, target: &str) -> Self {
        Self {
            on,
            method: method.to_owned(),
            target: target.to_owned(),
            host: Some(address.to_string()),
            lines: Vec::new(),
            body: Body::None,
            within: limits::EXCHANGE,
        }
    }

    /// Adds a header line; neither name nor value is checked.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.lines.extend_from_slice(name.as_bytes());
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value.as_ref());
        self.lines.extend_from_slice(b"\r\n");
        self
    }

    /// The `Host` header, instead of the address.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// No `Host` header.
    pub fn without_host(mut self) -> Self {
        self.host = None;
        self
    }

    /// A body with its Content-Length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Whole(body.into());
        self
    }

    /// A JSON body with its Content-Type.
    pub fn json(self, value: &Value) -> Self {
        self.header("Content-Type", "application/json")
            .body(value.to_string())
    }

    /// A chunked body; each item is one chunk.
    pub fn chunked<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        let mut coded = Vec::new();
        for chunk in chunks {
            let chunk = chunk.as_ref();
            if !chunk.is_empty() {
                coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                coded.extend_from_slice(chunk);
                coded.extend_from_slice(b"\r\n");
            }
        }
        coded.extend_from_slice(b"0\r\n\r\n");
        self.body = Body::Chunked(coded);
        self
    }

    /// How long each step of the exchange may take.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = limit;
        self
    }

    /// Sends it and returns the response.
    ///
    /// # Panics
    /// If there is no whole response.
    #[track_caller]
    pub fn send(self) -> Response {
        let name = format!("{} {}", self.method, self.target);
        match self.try_send() {
            Ok(response) => response,
            Err(error) => panic!("{name}: {error}"),
        }
    }

    /// Sends it and returns the response, or why there is none.
    ///
    /// # Errors
    /// No connection, or no whole response.
    pub fn try_send(self) -> Result<Response, ClientError> {
        let head = self.head();
        let body = match &self.body {
            Body::None => &[][..],
            Body::Whole(bytes) | Body::Chunked(bytes) => bytes,
        };
        match self.on {
            On::Fresh(address) => {
                let mut connection = Connection::open(address)?;
                connection.limit(self.within)?;
                connection.exchange(&self.method, &head, body)
            }
            On::Kept(connection) => {
                connection.limit(self.within)?;
                connection.exchange(&self.method, &head, body)
            }
        }
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if let Some(host) = &self.host {
            head.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
        }
        head.extend_from_slice(&self.lines);
        match &self.body {
            Body::None => {}
            Body::Whole(body) => {
                head.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
            }
            Body::Chunked(_) => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}
