//! A request or a response, put together piece by piece and sent as a call.

use std::net::{IpAddr, Ipv4Addr};

use outrigger_a6::{ConfToken, Entries, Entry, Method, http_req_call, http_resp_call};

use crate::fake_host::{FakeHost, Known, same_id};
use crate::fields::Field;
use crate::outcome::{Failure, Outcome, RequestVerdict, ResponseChange};

/// A request to be sent to plugins. Made by [`FakeHost::request`].
#[derive(Debug)]
#[must_use = "it is not sent before `send` is awaited"]
pub struct RequestCall<'h> {
    host: &'h mut FakeHost,
    method: Method,
    path: Vec<u8>,
    source_ip: Vec<u8>,
    headers: Vec<Field>,
    args: Vec<Field>,
    known: Known,
}

impl<'h> RequestCall<'h> {
    #[track_caller]
    pub(crate) fn new(host: &'h mut FakeHost, method: &str, path: &[u8]) -> Self {
        let Some(method) = Method::from_bytes(method.as_bytes()) else {
            panic!("the protocol has no method {method:?}");
        };
        Self {
            host,
            method,
            path: path.to_vec(),
            source_ip: bytes_of(Ipv4Addr::LOCALHOST.into()),
            headers: Vec::new(),
            args: Vec::new(),
            known: Known::default(),
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(field(name, Some(value.as_ref())));
        self
    }

    /// Adds an argument, decoded.
    pub fn arg(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.args.push(field(name, Some(value.as_ref())));
        self
    }

    /// Adds an argument without `=`.
    pub fn flag(mut self, name: &str) -> Self {
        self.args.push(field(name, None));
        self
    }

    /// The client's address; 127.0.0.1 unless set here.
    pub fn source_ip(mut self, ip: IpAddr) -> Self {
        self.source_ip = bytes_of(ip);
        self
    }

    /// The client's address as it is on the wire, in any number of bytes.
    pub fn source_ip_bytes(mut self, ip: &[u8]) -> Self {
        self.source_ip = ip.to_vec();
        self
    }

    /// A variable that plugins may ask for. Any other is unset.
    pub fn var(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.known
            .vars
            .push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The body that plugins may ask for. Without it there is none.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.known.request_body = Some(body.as_ref().to_vec());
        self
    }

    /// Sends it, answers what plugins ask, and tells what came of it.
    pub async fn send(self) -> Outcome<RequestVerdict> {
        let conf_token = match self.host.token().await {
            Ok(token) => token,
            Err(failure) => return not_sent(failure),
        };
        let (headers, args) = (entries(&self.headers), entries(&self.args));
        let id = self.host.next_id();
        let call = http_req_call::Request {
            id,
            src_ip: &self.source_ip,
            method: self.method,
            path: &self.path,
            args: Entries::from(&args),
            headers: Entries::from(&headers),
            conf_token,
        };
        let read = |reply: &crate::OwnedFrame| {
            let response: http_req_call::Response<'_> = reply.decode()?;
            same_id(id, response.id)?;
            Ok(RequestVerdict::from(response))
        };
        self.host.call(&call, &self.known, read).await
    }
}

/// A response to be sent to plugins. Made by [`FakeHost::response`].
#[derive(Debug)]
#[must_use = "it is not sent before `send` is awaited"]
pub struct ResponseCall<'h> {
    host: &'h mut FakeHost,
    status: u16,
    headers: Vec<Field>,
    known: Known,
}

impl<'h> ResponseCall<'h> {
    pub(crate) fn new(host: &'h mut FakeHost, status: u16) -> Self {
        Self {
            host,
            status,
            headers: Vec::new(),
            known: Known::default(),
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(field(name, Some(value.as_ref())));
        self
    }

    /// A variable that plugins may ask for. Any other is unset.
    pub fn var(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.known
            .vars
            .push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The request's body that plugins may ask for. Without it there is none.
    pub fn request_body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.known.request_body = Some(body.as_ref().to_vec());
        self
    }

    /// The body that plugins may ask for. Without it there is none.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.known.response_body = Some(body.as_ref().to_vec());
        self
    }

    /// Sends it, answers what plugins ask, and tells what came of it.
    pub async fn send(self) -> Outcome<ResponseChange> {
        let conf_token: ConfToken = match self.host.token().await {
            Ok(token) => token,
            Err(failure) => return not_sent(failure),
        };
        let headers = entries(&self.headers);
        let id = self.host.next_id();
        let headers = Entries::from(&headers);
        let call = http_resp_call::Request {
            id,
            status: self.status,
            headers,
            conf_token,
        };
        let read = |reply: &crate::OwnedFrame| {
            let response: http_resp_call::Response<'_> = reply.decode()?;
            same_id(id, response.id)?;
            Ok(ResponseChange::from(response))
        };
        self.host.call(&call, &self.known, read).await
    }
}

fn not_sent<T>(failure: Failure) -> Outcome<T> {
    Outcome {
        result: Err(failure),
        asked: Vec::new(),
    }
}

fn field(name: &str, value: Option<&[u8]>) -> Field {
    (name.as_bytes().to_vec(), value.map(<[u8]>::to_vec))
}

fn entries(fields: &[Field]) -> Vec<Entry<'_>> {
    fields
        .iter()
        .map(|(name, value)| Entry {
            name,
            value: value.as_deref(),
        })
        .collect()
}

fn bytes_of(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
