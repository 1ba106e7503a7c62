//! One connection to an upstream node. There is no task of its own behind it:
//! whoever waits for its response reads and writes it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use outrigger_engine::body::{Body, BodyError};
use outrigger_model::Timeout;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::http1::{self, BadResponse, Decoder, Part, RequestFraming, ResponseHead};
use super::outgoing::Outgoing;
use super::upload::{Taken, Upload};
use crate::alarm::Alarm;
use crate::limits::{MAX_INTERIM_RESPONSES, MAX_READ_CHUNK, MAX_RESPONSE_HEAD, READ_CHUNK};

/// Why a response did not come. But for the last it is the node's doing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// The node closed the connection, or said something, before it was asked.
    /// Nothing has been sent.
    #[error("it closed the idle connection")]
    Stale,
    /// The node closed the connection without a word.
    #[error("it closed the connection without an answer")]
    Closed,
    /// It closed it within the head.
    #[error("it closed the connection within its answer")]
    Truncated,
    /// What it answered is no response.
    #[error("its answer is malformed: {0}")]
    Bad(BadResponse),
    /// It took too long.
    #[error("it did not answer in time")]
    Timeout,
    /// The head came, and its body broke off before any of it.
    #[error("its answer: {0}")]
    Body(BodyError),
    /// The request's body could not be read.
    #[error("the client: {0}")]
    Client(BodyError),
}

/// What the request that is sent asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expected {
    /// No body: it was HEAD.
    pub(crate) to_head: bool,
    /// Perhaps to leave HTTP.
    pub(crate) switches: bool,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// The node's next bytes.
    Read,
    /// The node to take more of the request.
    Send,
    /// The client's next part of the request: its own limit holds.
    Client,
}

/// A connection by stream `S`.
pub(crate) struct Link<S> {
    stream: S,
    /// What has come and is not decoded yet.
    input: Bytes,
    /// How much of `input` is known not to be a whole head.
    seen: usize,
    /// Memory to read into; always empty.
    spare: BytesMut,
    /// How much is read at once.
    chunk: usize,
    out: Outgoing,
    /// Invariant: `None` once the request's body is in `out` to its end.
    upload: Option<Upload>,
    /// Whether some of the request is still to be sent.
    sending: bool,
    /// Whether the node takes no more of the request; it may have answered.
    deaf: bool,
    expected: Expected,
    interim: usize,
    body: Decoder,
    /// Whether the response lets the connection be used again.
    lasts: bool,
    /// Whether nothing has been done for the request that was begun.
    untouched: bool,
    timeout: Timeout,
    alarm: Alarm,
    /// What the alarm is set for.
    waits: Waits,
    /// Whether bytes have moved since the alarm was set.
    moved: bool,
    /// How many responses have come on it.
    pub(crate) served: u64,
    /// About when it was last in use.
    pub(crate) last_used: std::time::Instant,
    pub(crate) peer: SocketAddr,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(crate) fn new(stream: S, peer: SocketAddr) -> Self {
        Link {
            stream,
            input: Bytes::new(),
            seen: 0,
            spare: BytesMut::new(),
            chunk: READ_CHUNK,
            out: Outgoing::default(),
            upload: None,
            sending: false,
            deaf: false,
            expected: Expected::default(),
            interim: 0,
            body: Decoder::Done,
            lasts: true,
            untouched: false,
            timeout: Timeout::default(),
            alarm: Alarm::new(Instant::now()),
            waits: Waits::Read,
            moved: false,
            served: 0,
            last_used: std::time::Instant::now(),
            peer,
        }
    }

    /// Where the next request's head is to be written, all of it before
    /// [`begin`](Self::begin).
    pub(crate) fn head(&mut self) -> &mut Vec<u8> {
        self.out.reset();
        self.out.buffer()
    }

    /// Begins a request whose head has been written; time counts from `now`.
    pub(crate) fn begin(
        &mut self,
        body: Body,
        framing: RequestFraming,
        expected: Expected,
        timeout: Timeout,
        now: std::time::Instant,
    ) {
        self.upload = (!body.is_empty()).then(|| Upload::new(body, framing));
        self.sending = true;
        self.deaf = false;
        self.expected = expected;
        self.interim = 0;
        self.seen = 0;
        self.untouched = true;
        self.timeout = timeout;
        self.last_used = now;
        self.waits = Waits::Read;
        self.moved = false;
        self.alarm.set(Instant::from_std(now) + timeout.read);
    }

    /// Whether the node cannot have seen anything of the request.
    pub(crate) fn is_unsent(&self) -> bool {
        self.out.taken() == 0
    }

    /// Sends the request, and reads until the response's head is there; the
    /// rest of the request may still be on its way then.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Lost>> {
        // A node that has closed an idle connection has done so before now.
        let idle = std::mem::take(&mut self.untouched) && self.served > 0;
        if idle && self.poll_read(cx).is_ready() {
            return Poll::Ready(Err(Lost::Stale));
        }
        let waits = self.poll_send(cx).map_err(Lost::Client)?;
        if idle && waits == Waits::Read && !self.deaf {
            // It cannot have answered yet, and the task is woken when it has.
            return self.poll_limit(waits, cx).map(|()| Err(Lost::Timeout));
        }
        loop {
            if let Some(mut head) = self.next_head().map_err(Lost::Bad)? {
                self.body = std::mem::replace(&mut head.body, Decoder::Done);
                self.lasts = head.lasts;
                self.served += 1;
                self.moved = true;
                return Poll::Ready(Ok(head));
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) if self.input.is_empty() && self.interim == 0 => {
                    return Poll::Ready(Err(Lost::Closed));
                }
                Poll::Ready(_) => return Poll::Ready(Err(Lost::Truncated)),
                Poll::Pending => {
                    return self.poll_limit(waits, cx).map(|()| Err(Lost::Timeout));
                }
            }
        }
    }

    /// The head that counts, once it is whole.
    fn next_head(&mut self) -> Result<Option<ResponseHead>, BadResponse> {
        while !self.input.is_empty() {
            let maybe = self.seen == 0 || http1::is_whole_head(&self.input, self.seen);
            let head = if maybe {
                http1::parse(&mut self.input, self.expected.to_head)?
            } else if self.input.len() > MAX_RESPONSE_HEAD {
                let limit = MAX_RESPONSE_HEAD;
                return Err(BadResponse::TooLong { limit });
            } else {
                None
            };
            let Some(head) = head else {
                self.seen = self.input.len();
                return Ok(None);
            };
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                let asked = self.expected.switches && self.upload.is_none() && !self.sending;
                return match asked && is_websocket(&head) {
                    true => Ok(Some(head)),
                    false => Err(BadResponse::Switch),
                };
            }
            if !head.status.is_informational() {
                return Ok(Some(head));
            }
            self.seen = 0;
            self.interim += 1;
            if self.interim > MAX_INTERIM_RESPONSES {
                let limit = MAX_INTERIM_RESPONSES;
                return Err(BadResponse::TooManyInterim { limit });
            }
        }
        Ok(None)
    }

    /// The next part of the response's body; sends on what is left of the
    /// request meanwhile.
    pub(crate) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Part, BodyError>>> {
        let broken = |error| Poll::Ready(Some(Err(BodyError::Broken(error))));
        loop {
            match self.body.decode(&mut self.input) {
                Ok(Some(part)) => return Poll::Ready(Some(Ok(part))),
                Ok(None) if self.body.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return broken(error.into()),
            }
            let waits = match self.poll_send(cx) {
                Ok(waits) => waits,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            match self.poll_read(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(_)) => match self.body.finish() {
                    Ok(()) => return Poll::Ready(None),
                    Err(error) => return broken(error.into()),
                },
                Poll::Ready(Err(error)) => return broken(error.into()),
                Poll::Pending => {
                    let over = self.poll_limit(waits, cx);
                    return over.map(|()| Some(Err(BodyError::Timeout)));
                }
            }
        }
    }

    /// The body of a request of which nothing has been sent, nor read; none where
    /// there is none, or that is not so.
    pub(crate) fn take_back(&mut self) -> Option<Body> {
        let upload = self.upload.take()?;
        upload.untouched().filter(|_| self.is_unsent())
    }

    /// The bytes as they are once HTTP has been left, and what has come of them.
    pub(crate) fn into_stream(self) -> (S, Bytes) {
        (self.stream, self.input)
    }

    /// Whether the response has been read to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.body.is_done()
    }

    /// How much of the response's body is to come, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.body.length()
    }

    /// Whether another request can be sent: both messages are whole, and
    /// nothing came after the response.
    pub(crate) fn is_reusable(&self) -> bool {
        let whole = self.body.is_done() && !self.sending && !self.deaf;
        whole && self.lasts && self.input.is_empty()
    }

    /// Lets go of memory that an idle link does not need.
    pub(crate) fn rest(&mut self) {
        self.out.reset();
        if self.chunk > READ_CHUNK {
            self.chunk = READ_CHUNK;
            self.spare = BytesMut::new();
        }
    }

    /// Whether an idle link's node has neither closed it nor said anything.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let stream = Pin::new(&mut self.stream);
        stream.poll_read(&mut cx, &mut byte).is_pending()
    }

    /// Sends what is there to be sent; says what is to be waited for.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<Waits, BodyError> {
        while self.sending {
            let taken = match &mut self.upload {
                None => Taken::Whole,
                Some(upload) => upload.fill(&mut self.out, cx)?,
            };
            if taken == Taken::Whole {
                self.upload = None;
            }
            let before = self.out.taken();
            let sent = self.out.poll_send(&mut self.stream, cx);
            match (sent, taken) {
                (Poll::Pending, _) => {
                    self.moved |= self.out.taken() > before;
                    return Ok(Waits::Send);
                }
                (Poll::Ready(Ok(())), Taken::Whole) => self.sending = false,
                (Poll::Ready(Ok(())), Taken::Waiting) => return Ok(Waits::Client),
                (Poll::Ready(Ok(())), Taken::Some) => {}
                (Poll::Ready(Err(error)), _) => {
                    tracing::debug!(%error, "an upstream node takes no more of a request");
                    // It may have answered first.
                    self.deaf = true;
                    self.sending = false;
                    self.upload = None;
                }
            }
        }
        Ok(Waits::Read)
    }

    /// Reads once. Ready with 0 at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.spare.capacity() < self.chunk / 2 {
            self.spare.reserve(self.chunk);
        }
        let read = pin!(self.stream.read_buf(&mut self.spare)).poll(cx);
        let read = ready!(read)?;
        self.moved = true;
        if self.spare.capacity() == read {
            self.chunk = (self.chunk * 2).min(MAX_READ_CHUNK);
        }
        let data = self.spare.split().freeze();
        if self.input.is_empty() {
            self.input = data;
        } else {
            let mut input = BytesMut::from(std::mem::take(&mut self.input));
            input.extend_from_slice(&data);
            self.input = input.freeze();
        }
        Poll::Ready(Ok(read))
    }

    /// Ready once what is waited for has taken too long.
    fn poll_limit(&mut self, waits: Waits, cx: &mut Context<'_>) -> Poll<()> {
        let anew = std::mem::take(&mut self.moved) || waits != self.waits;
        self.waits = waits;
        let limit = match waits {
            Waits::Client => return Poll::Pending,
            Waits::Send => self.timeout.send,
            Waits::Read => self.timeout.read,
        };
        if anew {
            self.alarm.set(Instant::now() + limit);
        }
        self.alarm.poll(cx)
    }
}

/// Whether the connection becomes a websocket. To anything else it does not
/// switch: what passes by unseen then is HTTP again with `h2c`.
fn is_websocket(head: &ResponseHead) -> bool {
    let upgrade = head.headers.get(header::UPGRADE);
    upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

#[cfg(test)]
mod tests;
