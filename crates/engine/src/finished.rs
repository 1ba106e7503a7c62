//! A request that is over: what the log phase and the access log are told.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use http::{HeaderMap, StatusCode, request};

use crate::exchange::{Client, Exchange};
use crate::worker::Worker;

/// A request whose response was sent, or broken off.
#[derive(Debug)]
pub struct Finished {
    /// The request, as it was after the last plugin.
    pub exchange: Exchange,
    /// What became of the response.
    pub end: End,
}

/// A request that was refused before it could be served: what it asked for is
/// not known, or not to be acted on. Only the access log hears of it.
#[derive(Debug)]
pub struct Unserved {
    /// The connection that it came on.
    pub client: Rc<Client>,
    /// The worker that would have served it.
    pub worker: Rc<Worker>,
    /// When its head was read, or its connection was closed.
    pub started: Instant,
    /// Its head; none where it could not be read as one.
    pub head: Option<request::Parts>,
    /// Bytes of the head, as far as it was read.
    pub length: u64,
    pub(crate) request_id: OnceCell<String>,
}

impl Unserved {
    /// A request that is not served.
    #[must_use]
    pub fn new(
        client: Rc<Client>,
        worker: Rc<Worker>,
        started: Instant,
        head: Option<request::Parts>,
        length: u64,
    ) -> Self {
        Unserved {
            client,
            worker,
            started,
            head,
            length,
            request_id: OnceCell::new(),
        }
    }
}

/// What became of a response.
#[derive(Debug)]
pub struct End {
    /// The response's status; 499 where the client left before there was one.
    pub status: StatusCode,
    /// The header fields as they were sent, with those of this connection;
    /// empty where none were, or where nobody had asked for them.
    pub headers: HeaderMap,
    /// Bytes that went to the client.
    pub bytes_sent: u64,
    /// Those of them that came after the head, with their chunks' framing.
    pub body_bytes_sent: u64,
    /// Whether the response was sent in full.
    pub whole: bool,
    /// When the last byte was sent, or the connection was lost.
    pub at: Instant,
    /// The same by the calendar.
    pub time: SystemTime,
}

/// nginx's status for a client that left before there was a response.
#[must_use]
pub fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).expect("between 100 and 999")
}
