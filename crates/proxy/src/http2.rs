//! A client's connection of HTTP/2: requests at the same time, each on a stream and in a
//! task of its own, all of the connection's worker.
//!
//! The HTTP library keeps to the protocol and to most limits. Kept here: how long
//! a connection may be without requests, how long a client may leave a response
//! where it is, and how many requests it may take back.

mod request;
mod stream;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::client_stream::ClientStream;
use crate::connection::Guest;
use crate::limits;
use crate::worker::Worker;
use stream::Streams;

pub(crate) use request::fit_body;

/// What a connection begins with (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How ALPN calls the protocol.
pub(crate) const ALPN: &[u8] = b"h2";

/// Serves a connection to its end. Its preface has not been read from `stream`.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: ClientStream<S>,
    guest: Guest,
    worker: Rc<Worker>,
) {
    let Guest {
        client,
        accepted,
        settings,
        mut member,
    } = guest;
    let settings = &settings.connections;
    let turn = stream.turn();
    let load = Rc::new(Load::default());
    let streams = Streams::new(settings.send_timeout);
    let service = service_fn(|request: Request<Incoming>| {
        let stream = request::Stream {
            client: Rc::clone(&client),
            worker: Rc::clone(&worker),
            accepted: Rc::clone(&accepted),
            pace: streams.begin(),
            underway: load.begin(),
        };
        stream.answer(request)
    });
    let builder = builder(streams.clone(), settings.max_head);
    let mut connection = pin!(builder.serve_connection(stream, service));
    let mut closing = Closing::new(settings.head_timeout, settings.idle_timeout);
    let ended = poll_fn(|cx| {
        turn.begin();
        // Told so, a client loses nothing, whether it is idle or not.
        if member.poll_draining(cx) || accepted.is_outdated(&worker.terms()) {
            closing.draining = true;
        }
        if closing.wants(&load) {
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended.map_err(|error| error.to_string()));
        }
        if load.is_abuse() {
            return Poll::Ready(Err("too many requests were taken back".to_owned()));
        }
        if closing.poll_overdue(&load, cx).is_ready() {
            if closing.is_over() {
                return Poll::Ready(Err("the client does not close it".to_owned()));
            }
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    });
    if let Err(error) = ended.await {
        // The client's doing, as with HTTP/1.
        let peer = client.peer;
        tracing::debug!(%peer, %error, "a client connection of HTTP/2 ended early");
    }
}

fn builder(streams: Streams, max_head: usize) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .max_concurrent_streams(limits::HTTP2_STREAMS)
        .max_pending_accept_reset_streams(limits::HTTP2_PENDING_RESETS)
        .max_local_error_reset_streams(limits::HTTP2_STREAM_ERRORS)
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW)
        .max_frame_size(limits::HTTP2_FRAME)
        .max_send_buf_size(limits::HTTP2_SEND_BUFFER)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX));
    builder
}

/// What goes on on a connection.
#[derive(Default)]
struct Load {
    requests: Cell<u64>,
    /// Requests of which the client did not want to see the response's head.
    taken_back: Cell<u64>,
    underway: Cell<usize>,
}

impl Load {
    fn begin(self: &Rc<Self>) -> Underway {
        self.requests.set(self.requests.get() + 1);
        self.underway.set(self.underway.get() + 1);
        Underway {
            load: Rc::clone(self),
            answered: false,
        }
    }

    /// Whether the client makes requests to take them back: work for everybody but
    /// itself.
    fn is_abuse(&self) -> bool {
        let taken_back = self.taken_back.get();
        taken_back > limits::HTTP2_RESETS && taken_back > self.requests.get() / 2
    }
}

/// Counts a request in until it is dropped.
struct Underway {
    load: Rc<Load>,
    answered: bool,
}

impl Underway {
    /// There is a response.
    fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let load = &self.load;
        load.underway.set(load.underway.get() - 1);
        if !self.answered {
            load.taken_back.set(load.taken_back.get() + 1);
        }
    }
}

/// When a connection is to end.
struct Closing {
    draining: bool,
    /// Since when the client has been told, if it has.
    told: Option<Instant>,
    /// Since when there has been no request.
    idle: Option<Instant>,
    /// Requests that had come when that began.
    known: u64,
    alarm: Alarm,
    first: Duration,
    between: Duration,
}

impl Closing {
    /// With the time for a first request to come, and for the next ones.
    fn new(first: Duration, between: Duration) -> Self {
        let now = Instant::now();
        Closing {
            draining: false,
            told: None,
            idle: Some(now),
            known: 0,
            alarm: Alarm::new(now + first),
            first,
            between,
        }
    }

    /// Whether the client is to be told now that no more requests are taken.
    fn wants(&mut self, load: &Load) -> bool {
        if self.told.is_some() || !(self.draining || self.has_been_idle(load)) {
            return false;
        }
        self.told = Some(Instant::now());
        self.idle = None;
        true
    }

    /// Since when there has been nothing to do, if there is nothing.
    fn idle_since(&mut self, load: &Load) -> Option<Instant> {
        if load.underway.get() > 0 {
            self.idle = None;
        } else if self.idle.is_none() || self.known != load.requests.get() {
            self.known = load.requests.get();
            self.idle = Some(Instant::now());
        }
        self.idle
    }

    fn limit(&self) -> Duration {
        match (self.told.is_some(), self.known) {
            (true, _) => limits::LINGER_IDLE,
            (false, 0) => self.first,
            (false, _) => self.between,
        }
    }

    fn has_been_idle(&mut self, load: &Load) -> bool {
        let since = self.idle_since(load);
        since.is_some_and(|since| since.elapsed() >= self.limit())
    }

    /// Ready once the connection has been idle for too long; wakes the task then.
    fn poll_overdue(&mut self, load: &Load, cx: &mut Context<'_>) -> Poll<()> {
        let Some(since) = self.idle_since(load) else {
            return Poll::Pending;
        };
        self.alarm.set(since + self.limit());
        self.alarm.poll(cx)
    }

    /// Whether the client was told, and does not act on it.
    fn is_over(&self) -> bool {
        self.told.is_some()
    }
}
