use super::*;
use std::collections::VecDeque;

/// A stream of these frames, which says to be at its end only when asked on.
struct Parts(VecDeque<Option<Result<Frame<Bytes>, BodyError>>>);

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.0.pop_front() {
            // One that is still to come.
            Some(None) => {
                self.0.push_front(None);
                Poll::Pending
            }
            Some(part) => Poll::Ready(part),
            None => Poll::Ready(None),
        }
    }
}

fn data(text: &'static str) -> Option<Result<Frame<Bytes>, BodyError>> {
    Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
}

fn of<const N: usize>(parts: [Option<Result<Frame<Bytes>, BodyError>>; N]) -> Body {
    Body::Stream(Box::pin(Parts(parts.into())))
}

pub(super) fn stream(parts: &[&'static str]) -> Body {
    let parts = parts.iter().map(|part| data(part));
    Body::Stream(Box::pin(Parts(parts.collect())))
}

fn memory() -> BodyMemory {
    BodyMemory::new(1000)
}

/// What comes out of a body that is sent on: data, trailers, and whether it failed.
async fn sent(mut body: Body) -> (String, Option<HeaderMap>, bool) {
    let (mut text, mut trailers) = (String::new(), None);
    loop {
        let frame = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx));
        match frame.await {
            None => return (text, trailers, false),
            Some(Err(_)) => return (text, trailers, true),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}

#[tokio::test]
async fn a_buffered_stream_can_still_be_sent() {
    let mut body = stream(&["one ", "two ", "three"]);
    assert_eq!(body.buffer(100, &memory()).await.unwrap(), "one two three");
    assert_eq!(body.buffer(100, &memory()).await.unwrap(), "one two three");
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(13));
    assert!(matches!(body, Body::Full(_)));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_stays_whole() {
    let mut body = stream(&["12345", "67890", "x"]);
    let refused = body.buffer(9, &memory()).await;
    assert!(matches!(refused, Err(BodyError::TooLarge { limit: 9 })));
    assert_eq!(body.buffer(11, &memory()).await.unwrap(), "1234567890x");
    let exact = stream(&["12345", "67890"]).buffer(10, &memory()).await;
    assert_eq!(exact.unwrap().len(), 10);
}

#[tokio::test]
async fn the_first_bytes_can_be_read_and_the_body_stays_whole() {
    for (limit, start, whole) in [
        (0, "", false),
        (7, "1234567", false),
        (11, "1234567890x", true),
    ] {
        let mut body = stream(&["12345", "67890", "x"]);
        for _ in 0..2 {
            let read = body.read_ahead(limit, &memory()).await.unwrap();
            assert_eq!((&read.bytes[..], read.whole), (start.as_bytes(), whole));
        }
        assert_eq!(sent(body).await, ("1234567890x".into(), None, false));
    }
}

#[tokio::test]
async fn trailers_come_after_a_buffered_body() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", http::HeaderValue::from_static("1"));
    let mut body = of([
        data("a"),
        data("b"),
        Some(Ok(Frame::trailers(trailers.clone()))),
    ]);
    assert_eq!(body.buffer(10, &memory()).await.unwrap(), "ab");
    assert_eq!(body.buffer(10, &memory()).await.unwrap(), "ab");
    let hint = http_body::Body::size_hint(&body);
    assert_eq!(hint.exact(), None, "or there would be no place for them");
    assert_eq!(sent(body).await, ("ab".into(), Some(trailers), false));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_taken_for_whole() {
    let mut body = of([data("a"), Some(Err(BodyError::Timeout)), data("b")]);
    let broken = body.buffer(10, &memory()).await;
    assert!(matches!(broken, Err(BodyError::Timeout)));
    assert!(!body.is_empty());
    assert_eq!(sent(body).await, ("a".into(), None, true));
}

#[tokio::test]
async fn a_body_that_nobody_waits_for_any_more_stays_whole() {
    let mut body = of([data("a"), data("b"), None]);
    let memory = memory();
    {
        let mut reading = Box::pin(body.read_ahead(10, &memory));
        let mut unwoken = Context::from_waker(std::task::Waker::noop());
        assert!(reading.as_mut().poll(&mut unwoken).is_pending());
    }
    let first = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx));
    assert_eq!(first.await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert!(!body.is_empty());
}

#[tokio::test]
async fn a_body_that_there_is_no_memory_for_stays_whole_and_gives_back_what_it_took() {
    let memory = BodyMemory::new(6);
    let mut body = stream(&["12345", "67890", "x"]);
    let refused = body.buffer(100, &memory).await;
    assert!(matches!(refused, Err(BodyError::NoMemory { limit: 6 })));
    assert!(memory.used() > 0);
    assert_eq!(sent(body).await, ("1234567890x".into(), None, false));
    assert_eq!(memory.used(), 0);
}

#[tokio::test]
async fn a_body_that_passes_can_be_kept() {
    let memory = memory();
    for (limit, start, whole) in [
        (20, "1234567890x", true),
        (11, "1234567890x", true),
        (7, "1234567", false),
    ] {
        let mut body = stream(&["12345", "67890", "x"]);
        let kept = body.keep(limit, &memory).unwrap();
        assert!(kept.start().is_none(), "nothing has passed yet");
        assert_eq!(sent(body).await.0, "1234567890x");
        let read = kept.start().unwrap();
        assert_eq!((&read.bytes[..], read.whole), (start.as_bytes(), whole));
    }
    assert_eq!(memory.used(), 0);
    assert!(
        Body::from(Bytes::from_static(b"x"))
            .keep(10, &memory)
            .is_none()
    );
}

#[tokio::test]
async fn a_body_that_passes_is_not_kept_where_memory_is_short_or_it_breaks_off() {
    let mut body = stream(&["12345", "67890"]);
    let kept = body.keep(100, &BodyMemory::new(12)).unwrap();
    assert_eq!(sent(body).await.0, "1234567890");
    assert!(kept.start().is_none());
    let mut body = of([data("a"), Some(Err(BodyError::Timeout))]);
    let kept = body.keep(100, &memory()).unwrap();
    assert!(sent(body).await.2);
    assert!(kept.start().is_none());
}
