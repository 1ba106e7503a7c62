//! A copy of a body that is made while the body passes by, for whoever asks for
//! it afterwards.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::collect::Collected;
use super::{BodyError, BodyMemory, BodyStream, Start};

/// The first bytes of a body that streams elsewhere, up to a limit, as far as
/// there is memory to spare for them.
#[derive(Clone)]
pub struct Kept {
    state: Rc<RefCell<State>>,
    limit: usize,
}

enum State {
    Coming { collected: Collected, limit: usize },
    Done(Start),
    Lost,
}

impl Kept {
    /// How many bytes are kept at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What was kept, once the body has passed or its first `limit` bytes have;
    /// none before that, and none where there was no memory to spare.
    #[must_use]
    pub fn start(&self) -> Option<Start> {
        match &*self.state.borrow() {
            State::Done(start) => Some(start.clone()),
            State::Coming { .. } | State::Lost => None,
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.state.borrow() {
            State::Coming { .. } => "Coming",
            State::Done(_) => "Done",
            State::Lost => "Lost",
        })
    }
}

impl State {
    fn pass(&mut self, data: &Bytes) {
        let State::Coming { collected, limit } = self else {
            return;
        };
        let room = *limit - collected.len();
        let (part, cut) = match data.len() > room {
            true => (&data[..room], true),
            false => (&data[..], false),
        };
        if collected.join(part).is_err() {
            *self = State::Lost;
        } else if cut {
            self.finish(false);
        }
    }

    fn finish(&mut self, whole: bool) {
        *self = match std::mem::replace(self, State::Lost) {
            State::Coming { collected, .. } => {
                let bytes = collected.into_bytes();
                State::Done(Start { bytes, whole })
            }
            other => other,
        };
    }
}

/// The body that is kept in passing.
pub(super) struct Passing {
    stream: BodyStream,
    state: Rc<RefCell<State>>,
}

impl Passing {
    pub(super) fn new(stream: BodyStream, limit: usize, memory: &BodyMemory) -> (Self, Kept) {
        let collected = Collected::new(memory.spare_share(), limit);
        let state = Rc::new(RefCell::new(State::Coming { collected, limit }));
        let passing = Passing {
            stream,
            state: Rc::clone(&state),
        };
        (passing, Kept { state, limit })
    }
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let part = ready!(self.stream.as_mut().poll_frame(cx));
        let mut state = self.state.borrow_mut();
        match &part {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    state.pass(data);
                }
            }
            Some(Err(_)) => *state = State::Lost,
            None => state.finish(true),
        }
        // Whoever reads may stop where the length is reached.
        if self.stream.is_end_stream() {
            state.finish(true);
        }
        drop(state);
        Poll::Ready(part)
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.stream.size_hint()
    }
}
