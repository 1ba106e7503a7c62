//! A response's body as it comes from the upstream: reading it drives the
//! link, and at its end the link goes back to the pool.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use outrigger_engine::body::{Body, BodyError};
use outrigger_engine::upstream::{Busy, Keepalive};

use super::http1::Part;
use super::pool::{Link, Place, Pool};
use crate::limits::EAGER_PARTS;

/// Where a link goes when its response has been read.
pub(crate) struct Home {
    pub(crate) pool: Rc<Pool>,
    pub(crate) place: Place,
    pub(crate) keepalive: Keepalive,
    /// That the node is busy with the request, where that counts.
    pub(crate) busy: Option<Busy>,
}

pub(crate) struct ResponseBody {
    /// `None` once the body is read and the link is on its way home.
    link: Option<Box<Link>>,
    home: Home,
}

/// A body that breaks off at once: its head may still be taken back.
pub(crate) struct Broken(pub(crate) BodyError);

impl ResponseBody {
    /// The body of the response whose head has come on `link`.
    pub(crate) fn new(link: Box<Link>, home: Home) -> Self {
        ResponseBody {
            link: Some(link),
            home,
        }
    }

    /// The body for the response: what has come with the head already is
    /// taken at once, so that a short response needs no stream and its link
    /// is free before the client has read it.
    ///
    /// # Errors
    /// The body breaks off, or its framing does, in what has come with the head.
    pub(crate) fn into_body(mut self) -> Result<Body, Broken> {
        let mut early: Option<Bytes> = None;
        // Whoever reads the rest is to be woken for it.
        let mut unwoken = Context::from_waker(Waker::noop());
        for _ in 0..EAGER_PARTS {
            if self.is_done() {
                break;
            }
            match self.poll_part(&mut unwoken) {
                Poll::Ready(Some(Ok(Part::Data(data)))) => {
                    early = Some(match early.take() {
                        None => data,
                        Some(first) => join(&first, &data),
                    });
                }
                Poll::Ready(None) => break,
                // Nothing has been sent to the client yet.
                Poll::Ready(Some(Err(error))) => return Err(Broken(error)),
                // Trailers: told in their turn.
                Poll::Ready(Some(next)) => return Ok(self.streamed(early, Some(next))),
                Poll::Pending => return Ok(self.streamed(early, None)),
            }
        }
        if self.is_done() {
            self.release();
            return Ok(early.map_or(Body::Empty, Body::from));
        }
        Ok(self.streamed(early, None))
    }

    fn streamed(self, early: Option<Bytes>, next: Option<Result<Part, BodyError>>) -> Body {
        let rest = self;
        Body::Stream(Box::pin(Streamed { early, next, rest }))
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, BodyError>>> {
        match &mut self.link {
            Some(link) => link.poll_part(cx),
            None => Poll::Ready(None),
        }
    }

    fn release(&mut self) {
        self.home.busy = None;
        if let Some(link) = self.link.take() {
            self.home
                .pool
                .put(&self.home.place, link, &self.home.keepalive);
        }
    }

    fn is_done(&self) -> bool {
        self.link.as_ref().is_none_or(|link| link.is_done())
    }

    fn length(&self) -> Option<u64> {
        self.link.as_ref().map_or(Some(0), |link| link.length())
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
    next: Option<Result<Part, BodyError>>,
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
        let part = match self.next.take() {
            Some(next) => Poll::Ready(Some(next)),
            None => self.rest.poll_part(cx),
        };
        // Whoever reads may stop where the length is reached.
        if part.is_ready() && self.rest.is_done() {
            self.rest.release();
        }
        part.map_ok(|part| match part {
            Part::Data(data) => Frame::data(data),
            Part::Trailers(trailers) => Frame::trailers(trailers),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.early.is_none() && self.next.is_none() && self.rest.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        let early = self.early.as_ref().map_or(0, Bytes::len) as u64;
        match self.rest.length() {
            // Trailers need a framing that has a place for them.
            Some(length) if self.next.is_none() => SizeHint::with_exact(length + early),
            _ => {
                let mut hint = SizeHint::new();
                hint.set_lower(early);
                hint
            }
        }
    }
}
