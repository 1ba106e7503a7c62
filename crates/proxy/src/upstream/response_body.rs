//! A response's body as it comes from the upstream: reading it drives the
//! link, and at its end the link goes back to the pool.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use outrigger_engine::body::{Body, BodyError};
use outrigger_engine::upstream::{Address, Keepalive};
use tokio::time::Instant;

use super::link::Link;
use super::pool::Pool;
use crate::limits::EAGER_FRAMES;

/// Where a link goes when its response has been read.
pub(crate) struct Home {
    pub(crate) pool: Rc<Pool>,
    pub(crate) address: Address,
    pub(crate) keepalive: Keepalive,
}

pub(crate) struct ResponseBody {
    incoming: Incoming,
    /// `None` once the body is read and the link is on its way home.
    link: Option<Box<Link>>,
    home: Home,
    timeout: Duration,
    /// Whether the link's alarm is set for the next part.
    waiting: bool,
}

impl ResponseBody {
    pub(crate) fn new(incoming: Incoming, link: Box<Link>, home: Home, timeout: Duration) -> Self {
        ResponseBody {
            incoming,
            link: Some(link),
            home,
            timeout,
            waiting: false,
        }
    }

    /// The body for the response: what has come with the head already is
    /// taken at once, so that a short response needs no stream and its link
    /// is free before the client has read it.
    pub(crate) fn into_body(mut self) -> Body {
        let mut early: Option<Bytes> = None;
        // Whoever reads the rest is to be woken for it.
        let mut unwoken = Context::from_waker(Waker::noop());
        for _ in 0..EAGER_FRAMES {
            if self.is_end_stream() {
                break;
            }
            match self.poll_part(&mut unwoken) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    let data = frame.into_data().unwrap_or_default();
                    early = Some(match early.take() {
                        None => data,
                        Some(first) => join(&first, &data),
                    });
                }
                Poll::Ready(None) => break,
                // Trailers or an error: told in their turn.
                Poll::Ready(Some(next)) => return self.streamed(early, Some(next)),
                Poll::Pending => return self.streamed(early, None),
            }
        }
        if self.is_end_stream() {
            self.release();
            return early.map_or(Body::Empty, Body::from);
        }
        self.streamed(early, None)
    }

    fn streamed(self, early: Option<Bytes>, next: Option<Result<Frame<Bytes>, BodyError>>) -> Body {
        let rest = self;
        Body::Stream(Box::pin(Streamed { early, next, rest }))
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // Only driving the link brings a part, so nobody need be woken for it.
        let mut unwoken = Context::from_waker(Waker::noop());
        let mut part = Pin::new(&mut self.incoming).poll_frame(&mut unwoken);
        if part.is_pending()
            && let Some(link) = &mut self.link
        {
            link.drive();
            part = Pin::new(&mut self.incoming).poll_frame(&mut unwoken);
        }
        match part {
            Poll::Ready(part) => {
                self.waiting = false;
                if part.is_none() {
                    self.release();
                }
                Poll::Ready(part.map(|part| part.map_err(|error| BodyError::Broken(error.into()))))
            }
            Poll::Pending => self.poll_deadline(cx),
        }
    }

    fn poll_deadline(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(link) = &mut self.link else {
            return Poll::Pending;
        };
        if !self.waiting {
            link.alarm.set(Instant::now() + self.timeout);
            self.waiting = true;
        }
        if link.alarm.poll(cx).is_ready() {
            return Poll::Ready(Some(Err(BodyError::Timeout)));
        }
        link.wait(cx);
        Poll::Pending
    }

    fn release(&mut self) {
        if let Some(link) = self.link.take() {
            self.home
                .pool
                .put(&self.home.address, link, &self.home.keepalive);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.link.is_none() || self.incoming.is_end_stream()
    }
}

fn join(first: &Bytes, second: &Bytes) -> Bytes {
    let mut joined = BytesMut::with_capacity(first.len() + second.len());
    joined.extend_from_slice(first);
    joined.extend_from_slice(second);
    joined.freeze()
}

/// A body of which the first part is there and the rest is to come.
struct Streamed {
    early: Option<Bytes>,
    next: Option<Result<Frame<Bytes>, BodyError>>,
    rest: ResponseBody,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(early) = self.early.take() {
            return Poll::Ready(Some(Ok(Frame::data(early))));
        }
        if let Some(next) = self.next.take() {
            return Poll::Ready(Some(next));
        }
        let part = self.rest.poll_part(cx);
        // Whoever reads may stop where the length is reached.
        if self.rest.incoming.is_end_stream() {
            self.rest.release();
        }
        part
    }

    fn is_end_stream(&self) -> bool {
        self.early.is_none() && self.next.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let early = self.early.as_ref().map_or(0, Bytes::len) as u64;
        let rest = self.rest.incoming.size_hint();
        let mut whole = SizeHint::new();
        whole.set_lower(rest.lower() + early);
        if let Some(upper) = rest.upper() {
            whole.set_upper(upper + early);
        }
        whole
    }
}
