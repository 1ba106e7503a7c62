//! A request that is over: what the log phase and the access log are told.

use std::time::{Instant, SystemTime};

use http::{HeaderMap, StatusCode};

use crate::exchange::Exchange;

/// A request whose response was sent, or broken off.
#[derive(Debug)]
pub struct Finished {
    /// The request, as it was after the last plugin.
    pub exchange: Exchange,
    /// What became of the response.
    pub end: End,
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
