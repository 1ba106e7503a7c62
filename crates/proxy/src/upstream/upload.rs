//! A request's body on its way to a node: taken from the client part by part,
//! as far as the node takes it.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body as _;
use outrigger_engine::body::{Body, BodyError};

use super::http1::{self, RequestFraming};
use super::outgoing::Outgoing;

/// What is left of a request's body.
pub(super) struct Upload {
    body: Body,
    /// Whether anybody has looked for more of it.
    begun: bool,
    /// With a length, it is that of the rest.
    framing: RequestFraming,
}

/// How far a body has been taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// To its end.
    Whole,
    /// As far as there is room.
    Some,
    /// As far as it has come; the task is woken when more of it has.
    Waiting,
}

impl Upload {
    /// A body that is sent as its request's head says.
    pub(super) fn new(body: Body, framing: RequestFraming) -> Self {
        Upload {
            body,
            begun: false,
            framing,
        }
    }

    /// The body, if nothing was taken of it.
    pub(super) fn untouched(self) -> Option<Body> {
        (!self.begun).then_some(self.body)
    }

    /// Takes parts of the body as long as there is room for them.
    ///
    /// # Errors
    /// The body cannot be read, or is not as long as it was said to be.
    pub(super) fn fill(
        &mut self,
        out: &mut Outgoing,
        cx: &mut Context<'_>,
    ) -> Result<Taken, BodyError> {
        self.begun = true;
        while out.is_open() {
            match &mut self.body {
                Body::Empty => return self.finish(out).map(|()| Taken::Whole),
                Body::Full(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.body = Body::Empty;
                    self.push(bytes, true, out)?;
                }
                Body::Stream(stream) => match stream.as_mut().poll_frame(cx) {
                    Poll::Pending => return Ok(Taken::Waiting),
                    Poll::Ready(None) => self.body = Body::Empty,
                    Poll::Ready(Some(frame)) => {
                        let last = stream.is_end_stream();
                        match frame?.into_data() {
                            Ok(data) => self.push(data, last, out)?,
                            Err(other) => {
                                if let Ok(trailers) = other.into_trailers() {
                                    self.end_chunks(out, Some(&trailers));
                                }
                            }
                        }
                        if last {
                            self.body = Body::Empty;
                        }
                    }
                },
            }
        }
        Ok(Taken::Some)
    }

    fn push(&mut self, data: Bytes, last: bool, out: &mut Outgoing) -> Result<(), BodyError> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            RequestFraming::Chunked => {
                http1::chunk_head(out.buffer(), data.len());
                if last {
                    self.framing = RequestFraming::None;
                    out.push(data, b"\r\n0\r\n\r\n");
                } else {
                    out.push(data, b"\r\n");
                }
            }
            RequestFraming::Length(left) => {
                let rest = left.checked_sub(data.len() as u64);
                *left = rest.ok_or_else(|| wrong_length("longer"))?;
                out.push(data, b"");
            }
            RequestFraming::None => return Err(wrong_length("longer")),
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Outgoing) -> Result<(), BodyError> {
        self.end_chunks(out, None);
        match self.framing {
            RequestFraming::Length(1..) => Err(wrong_length("shorter")),
            _ => Ok(()),
        }
    }

    /// Nothing may follow then.
    fn end_chunks(&mut self, out: &mut Outgoing, trailers: Option<&http::HeaderMap>) {
        if self.framing == RequestFraming::Chunked {
            http1::trailer_section(out.buffer(), trailers);
            self.framing = RequestFraming::None;
        }
    }
}

fn wrong_length(how: &str) -> BodyError {
    BodyError::Broken(format!("the body is {how} than it was said to be").into())
}
