//! Finds frames in a stream of bytes, however it was cut in pieces.

use bytes::BytesMut;

use crate::frame::Header;
use crate::limits::{HEADER_LEN, READ_CHUNK, RETAINED_BUFFER};
use crate::{Frame, FrameError, U24};

/// A sans-IO decoder of frames for one direction of one connection.
///
/// Bytes go in by [`feed`](Self::feed), or by reading straight into
/// [`buffer`](Self::buffer); frames come out of [`next_frame`](Self::next_frame).
/// Take frames until it says `None`, then put in the next bytes: so the buffer
/// never holds more than one frame and one read, whatever the peer sends. It
/// grows with the bytes that came, not with the length that was announced.
///
/// After an error the stream has no frames any more: every later call of
/// `next_frame` gives the same error.
#[derive(Debug)]
pub struct FrameDecoder {
    /// Invariant: `taken <= buffer.len()`. It holds while the buffer is lent
    /// out, because `taken` is 0 then.
    buffer: BytesMut,
    /// Bytes at the front of the buffer that were handed out as frames.
    taken: usize,
    max_payload: U24,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::with_max_payload(U24::MAX)
    }
}

impl FrameDecoder {
    /// A decoder of frames of any length the header can announce. Allocates
    /// nothing until bytes come.
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder that refuses frames with a payload of more than `max` bytes.
    pub fn with_max_payload(max: U24) -> Self {
        Self {
            buffer: BytesMut::new(),
            taken: 0,
            max_payload: max,
        }
    }

    /// Appends bytes that were received.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.release_taken();
        let need = self.buffer.len() + bytes.len();
        if need > self.buffer.capacity() {
            self.grow(need);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer to append received bytes to, with room for the rest of the
    /// frame that is coming, or for [`READ_CHUNK`] bytes of it. What is in it
    /// must stay as it is.
    pub fn buffer(&mut self) -> &mut BytesMut {
        self.release_taken();
        let len = self.buffer.len();
        let room = match self.coming().saturating_sub(len) {
            0 => READ_CHUNK,
            missing => missing.min(READ_CHUNK),
        };
        if len + room > self.buffer.capacity() {
            self.grow(len + READ_CHUNK);
        }
        &mut self.buffer
    }

    /// The next whole frame; `None` where more bytes are needed. The frame
    /// before is gone with the next call of any method.
    ///
    /// # Errors
    /// [`FrameError::UnknownType`] and [`FrameError::TooLarge`], as soon as
    /// enough of the header is there to say so.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let unread = &self.buffer[self.taken..];
        let Some(header) = Header::read(unread, self.max_payload)? else {
            return Ok(None);
        };
        let Some(payload) = unread.get(HEADER_LEN..header.frame_len()) else {
            return Ok(None);
        };
        self.taken += header.frame_len();
        Ok(Some(Frame {
            ty: header.ty,
            payload,
        }))
    }

    /// Whether every byte that came was handed out. A connection where this is
    /// false between calls has an answer too many and must not be reused.
    pub fn is_empty(&self) -> bool {
        self.taken == self.buffer.len()
    }

    /// To be asked at the end of the stream: did it end between two frames?
    ///
    /// # Errors
    /// [`FrameError::Truncated`] where it ended inside a frame, and the errors
    /// of [`next_frame`](Self::next_frame) for frames not yet taken.
    pub fn finish(&self) -> Result<(), FrameError> {
        let mut rest = &self.buffer[self.taken..];
        while !rest.is_empty() {
            let need = Header::read(rest, self.max_payload)?.map_or(HEADER_LEN, Header::frame_len);
            rest = rest.get(need..).ok_or(FrameError::Truncated {
                have: rest.len(),
                need,
            })?;
        }
        Ok(())
    }

    /// Gives back memory beyond [`RETAINED_BUFFER`] that a long frame needed.
    /// The next read does so too; call it where there may be none for long,
    /// such as when a connection becomes idle.
    pub fn trim(&mut self) {
        self.release_taken();
    }

    /// Forgets the frames that were handed out.
    fn release_taken(&mut self) {
        if self.taken == 0 {
            return;
        }
        let unread = self.buffer.len() - self.taken;
        if self.buffer.capacity() > RETAINED_BUFFER && unread <= RETAINED_BUFFER {
            // An empty `BytesMut` owns no memory.
            self.buffer = BytesMut::from(&self.buffer[self.taken..]);
        } else {
            // Moved to the front and not advanced over: so capacity() is all
            // the memory there is, and `clear` brings it back for free.
            self.buffer.copy_within(self.taken.., 0);
            self.buffer.truncate(unread);
        }
        self.taken = 0;
    }

    /// Length of the frame that is coming, as far as it is known: of its
    /// header where that is incomplete, 0 where there will be none.
    fn coming(&self) -> usize {
        match Header::read(&self.buffer[self.taken..], self.max_payload) {
            Ok(Some(header)) => header.frame_len(),
            Ok(None) => HEADER_LEN,
            Err(_) => 0,
        }
    }

    /// Makes the buffer at least `need` bytes large. It doubles, so that a long
    /// frame is not copied at every read, but not beyond that frame and one chunk.
    fn grow(&mut self, need: usize) {
        let enough = self.coming() + READ_CHUNK;
        let doubled = self.buffer.capacity() * 2;
        // `BytesMut::reserve` would double without a limit.
        let mut grown = BytesMut::with_capacity(need.max(doubled.min(enough)));
        grown.extend_from_slice(&self.buffer);
        self.buffer = grown;
    }
}
