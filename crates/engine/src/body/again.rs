//! A stream that can be read once more from its start: what has been read of it
//! is remembered, up to a limit. For requests that may have to be sent again.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::memory::Share;
use super::{Body, BodyError, BodyMemory, BodyStream};

/// What gives a body again whose first copy has been begun, or read.
#[derive(Clone)]
pub struct Again(Rc<RefCell<Source>>);

struct Source {
    stream: BodyStream,
    /// The data that was read; none once it cannot be read again.
    read: Option<Vec<Bytes>>,
    length: usize,
    trailers: Option<HeaderMap>,
    /// Whether the stream has said that nothing follows; it is not asked again.
    ended: bool,
    limit: usize,
    share: Share,
}

impl Again {
    pub(super) fn new(stream: BodyStream, limit: usize, memory: &BodyMemory) -> Self {
        Again(Rc::new(RefCell::new(Source {
            stream,
            read: Some(Vec::new()),
            length: 0,
            trailers: None,
            ended: false,
            limit,
            share: memory.spare_share(),
        })))
    }

    /// The body from its start, to be read in place of the copy before; none
    /// where too much of that has been read, or reading it failed.
    #[must_use]
    pub fn body(&self) -> Option<Body> {
        self.0.borrow().read.as_ref()?;
        Some(Body::Stream(Box::pin(Copy {
            source: Rc::clone(&self.0),
            next: 0,
            trailers_told: false,
        })))
    }
}

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Again({} bytes)", self.0.borrow().length)
    }
}

impl Source {
    fn remember(&mut self, data: &Bytes) {
        let Some(read) = &mut self.read else { return };
        self.length += data.len();
        if self.length <= self.limit && self.share.cover(self.length) {
            read.push(data.clone());
        } else {
            self.read = None;
        }
    }
}

/// Invariant: only the latest copy of a source is read.
struct Copy {
    source: Rc<RefCell<Source>>,
    /// Which of what was read comes next.
    next: usize,
    trailers_told: bool,
}

impl Copy {
    /// What this copy has not told yet and the source has read already.
    fn known(&self, source: &Source) -> Option<Bytes> {
        source.read.as_ref()?.get(self.next).cloned()
    }
}

impl http_body::Body for Copy {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let mut source = this.source.borrow_mut();
        if let Some(data) = this.known(&source) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = &source.trailers {
            let trailers = (!this.trailers_told).then(|| trailers.clone());
            this.trailers_told = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        if source.ended {
            return Poll::Ready(None);
        }
        let part = ready!(source.stream.as_mut().poll_frame(cx));
        match &part {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    source.remember(data);
                    this.next += 1;
                } else if let Some(trailers) = frame.trailers_ref() {
                    source.trailers = Some(trailers.clone());
                    this.trailers_told = true;
                }
            }
            Some(Err(_)) => source.read = None,
            None => source.ended = true,
        }
        Poll::Ready(part)
    }

    fn is_end_stream(&self) -> bool {
        let source = self.source.borrow();
        let trailers = source.trailers.is_some() && !self.trailers_told;
        self.known(&source).is_none()
            && !trailers
            && (source.ended || source.stream.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let source = self.source.borrow();
        let read = source.read.iter().flatten().skip(self.next);
        let read = read.map(Bytes::len).sum::<usize>() as u64;
        let rest = source.stream.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::tests::stream;

    use http_body::Body as _;

    async fn text(body: &mut Body) -> String {
        let memory = BodyMemory::new(100);
        let bytes = body.buffer(100, &memory).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_body_can_be_read_again_however_far_it_was_read() {
        let memory = BodyMemory::new(100);
        for read in 0..=3 {
            let mut body = stream(&["one", "two", "three"]);
            let again = body.rereadable(20, &memory).unwrap();
            for _ in 0..read {
                let mut body = Pin::new(&mut body);
                std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
            }
            for _ in 0..2 {
                body = again.body().unwrap();
                assert_eq!(text(&mut body).await, "onetwothree", "{read}");
            }
        }
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test]
    async fn what_is_longer_than_the_limit_or_has_no_memory_is_read_once() {
        for (limit, memory) in [(10, 100), (20, 12)] {
            let memory = BodyMemory::new(memory);
            let mut body = stream(&["one", "two", "three"]);
            let again = body.rereadable(limit, &memory).unwrap();
            assert_eq!(text(&mut body).await, "onetwothree");
            assert!(again.body().is_none(), "{limit}");
        }
    }

    #[test]
    fn a_body_in_memory_needs_no_second_reading() {
        let memory = BodyMemory::new(100);
        assert!(Body::Empty.rereadable(10, &memory).is_none());
        let mut whole = Body::from(Bytes::from_static(b"x"));
        assert!(whole.rereadable(10, &memory).is_none());
    }
}
