//! A body of which the first part has been read, and that is whole all the same.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{BodyError, BodyStream};

/// A stream of which the first part has been read already.
pub(super) struct Begun {
    pub(super) read: Option<Bytes>,
    pub(super) rest: Rest,
}

/// What follows the part that was read.
pub(super) enum Rest {
    /// More of the body.
    Stream(BodyStream),
    /// Nothing but these.
    Trailers(Option<HeaderMap>),
    /// Nothing: reading on has failed.
    Failed(Option<BodyError>),
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(read) = self.read.take() {
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        match &mut self.rest {
            Rest::Stream(stream) => stream.as_mut().poll_frame(cx),
            Rest::Trailers(trailers) => Poll::Ready(
                trailers
                    .take()
                    .map(|trailers| Ok(Frame::trailers(trailers))),
            ),
            Rest::Failed(error) => Poll::Ready(error.take().map(Err)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_none()
            && match &self.rest {
                Rest::Stream(stream) => stream.is_end_stream(),
                Rest::Trailers(trailers) => trailers.is_none(),
                // Whoever asks must not take it for the body's end.
                Rest::Failed(_) => false,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.as_ref().map_or(0, Bytes::len) as u64;
        let rest = match &self.rest {
            Rest::Stream(stream) => stream.size_hint(),
            // A length that is known is sent, and then there is no place for trailers.
            Rest::Trailers(Some(_)) | Rest::Failed(_) => SizeHint::default(),
            Rest::Trailers(None) => SizeHint::with_exact(0),
        };
        let mut whole = SizeHint::new();
        whole.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            whole.set_upper(upper.saturating_add(read));
        }
        whole
    }
}
