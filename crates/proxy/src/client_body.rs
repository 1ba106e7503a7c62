//! A request's body as it comes from the client: with a limit, a time limit,
//! and a count of its bytes.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use outrigger_engine::body::{Body, BodyError};
use outrigger_engine::exchange::Received;
use outrigger_engine::response::Refusal;
use tokio::time::Sleep;

use crate::client_stream::Unread;
use crate::settings::Settings;

/// Counts the bytes of a body; shared with the body itself.
#[derive(Default)]
struct Count(Cell<u64>);

impl Received for Count {
    fn bytes(&self) -> u64 {
        self.0.get()
    }
}

/// Wraps a request's body, which says to `unread` when it has come to its end;
/// with what counts its bytes, where there is one.
///
/// # Errors
/// [`Refusal::BodyTooLarge`] where its announced length is over the limit.
pub(crate) fn receive(
    incoming: Incoming,
    settings: &Settings,
    unread: &Unread,
) -> Result<(Body, Option<Rc<dyn Received>>), Refusal> {
    if incoming.is_end_stream() {
        return Ok((Body::Empty, None));
    }
    let limit = settings.max_body.unwrap_or(u64::MAX);
    if incoming.size_hint().lower() > limit {
        return Err(Refusal::from_request_body(&too_large(limit)));
    }
    let count = Rc::new(Count::default());
    let body = ClientBody {
        incoming,
        left: limit,
        limit,
        timeout: settings.body_timeout,
        deadline: None,
        count: Rc::clone(&count),
        unread: unread.clone(),
    };
    Ok((Body::Stream(Box::pin(body)), Some(count)))
}

fn too_large(limit: u64) -> BodyError {
    BodyError::TooLarge {
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    }
}

struct ClientBody {
    incoming: Incoming,
    left: u64,
    limit: u64,
    timeout: Duration,
    /// Set while the next part is waited for.
    deadline: Option<Pin<Box<Sleep>>>,
    count: Rc<Count>,
    unread: Unread,
}

impl ClientBody {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(part) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            let timeout = self.timeout;
            let deadline = self
                .deadline
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
            ready!(deadline.as_mut().poll(cx));
            return Poll::Ready(Some(Err(BodyError::Timeout)));
        };
        self.deadline = None;
        let frame = match part {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Broken(error.into())))),
            Some(Ok(frame)) => frame,
        };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Some(Err(too_large(self.limit)))),
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl http_body::Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let part = ready!(self.poll_part(cx));
        if let Some(Ok(frame)) = &part {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.count.0.set(self.count.0.get() + length);
        }
        if part.is_none() || self.incoming.is_end_stream() {
            self.unread.set(false);
        }
        Poll::Ready(part)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
