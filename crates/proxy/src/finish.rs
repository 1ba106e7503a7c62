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
use http::{HeaderMap, StatusCode, request};
use http_body::{Frame, SizeHint};
use outrigger_engine::body::{Body, BodyError, BodyStream};
use outrigger_engine::chain::Chain;
use outrigger_engine::exchange::{Client, Exchange};
use outrigger_engine::finished::{End, Finished, Unserved, client_closed_request};
use outrigger_engine::vars::Scope;

use crate::handler::head_length;
use crate::sent::Sent;
use crate::terms::Terms;
use crate::trace;
use crate::upstream::Switched;
use crate::worker::Worker;

/// What goes out on one connection, whose requests come one after the other; or on
/// one stream of HTTP/2.
pub(crate) struct Outgoing {
    client: Rc<Client>,
    worker: Rc<Worker>,
    /// What the present request is served by, or the one before was.
    terms: RefCell<Rc<Terms>>,
    sent: Sent,
    /// Some for a stream: what goes out cannot be seen in a connection's bytes.
    given: Option<Given>,
    stage: Cell<Stage>,
    /// Some in the stages `Body` and `Flush`.
    unfinished: RefCell<Option<Unfinished>>,
    /// Whoever serves the next request and waits for this one's end.
    next: RefCell<Option<Waker>>,
    /// The node's side, once the connection is to leave HTTP.
    pub(crate) switched: Switched,
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

/// What the HTTP library was given to send.
#[derive(Default)]
struct Given {
    wanted: Cell<bool>,
    head: Cell<u64>,
    body: Cell<u64>,
    headers: RefCell<HeaderMap>,
}

/// A request whose response is under way.
struct Unfinished {
    request: Request,
    status: StatusCode,
}

enum Request {
    Served(Box<Exchange>),
    Unserved(Box<Unserved>),
}

impl Outgoing {
    pub(crate) fn new(client: Rc<Client>, worker: Rc<Worker>) -> Self {
        Self::make(client, worker, None)
    }

    /// For one stream. Its end is told when the HTTP library has the whole response:
    /// when the socket has it, nobody says.
    pub(crate) fn of_stream(client: Rc<Client>, worker: Rc<Worker>) -> Self {
        Self::make(client, worker, Some(Given::default()))
    }

    fn make(client: Rc<Client>, worker: Rc<Worker>, given: Option<Given>) -> Self {
        let outgoing = Outgoing {
            client,
            terms: RefCell::new(worker.terms()),
            worker,
            sent: Sent::default(),
            given,
            stage: Cell::default(),
            unfinished: RefCell::default(),
            next: RefCell::default(),
            switched: Switched::default(),
        };
        outgoing.reset();
        outgoing
    }

    /// Whether somebody wants to hear of the end of every request.
    pub(crate) fn is_logged(&self) -> bool {
        self.terms.borrow().access_log.is_some()
    }

    /// What the present request is served by.
    pub(crate) fn terms(&self) -> Rc<Terms> {
        Rc::clone(&self.terms.borrow())
    }

    fn reset(&self) {
        self.sent.reset(self.is_logged());
    }

    /// Whether it is a stream's.
    pub(crate) fn is_of_stream(&self) -> bool {
        self.given.is_some()
    }

    /// A stream's response begins with this head.
    pub(crate) fn begins(&self, head: &http::response::Parts) {
        let Some(given) = &self.given else { return };
        let fields = head.headers.iter();
        let length = fields.map(|(name, value)| name.as_str().len() + value.len());
        given.head.set(length.sum::<usize>() as u64);
        if given.wanted.get() {
            *given.headers.borrow_mut() = head.headers.clone();
        }
    }

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

    /// The client has taken so many bytes since the connection left HTTP.
    pub(crate) fn passed(&self, count: usize) {
        self.sent.passed(count);
    }

    /// The connection that has left HTTP is over.
    pub(crate) fn left(&self, whole: bool) {
        self.end(whole);
    }

    /// The connection is closed.
    pub(crate) fn closed(&self) {
        self.end(false);
        // What was sent without a request's doing is the HTTP library's answer
        // to what it could not read as one.
        if let Some(status) = self.sent.status() {
            let (client, worker) = (Rc::clone(&self.client), Rc::clone(&self.worker.engine));
            let request = Unserved::new(client, worker, Instant::now(), None, 0);
            self.tell(Request::Unserved(Box::new(request)), status, true);
        }
    }

    /// The body to send to a client whose request is refused before it is
    /// served, with which the request's end is told.
    pub(crate) fn refuse(
        self: &Rc<Self>,
        head: request::Parts,
        status: StatusCode,
        body: Body,
    ) -> Body {
        if !self.is_logged() {
            return body;
        }
        let (started, length) = (Instant::now(), head_length(&head));
        let (client, worker) = (Rc::clone(&self.client), Rc::clone(&self.worker.engine));
        let request = Unserved::new(client, worker, started, Some(head), length);
        self.watch(Request::Unserved(Box::new(request)), status, body)
    }

    /// Whether anybody wants to hear of the request's end.
    fn is_awaited(&self, exchange: &Exchange) -> bool {
        self.is_logged() || exchange.chains().any(Chain::logs) || trace::is_recorded(exchange)
    }

    /// From now on the response is watched to its end.
    fn watch(self: &Rc<Self>, request: Request, status: StatusCode, body: Body) -> Body {
        let plugins = match &request {
            Request::Served(exchange) => exchange.chains().any(Chain::logs),
            Request::Unserved(_) => false,
        };
        let terms = self.terms();
        let log = terms.access_log.as_ref();
        let wanted = plugins || log.is_some_and(|log| log.wants_response_headers());
        self.sent.watch(wanted);
        *self.unfinished.borrow_mut() = Some(Unfinished { request, status });
        if status == StatusCode::SWITCHING_PROTOCOLS {
            // It ends when the connection does.
            self.stage.set(Stage::Body);
            return body;
        }
        if let Some(given) = &self.given {
            given.wanted.set(wanted);
        } else if body.is_empty() {
            self.stage.set(Stage::Flush);
            return body;
        }
        self.stage.set(Stage::Body);
        Body::Stream(Box::pin(Watched {
            whole: body.is_empty(),
            body,
            outgoing: Rc::clone(self),
        }))
    }

    /// Ready once the next request may be served: bytes that go out are its
    /// own then. Only a client that sends requests without waiting for
    /// responses makes it wait.
    pub(crate) fn next(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            if self.stage.get() == Stage::Idle {
                self.worker.refresh(&mut self.terms.borrow_mut());
                self.reset();
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
        let Unfinished { request, status } = unfinished;
        self.tell(request, status, whole);
        self.stage.set(Stage::Idle);
        if let Some(next) = self.next.take() {
            next.wake();
        }
    }

    fn tell(&self, request: Request, status: StatusCode, whole: bool) {
        let now = Instant::now();
        let (headers, bytes_sent, body_bytes_sent) = match &self.given {
            None => (
                self.sent.headers(),
                self.sent.bytes(),
                self.sent.body_bytes(),
            ),
            Some(given) => {
                let (head, body) = (given.head.get(), given.body.get());
                (given.headers.take(), head + body, body)
            }
        };
        let end = End {
            status,
            headers,
            bytes_sent,
            body_bytes_sent,
            whole,
            at: now,
            time: SystemTime::now(),
        };
        self.reset();
        let terms = self.terms();
        let log = terms.access_log.as_deref();
        match request {
            Request::Served(mut exchange) => {
                exchange.upstream.end(now);
                trace::end(&mut exchange, &end);
                let finished = Rc::new(Finished {
                    exchange: *exchange,
                    end,
                });
                for chain in finished.exchange.chains() {
                    chain.log(&finished);
                }
                if let Some(log) = log {
                    log.line(Scope::finished(&finished));
                }
            }
            Request::Unserved(request) => {
                if let Some(log) = log {
                    log.line(Scope::unserved(&request, &end));
                }
            }
        }
    }
}

/// A request that is being served. Dropped before there is a response, its
/// client has left.
pub(crate) struct Underway<'a> {
    /// None once it was taken along with its response.
    exchange: Option<Exchange>,
    answered: bool,
    outgoing: &'a Rc<Outgoing>,
}

impl<'a> Underway<'a> {
    pub(crate) fn new(exchange: Exchange, outgoing: &'a Rc<Outgoing>) -> Self {
        Underway {
            exchange: Some(exchange),
            answered: false,
            outgoing,
        }
    }

    /// The body to send, with which the request's end is told. Whoever wants to
    /// hear of that takes the request along; otherwise it stays where it is.
    pub(crate) fn respond(&mut self, status: StatusCode, body: Body) -> Body {
        self.answered = true;
        match self.take_if_awaited() {
            Some(request) => self.outgoing.watch(request, status, body),
            None => body,
        }
    }

    fn take_if_awaited(&mut self) -> Option<Request> {
        let exchange = self.exchange.as_ref()?;
        if !self.outgoing.is_awaited(exchange) {
            return None;
        }
        Some(Request::Served(Box::new(self.exchange.take()?)))
    }
}

impl Deref for Underway<'_> {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        self.exchange
            .as_ref()
            .expect("taken with the response only")
    }
}

impl DerefMut for Underway<'_> {
    fn deref_mut(&mut self) -> &mut Exchange {
        self.exchange
            .as_mut()
            .expect("taken with the response only")
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        if let Some(request) = self.take_if_awaited() {
            self.outgoing.tell(request, client_closed_request(), false);
        }
    }
}

/// A response's body that says when the HTTP library has all of it.
struct Watched {
    body: Body,
    /// Whether there is no more of it.
    whole: bool,
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
        let Some(given) = &self.outgoing.given else {
            if let Poll::Ready(Some(Err(_))) = part {
                // Its connection is closed next.
                self.outgoing.stage.set(Stage::Idle);
            }
            return part;
        };
        match &part {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                given.body.set(given.body.get() + length);
                self.whole = frame.is_trailers() || self.body.is_end_stream();
            }
            Poll::Ready(None) => self.whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
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
        if self.outgoing.given.is_some() {
            self.outgoing.end(self.whole);
        } else if self.outgoing.stage.get() == Stage::Body {
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
