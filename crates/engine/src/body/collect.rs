//! Bytes of a body as they come, in one piece and within limits.

use bytes::{Bytes, BytesMut};

use super::memory::Share;

/// Bytes that grow up to a limit, their memory counted before it is taken.
/// A first part that stays the only one is not copied.
pub(super) struct Collected {
    first: Bytes,
    joined: BytesMut,
    share: Share,
    limit: usize,
}

/// What keeps bytes from being collected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoMemory;

impl Collected {
    /// Nothing yet; its memory is never grown beyond `limit` in advance.
    pub(super) fn new(share: Share, limit: usize) -> Self {
        Collected {
            first: Bytes::new(),
            joined: BytesMut::new(),
            share,
            limit,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    /// Takes one more part; where there is no memory for it, nothing of it.
    pub(super) fn push(&mut self, part: Bytes) -> Result<(), NoMemory> {
        if self.len() == 0 {
            return self.begin(part);
        }
        self.join(&part)
    }

    fn begin(&mut self, part: Bytes) -> Result<(), NoMemory> {
        if !self.share.cover(part.len()) {
            return Err(NoMemory);
        }
        self.first = part;
        Ok(())
    }

    /// Takes one more part as a copy, so that it does not keep the buffer that
    /// it is a piece of.
    pub(super) fn join(&mut self, part: &[u8]) -> Result<(), NoMemory> {
        let needed = self.len() + part.len();
        if !self.share.cover(needed) {
            return Err(NoMemory);
        }
        if needed > self.joined.capacity() {
            // Twice as much each time, where there is room, so that bytes are copied twice at most.
            let twice = needed.max((2 * self.joined.capacity()).min(self.limit));
            let room = if self.share.cover(twice) {
                twice
            } else {
                needed
            };
            self.joined.reserve(room - self.joined.len());
        }
        self.joined.extend_from_slice(&self.first);
        self.first = Bytes::new();
        self.joined.extend_from_slice(part);
        Ok(())
    }

    /// All of it, its memory counted until nobody holds it any more.
    pub(super) fn into_bytes(self) -> Bytes {
        let bytes = if self.joined.is_empty() {
            self.first
        } else {
            self.joined.freeze()
        };
        if bytes.is_empty() {
            bytes
        } else {
            self.share.bind(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::BodyMemory;

    #[test]
    fn parts_are_joined_and_counted() {
        let memory = BodyMemory::new(10);
        let mut collected = Collected::new(memory.share(), 10);
        for part in ["one", " ", "two"] {
            collected.push(Bytes::from_static(part.as_bytes())).unwrap();
        }
        assert!((7..=10).contains(&memory.used()));
        assert_eq!(collected.push(Bytes::from_static(b"four")), Err(NoMemory));
        let bytes = collected.into_bytes();
        assert_eq!(bytes, "one two");
        drop(bytes);
        assert_eq!(memory.used(), 0);
    }
}
