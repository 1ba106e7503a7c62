//! Bytes on their way to a node: a buffer that is used again and again, and at
//! most one part of a body that was not worth copying into it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use crate::limits::{COPY_PART, IDLE_SEND_BUFFER, SEND_BUFFER};

/// Order of sending: the buffer, the part, its end.
#[derive(Default)]
pub(super) struct Outgoing {
    buffer: Vec<u8>,
    /// How much of the buffer has been sent.
    sent: usize,
    part: Bytes,
    /// What follows the part; empty without one.
    end: &'static [u8],
    /// Whether the stream may hold back what it has taken.
    unflushed: bool,
    /// How many bytes the stream has taken since the last reset.
    taken: u64,
}

impl Outgoing {
    /// Where to write what is to be sent next; only while [`is_open`](Self::is_open).
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.part.is_empty(), "it would be sent out of order");
        &mut self.buffer
    }

    /// Adds a part of a body and what follows it.
    pub(super) fn push(&mut self, part: Bytes, end: &'static [u8]) {
        if part.len() <= COPY_PART {
            self.buffer().extend_from_slice(&part);
            self.buffer.extend_from_slice(end);
        } else {
            self.part = part;
            self.end = end;
        }
    }

    /// Whether more can be added before what is there has been sent.
    pub(super) fn is_open(&self) -> bool {
        self.part.is_empty() && self.end.is_empty() && self.buffer.len() < SEND_BUFFER
    }

    /// Sends all that is there. Ready once the stream has passed it on.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = ready!(self.poll_write(stream, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.advance(written);
        }
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let buffered = &self.buffer[self.sent..];
        if self.part.is_empty() && self.end.is_empty() {
            return Pin::new(stream).poll_write(cx, buffered);
        }
        let slices = [buffered, &self.part, self.end].map(IoSlice::new);
        let first = slices.iter().position(|slice| !slice.is_empty());
        Pin::new(stream).poll_write_vectored(cx, &slices[first.unwrap_or_default()..])
    }

    fn is_empty(&self) -> bool {
        self.sent == self.buffer.len() && self.part.is_empty() && self.end.is_empty()
    }

    /// How many bytes the stream has taken of this request.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    fn advance(&mut self, mut written: usize) {
        self.taken += written as u64;
        let buffered = (self.buffer.len() - self.sent).min(written);
        self.sent += buffered;
        written -= buffered;
        if self.sent == self.buffer.len() {
            self.buffer.clear();
            self.sent = 0;
        }
        let of_part = self.part.len().min(written);
        self.part.advance(of_part);
        if self.part.is_empty() {
            self.part = Bytes::new();
        }
        written -= of_part;
        self.end = self.end.get(written..).unwrap_or_default();
    }

    /// Throws away what has not been sent, and memory that one request needed
    /// and the next one will hardly need.
    pub(super) fn reset(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.capacity() > IDLE_SEND_BUFFER {
            buffer = Vec::new();
        }
        buffer.clear();
        *self = Outgoing {
            buffer,
            ..Outgoing::default()
        };
    }
}
