//! The end of requests: when a response has been sent to its client in full, or
//! was broken off, whoever wants to know of it is told.
//!
//! A request that nobody wants to hear of is not looked at here: its response
//! goes out as it is, and what belongs to it is gone before.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use outrigger_engine::body::{Body, BodyError, BodyStream};
use outrigger_engine::chain::Chain;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::finished::{End, Finished, client_closed_request};

use crate::sent::Sent;
use crate::trace;

/// What goes out on one connection; its requests come one after the other.
#[derive(Default)]
pub(crate) struct Outgoing {
    sent: Sent,
    stage: Cell<Stage>,
    /// Some in the stages `Body` and `Flush`.
    unfinished: RefCell<Option<Box<Unfinished>>>,
    /// Whoever serves the next request and waits for this one's end.
    next: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// No response is under way that anybody wants to hear of.
    #[default]
    Idle,
    /// There is more of the body to come.
    Body,
    /// The HTTP library has all of it, and the socket not yet.
    Flush,
}

/// A request whose response is under way.
struct Unfinished {
    exchange: Exchange,
    status: StatusCode,
}

impl Outgoing {
    /// The socket has taken so many bytes of these.
    pub(crate) fn took(&self, slices: &[IoSlice<'_>], count: usize) {
        self.sent.took(slices, count);
    }

    /// The socket has all that the HTTP library had for it.
    pub(crate) fn flushed(&self) {
        if self.stage.get() == Stage::Flush {
            self.end(true);
        }
    }

    /// The connection is closed.
    pub(crate) fn closed(&self) {
        self.end(false);
    }

    /// Ready once the next request may be served: bytes that go out are its
    /// own then. Only a client that sends requests without waiting for
    /// responses makes it wait.
    pub(crate) fn next(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            if self.stage.get() == Stage::Idle {
                self.sent.reset(false);
                return Poll::Ready(());
            }
            *self.next.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    fn end(&self, whole: bool) {
        let Some(unfinished) = self.unfinished.take() else {
            return;
        };
        let Unfinished { exchange, status } = *unfinished;
        self.tell(exchange, status, whole);
        self.stage.set(Stage::Idle);
        if let Some(next) = self.next.take() {
            next.wake();
        }
    }

    fn tell(&self, mut exchange: Exchange, status: StatusCode, whole: bool) {
        let now = Instant::now();
        exchange.upstream.end(now);
        let end = End {
            status,
            headers: self.sent.headers(),
            bytes_sent: self.sent.bytes(),
            body_bytes_sent: self.sent.body_bytes(),
            whole,
            at: now,
            time: SystemTime::now(),
        };
        trace::end(&mut exchange, &end);
        let finished = Rc::new(Finished { exchange, end });
        for chain in finished.exchange.chains() {
            chain.log(&finished);
        }
    }
}

/// A request that is being served. Dropped before there is a response, its
/// client has left.
pub(crate) struct Underway<'a> {
    /// None once there is a response.
    exchange: Option<Exchange>,
    outgoing: &'a Rc<Outgoing>,
}

impl<'a> Underway<'a> {
    pub(crate) fn new(exchange: Exchange, outgoing: &'a Rc<Outgoing>) -> Self {
        Underway {
            exchange: Some(exchange),
            outgoing,
        }
    }

    /// The body to send, with which the request's end is told.
    pub(crate) fn respond(mut self, status: StatusCode, body: Body) -> Body {
        let exchange = self.exchange.take();
        let Some(exchange) = exchange.filter(is_wanted) else {
            return body;
        };
        self.outgoing.sent.watch(true);
        let unfinished = Unfinished { exchange, status };
        *self.outgoing.unfinished.borrow_mut() = Some(Box::new(unfinished));
        if body.is_empty() {
            self.outgoing.stage.set(Stage::Flush);
            return body;
        }
        self.outgoing.stage.set(Stage::Body);
        Body::Stream(Box::pin(Watched {
            body,
            outgoing: Rc::clone(self.outgoing),
        }))
    }
}

/// Whether anybody wants to hear of the request's end.
fn is_wanted(exchange: &Exchange) -> bool {
    exchange.chains().any(Chain::logs) || trace::is_recorded(exchange)
}

impl Deref for Underway<'_> {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        self.exchange.as_ref().expect("taken with `self` only")
    }
}

impl DerefMut for Underway<'_> {
    fn deref_mut(&mut self) -> &mut Exchange {
        self.exchange.as_mut().expect("taken with `self` only")
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take()
            && is_wanted(&exchange)
        {
            self.outgoing.tell(exchange, client_closed_request(), false);
        }
    }
}

/// A response's body that says when the HTTP library has all of it.
struct Watched {
    body: Body,
    outgoing: Rc<Outgoing>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let part = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Err(_))) = part {
            // Its connection is closed next.
            self.outgoing.stage.set(Stage::Idle);
        }
        part
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.outgoing.stage.get() == Stage::Body {
            self.outgoing.stage.set(Stage::Flush);
        }
    }
}

/// The upstream's body of a request whose times somebody wants to know: notes
/// when it has been read.
pub(crate) fn timed(exchange: &mut Exchange, body: Body) -> Body {
    match body {
        Body::Stream(stream) => Body::Stream(Box::pin(Timed {
            stream,
            ended: exchange.upstream.end_mark(),
        })),
        whole => {
            exchange.upstream.end(Instant::now());
            whole
        }
    }
}

struct Timed {
    stream: BodyStream,
    ended: Rc<Cell<Option<Instant>>>,
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let part = self.stream.as_mut().poll_frame(cx);
        let more = matches!(part, Poll::Pending | Poll::Ready(Some(Ok(_))));
        if (!more || self.stream.is_end_stream()) && self.ended.get().is_none() {
            self.ended.set(Some(Instant::now()));
        }
        part
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.stream.size_hint()
    }
}
