//! Message bodies as plugins and the proxy see them: nothing, bytes in
//! memory, or a stream. Knows `http_body`, no HTTP library.

mod again;
mod begun;
mod collect;
mod kept;
mod memory;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use begun::{Begun, Rest};
use collect::{Collected, NoMemory};
use kept::Passing;

pub use again::Again;
pub use kept::Kept;
pub use memory::BodyMemory;

/// What goes wrong while a body is read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is longer than the reader's limit.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The sender did not deliver the next part in time.
    #[error("the body's next part did not arrive in time")]
    Timeout,
    /// All bodies together take as much memory as they may.
    #[error("bodies take {limit} bytes of memory already")]
    NoMemory {
        /// As much as they may take, in bytes.
        limit: usize,
    },
    /// The sender went away or broke the framing.
    #[error("reading the body failed: {0}")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

/// A body that arrives in parts.
pub type BodyStream = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>;

/// A request's or response's body.
#[derive(Default)]
pub enum Body {
    /// No body at all.
    #[default]
    Empty,
    /// Bytes in memory.
    Full(Bytes),
    /// Parts that are still to come.
    Stream(BodyStream),
}

impl Body {
    /// Whether it is known that no byte will come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Full(bytes) => bytes.is_empty(),
            Body::Stream(stream) => stream.is_end_stream(),
        }
    }

    /// Whether the body can be sent a second time: none of it is a stream.
    #[must_use]
    pub fn replay(&self) -> Option<Body> {
        match self {
            Body::Empty => Some(Body::Empty),
            Body::Full(bytes) => Some(Body::Full(bytes.clone())),
            Body::Stream(_) => None,
        }
    }

    /// The least number of bytes that are still to come, as far as the sender
    /// has announced it.
    #[must_use]
    pub fn announced(&self) -> u64 {
        http_body::Body::size_hint(self).lower()
    }

    /// Reads the whole body into memory and leaves it here, so that it can
    /// still be sent on.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as more than `limit` bytes are
    /// announced or have come, otherwise as [`read_ahead`](Self::read_ahead).
    pub async fn buffer(&mut self, limit: usize, memory: &BodyMemory) -> Result<Bytes, BodyError> {
        let too_large = Err(BodyError::TooLarge { limit });
        if self.announced() > limit as u64 {
            return too_large;
        }
        let start = self.read_ahead(limit, memory).await?;
        if start.whole {
            Ok(start.bytes)
        } else {
            too_large
        }
    }

    /// Reads the first `limit` bytes, or all where there are fewer, and leaves
    /// the body whole, trailers included, so that it can still be sent on.
    ///
    /// # Errors
    /// [`BodyError::NoMemory`]: the body is whole then, too. Otherwise what the
    /// stream reports; who reads the body after that gets an error where this stopped.
    pub async fn read_ahead(
        &mut self,
        limit: usize,
        memory: &BodyMemory,
    ) -> Result<Start, BodyError> {
        match self {
            Body::Empty => Ok(Start::of(&Bytes::new(), limit)),
            Body::Full(bytes) => Ok(Start::of(bytes, limit)),
            Body::Stream(_) => self.read_stream(limit, memory).await,
        }
    }

    async fn read_stream(&mut self, limit: usize, memory: &BodyMemory) -> Result<Start, BodyError> {
        let mut reading = Reading {
            collected: Some(Collected::new(memory.share(), limit)),
            rest: Some(match std::mem::take(self) {
                Body::Stream(stream) => Rest::Stream(stream),
                whole => {
                    *self = whole;
                    Rest::Trailers(None)
                }
            }),
            body: self,
        };
        let outcome = reading.read(limit, memory).await;
        let bytes = reading.put_back();
        outcome.map(|()| Start::of(&bytes, limit))
    }

    /// Has what is read of the body remembered, so that it can be read again from
    /// its start as long as no more than `limit` bytes have been; none where it is no
    /// stream, and can be [replayed](Self::replay).
    pub fn rereadable(&mut self, limit: usize, memory: &BodyMemory) -> Option<Again> {
        match std::mem::take(self) {
            Body::Stream(stream) => {
                let again = Again::new(stream, limit, memory);
                *self = again.body().unwrap_or_default();
                Some(again)
            }
            whole => {
                *self = whole;
                None
            }
        }
    }

    /// Has the first `limit` bytes kept while the body is sent on; none where
    /// it is no stream, and thus kept anyway.
    pub fn keep(&mut self, limit: usize, memory: &BodyMemory) -> Option<Kept> {
        match std::mem::take(self) {
            Body::Stream(stream) => {
                let (passing, kept) = Passing::new(stream, limit, memory);
                *self = Body::Stream(Box::pin(passing));
                Some(kept)
            }
            whole => {
                *self = whole;
                None
            }
        }
    }
}

/// The first bytes of a body.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether that is all of it.
    pub whole: bool,
}

impl Start {
    fn of(bytes: &Bytes, limit: usize) -> Self {
        Start {
            bytes: bytes.slice(..bytes.len().min(limit)),
            whole: bytes.len() <= limit,
        }
    }
}

/// A stream on its way into memory. However the reading ends, and be it that
/// nobody waits for it any more, what was read goes back to where it was
/// taken from.
struct Reading<'b> {
    body: &'b mut Body,
    collected: Option<Collected>,
    rest: Option<Rest>,
}

impl Reading<'_> {
    /// Reads on until more than `limit` bytes are there, or all of them.
    async fn read(&mut self, limit: usize, memory: &BodyMemory) -> Result<(), BodyError> {
        while self
            .collected
            .as_ref()
            .is_some_and(|all| all.len() <= limit)
        {
            let Some(Rest::Stream(stream)) = &mut self.rest else {
                return Ok(());
            };
            match std::future::poll_fn(|cx| stream.as_mut().poll_frame(cx)).await {
                None => self.ended(None),
                Some(Err(error)) => {
                    let again = BodyError::Broken(error.to_string().into());
                    self.rest = Some(Rest::Failed(Some(again)));
                    return Err(error);
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Err(frame) => self.ended(frame.into_trailers().ok()),
                    Ok(data) => self.take(data, memory)?,
                },
            }
        }
        Ok(())
    }

    fn ended(&mut self, trailers: Option<HeaderMap>) {
        self.rest = Some(Rest::Trailers(trailers));
    }

    fn take(&mut self, data: Bytes, memory: &BodyMemory) -> Result<(), BodyError> {
        let collected = self.collected.as_mut();
        let taken = collected.map_or(Ok(()), |all| all.push(data.clone()));
        if taken == Err(NoMemory) {
            let unread = Begun {
                read: Some(data),
                rest: self.rest.take().unwrap_or(Rest::Trailers(None)),
            };
            self.rest = Some(Rest::Stream(Box::pin(unread)));
            return Err(BodyError::NoMemory {
                limit: memory.limit(),
            });
        }
        if matches!(&self.rest, Some(Rest::Stream(stream)) if stream.is_end_stream()) {
            self.ended(None);
        }
        Ok(())
    }

    /// Makes the body whole again and returns what was read of it.
    fn put_back(&mut self) -> Bytes {
        let (Some(collected), Some(rest)) = (self.collected.take(), self.rest.take()) else {
            return Bytes::new();
        };
        let bytes = collected.into_bytes();
        *self.body = match rest {
            Rest::Trailers(None) => bytes.clone().into(),
            rest => {
                let read = Some(bytes.clone()).filter(|bytes| !bytes.is_empty());
                Body::Stream(Box::pin(Begun { read, rest }))
            }
        };
        bytes
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.put_back();
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Body::Empty
        } else {
            Body::Full(bytes)
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => f.write_str("Empty"),
            Body::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Body::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Body::Stream(stream) => stream.as_mut().poll_frame(cx),
            whole => Poll::Ready(match std::mem::take(whole) {
                Body::Full(bytes) if !bytes.is_empty() => Some(Ok(Frame::data(bytes))),
                _ => None,
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream(stream) => stream.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests;
