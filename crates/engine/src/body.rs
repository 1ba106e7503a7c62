//! Message bodies as plugins and the proxy see them: nothing, bytes in
//! memory, or a stream. Knows `http_body`, no HTTP library.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

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

    /// Reads the whole body into memory and leaves it here as [`Body::Full`],
    /// so that it can still be sent on.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as more than `limit` bytes are
    /// announced or have come; the body is whole then, and can still be sent
    /// on. Otherwise what the stream reports.
    pub async fn buffer(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let stream = match self {
            Body::Empty => return Ok(Bytes::new()),
            Body::Full(bytes) if bytes.len() > limit => return Err(BodyError::TooLarge { limit }),
            Body::Full(bytes) => return Ok(bytes.clone()),
            Body::Stream(stream) => stream,
        };
        let announced = usize::try_from(stream.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(BodyError::TooLarge { limit });
        }
        let (read, whole) = collect(stream, limit).await?;
        if whole {
            *self = Body::Full(read.clone());
            return Ok(read);
        }
        if let Body::Stream(rest) = std::mem::take(self) {
            let read = Some(read);
            *self = Body::Stream(Box::pin(Begun { read, rest }));
        }
        Err(BodyError::TooLarge { limit })
    }
}

/// A stream of which the first part has been read already.
struct Begun {
    read: Option<Bytes>,
    rest: BodyStream,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.read.take() {
            Some(read) => Poll::Ready(Some(Ok(Frame::data(read)))),
            None => self.rest.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.as_ref().map_or(0, Bytes::len) as u64;
        let rest = self.rest.size_hint();
        let mut whole = SizeHint::new();
        whole.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            whole.set_upper(upper.saturating_add(read));
        }
        whole
    }
}

/// Reads to the end, or until more than `limit` bytes have come; says which.
async fn collect(stream: &mut BodyStream, limit: usize) -> Result<(Bytes, bool), BodyError> {
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| stream.as_mut().poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        match first.take() {
            None if joined.is_empty() => first = Some(data),
            None => joined.extend_from_slice(&data),
            Some(earlier) => {
                joined.extend_from_slice(&earlier);
                joined.extend_from_slice(&data);
            }
        }
        if first.as_ref().map_or(joined.len(), Bytes::len) > limit {
            return Ok((first.unwrap_or_else(|| joined.freeze()), false));
        }
    }
    Ok((first.unwrap_or_else(|| joined.freeze()), true))
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
mod tests {
    use super::*;
    use std::collections::VecDeque;

    struct Parts(VecDeque<Bytes>);

    impl http_body::Body for Parts {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
        }
    }

    fn stream(parts: &[&'static str]) -> Body {
        let parts = parts.iter().map(|part| Bytes::from_static(part.as_bytes()));
        Body::Stream(Box::pin(Parts(parts.collect())))
    }

    #[tokio::test]
    async fn a_buffered_stream_can_still_be_sent() {
        let mut body = stream(&["one ", "two ", "three"]);
        assert_eq!(body.buffer(100).await.unwrap(), "one two three");
        assert_eq!(body.buffer(100).await.unwrap(), "one two three");
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(13));
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_and_stays_whole() {
        let mut body = stream(&["12345", "67890", "x"]);
        let refused = body.buffer(9).await;
        assert!(matches!(refused, Err(BodyError::TooLarge { limit: 9 })));
        assert_eq!(body.buffer(11).await.unwrap(), "1234567890x");
        assert_eq!(
            stream(&["12345", "67890"]).buffer(10).await.unwrap().len(),
            10
        );
    }
}
