//! From a message to the bytes of a frame.

use std::fmt;

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, Vector, WIPOffset};

use crate::frame::Header;
use crate::generated::a6 as fb;
use crate::limits::{HEADER_LEN, MAX_PAYLOAD, MAX_TABLES, RETAINED_BUFFER};
use crate::{Entries, Message, U24};

/// What a table takes beside the bytes it refers to, roughly: an entry's is 12
/// bytes, an offset to it 4, and two strings have lengths and padding. No harm
/// comes of a wrong guess.
const TABLE_ROOM: usize = 64;

/// A message that can be written into a frame.
pub trait Encode: Message + write::Write {}

impl<M: Message + write::Write> Encode for M {}

/// Why a message cannot be sent. The fault of who made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It does not fit into a frame.
    #[error("{message}: {len} bytes, and a frame holds {MAX_PAYLOAD}")]
    TooLarge {
        /// The message.
        message: &'static str,
        /// The length of its payload, or of the values in it where these alone
        /// are too much. In bytes.
        len: usize,
    },
    /// It has more headers, arguments or other entries than a peer with our
    /// limits accepts.
    #[error("{message}: {tables} tables, and {MAX_TABLES} is the limit")]
    TooManyTables {
        /// The message.
        message: &'static str,
        /// Its entries, and the tables around them.
        tables: usize,
    },
}

/// Writes frames. Its buffer is reused from one message to the next.
pub struct Encoder {
    writer: write::Writer,
    /// Memory of the builder in bytes, as of the last message.
    capacity: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder that has allocated nothing yet.
    pub fn new() -> Self {
        Self {
            writer: write::Writer::default(),
            capacity: 0,
        }
    }

    /// Writes `message` as one whole frame, header and payload.
    ///
    /// # Errors
    /// [`EncodeError`] where the message is beyond what a frame can carry.
    pub fn encode(&mut self, message: &impl Encode) -> Result<&[u8], EncodeError> {
        self.trim();
        encode(&mut self.writer, message, &mut self.capacity)
    }

    /// Gives back memory beyond [`RETAINED_BUFFER`] that a large message
    /// needed. The next message does so too; call it where there may be none
    /// for long.
    pub fn trim(&mut self) {
        if self.capacity > RETAINED_BUFFER {
            *self = Self::new();
        }
    }
}

fn encode<'w, M: Encode>(
    writer: &'w mut write::Writer,
    message: &M,
    capacity: &mut usize,
) -> Result<&'w [u8], EncodeError> {
    // Before anything is copied: the builder panics beyond 2 GiB.
    let size = message.size();
    if size.tables > MAX_TABLES {
        return Err(EncodeError::TooManyTables {
            message: M::NAME,
            tables: size.tables,
        });
    }
    if size.bytes > MAX_PAYLOAD {
        return Err(EncodeError::TooLarge {
            message: M::NAME,
            len: size.bytes,
        });
    }
    if size.bytes > RETAINED_BUFFER {
        // All at once: the builder would double, and clear and copy each time.
        let around = size.tables.saturating_mul(TABLE_ROOM);
        writer.builder = FlatBufferBuilder::with_capacity(size.bytes + around);
    } else {
        writer.builder.reset();
    }
    let root = message.write(writer);
    // The header takes the place of FlatBuffers' own length prefix, so header
    // and payload are one piece without a copy.
    writer.builder.finish_size_prefixed(root, None);
    let (buffer, start) = writer.builder.mut_finished_buffer();
    *capacity = buffer.len();
    let frame = &mut buffer[start..];
    let len = frame.len() - HEADER_LEN;
    let len = U24::new(len).ok_or(EncodeError::TooLarge {
        message: M::NAME,
        len,
    })?;
    frame[..HEADER_LEN].copy_from_slice(&Header { ty: M::TYPE, len }.to_bytes());
    Ok(frame)
}

/// What messages are written with. Public in name only: [`Encode`] is for the
/// messages of this crate.
pub(crate) mod write {
    use super::*;

    pub trait Write {
        /// What the message takes at least, found without writing it.
        fn size(&self) -> Size;

        fn write(&self, w: &mut Writer) -> Root;
    }

    /// Where a message's root table is.
    pub(crate) type Root = WIPOffset<flatbuffers::TableFinishedWIPOffset>;

    /// A vector of bytes or a string in the message that is being written.
    pub(crate) type Bytes = WIPOffset<Vector<'static, u8>>;

    /// A list of entries in the message that is being written.
    pub(crate) type WrittenEntries =
        WIPOffset<Vector<'static, ForwardsUOffset<fb::TextEntry<'static>>>>;

    /// A lower bound of what a message takes.
    #[derive(Debug, Clone, Copy)]
    pub struct Size {
        pub(crate) bytes: usize,
        pub(crate) tables: usize,
    }

    impl Size {
        /// Of a message with this many tables beside those of entries.
        pub(crate) fn tables(tables: usize) -> Self {
            Self { bytes: 0, tables }
        }

        pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
            self.bytes = self.bytes.saturating_add(bytes.len());
            self
        }

        pub(crate) fn entries(mut self, entries: Entries<'_>) -> Self {
            self.tables = self.tables.saturating_add(entries.len());
            entries.iter().fold(self, |size, entry| {
                size.bytes(entry.name)
                    .bytes(entry.value.unwrap_or_default())
            })
        }
    }

    #[derive(Default)]
    pub struct Writer {
        pub(crate) builder: FlatBufferBuilder<'static>,
        /// The entries of the list that is being written.
        entries: Vec<WIPOffset<fb::TextEntry<'static>>>,
    }

    impl Writer {
        /// A byte vector with a NUL after it, which is what a string is.
        pub(crate) fn string(&mut self, bytes: &[u8]) -> Bytes {
            WIPOffset::new(self.builder.create_byte_string(bytes).value())
        }

        pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Bytes {
            self.builder.create_vector(bytes)
        }

        /// A list of entries; an empty one is not written.
        pub(crate) fn entries(&mut self, entries: Entries<'_>) -> Option<WrittenEntries> {
            if entries.is_empty() {
                return None;
            }
            self.entries.clear();
            for entry in entries {
                let value = entry.value.map(|value| self.string(value));
                let name = Some(self.string(entry.name));
                let args = fb::TextEntryArgs { name, value };
                self.entries
                    .push(fb::TextEntry::create(&mut self.builder, &args));
            }
            Some(self.builder.create_vector(&self.entries))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extra_info::Response;

    #[test]
    fn memory_of_a_large_message_is_given_back() {
        let body = vec![b'x'; RETAINED_BUFFER];
        let large = Response {
            result: Some(&body),
        };
        let small = Response { result: Some(b"y") };
        let mut encoder = Encoder::new();

        encoder.encode(&large).unwrap();
        assert!(encoder.capacity > RETAINED_BUFFER);
        encoder.encode(&small).unwrap();
        assert!(encoder.capacity <= RETAINED_BUFFER);

        encoder.encode(&large).unwrap();
        encoder.trim();
        assert_eq!(encoder.capacity, 0);
        assert!(encoder.encode(&small).unwrap().ends_with(b"y\0\0\0"));
    }

    #[test]
    fn memory_of_ordinary_messages_is_kept() {
        let mut encoder = Encoder::new();
        let first = encoder
            .encode(&Response { result: Some(b"y") })
            .unwrap()
            .as_ptr();
        for _ in 0..100 {
            assert_eq!(
                encoder
                    .encode(&Response { result: Some(b"y") })
                    .unwrap()
                    .as_ptr(),
                first
            );
        }
    }

    #[test]
    fn memory_for_a_large_message_is_taken_once() {
        let body = vec![b'x'; 1 << 20];
        let mut encoder = Encoder::new();
        let len = encoder
            .encode(&Response {
                result: Some(&body),
            })
            .unwrap()
            .len();
        assert!(
            encoder.capacity < len + 2 * TABLE_ROOM,
            "{} bytes",
            encoder.capacity
        );
    }
}
