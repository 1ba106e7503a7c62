//! The tasks of streams, and how long a client may leave a response where it is.
//!
//! The socket's own time limit does not see a client that takes other responses, or
//! none at all by the protocol's flow control.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use outrigger_engine::body::{Body, BodyError};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Underway;

/// Runs the tasks of a connection's streams. Clones are the same.
#[derive(Clone)]
pub(super) struct Streams {
    limit: Duration,
    /// That of the stream that begins; the HTTP library asks for its task right after.
    begun: Rc<RefCell<Option<Rc<Pace>>>>,
}

impl Streams {
    /// With the time that a client has to take the next part of a response.
    pub(super) fn new(limit: Duration) -> Self {
        Streams {
            limit,
            begun: Rc::default(),
        }
    }

    /// A stream begins.
    pub(super) fn begin(&self) -> Rc<Pace> {
        let pace = Rc::new(Pace::default());
        *self.begun.borrow_mut() = Some(Rc::clone(&pace));
        pace
    }
}

impl<F: Future + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let pace = self.begun.take().unwrap_or_default();
        tokio::task::spawn_local(in_time(stream, pace, self.limit));
    }
}

/// Since when the client has been left to take a part of a response, if it is its turn.
#[derive(Default)]
pub(super) struct Pace(Cell<Option<Instant>>);

/// Drops the stream, which resets it, if the client does not take its response.
async fn in_time<F: Future>(stream: F, pace: Rc<Pace>, limit: Duration) {
    let mut stream = pin!(stream);
    let mut alarm: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = pace.0.get() else {
            alarm = None;
            return Poll::Pending;
        };
        let due = since + limit;
        let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        alarm.as_mut().poll(cx)
    })
    .await;
}

/// A response's body that notes when its parts are taken.
pub(super) struct Paced {
    body: Body,
    pace: Rc<Pace>,
    /// Its request is under way as long as it is there.
    _underway: Underway,
}

impl Paced {
    pub(super) fn new(body: Body, pace: Rc<Pace>, underway: Underway) -> Self {
        Paced {
            body,
            pace,
            _underway: underway,
        }
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let part = Pin::new(&mut self.body).poll_frame(cx);
        let given = matches!(part, Poll::Ready(Some(Ok(_))));
        self.pace.0.set(given.then(Instant::now));
        part
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::Load;
    use http_body::Body as _;

    fn body_of(parts: usize) -> Paced {
        let parts = vec![Bytes::from_static(b"part"); parts];
        let frames = parts.into_iter().map(|part| Ok(Frame::data(part)));
        let stream = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        let body = Body::Stream(Box::pin(stream));
        Paced::new(body, Rc::default(), Rc::new(Load::default()).begin())
    }

    /// How many seconds a stream lives whose client takes a part every `pause`
    /// seconds, and waits for the gateway as long in between.
    async fn lives(pause: u64) -> u64 {
        let mut body = body_of(3);
        let pace = Rc::clone(&body.pace);
        let begun = Instant::now();
        let stream = async move {
            // The gateway's own time does not count.
            tokio::time::sleep(Duration::from_secs(60)).await;
            while poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))
                .await
                .is_some()
            {
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
        };
        in_time(stream, pace, Duration::from_secs(10)).await;
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_time_for_each_part() {
        assert_eq!(lives(9).await, 60 + 3 * 9);
        assert_eq!(lives(11).await, 60 + 10);
    }
}
