//! Every limit of this crate, by name.

/// Length of a frame's header in bytes: one of type, three of length.
pub const HEADER_LEN: usize = 4;

/// The longest payload a frame can announce, in bytes: its length has 24 bits.
pub const MAX_PAYLOAD: usize = (1 << 24) - 1;

/// Tables in one message, so at most about as many headers and arguments.
///
/// A frame's length alone would allow four million references to one table.
/// An HTTP request that a gateway accepts stays far below: 64 KiB of request
/// line hold 32 Ki arguments, and a header map of the `http` crate 32 Ki values.
pub const MAX_TABLES: usize = 65_536;

/// A message may refer to the same bytes more than once: writers may share
/// strings. All names, values and bodies together are at most this many times
/// as long as the payload, so that work and copies of who reads them stay
/// linear in what was sent …
pub const APPARENT_SIZE_FACTOR: usize = 4;

/// … or this many bytes, where that is more: room for small messages that
/// share much.
pub const APPARENT_SIZE_FLOOR: usize = 64 * 1024;

/// Free bytes that [`FrameDecoder::buffer`](crate::FrameDecoder::buffer) offers
/// for one read. Nearly every frame without a body is shorter.
pub const READ_CHUNK: usize = 8 * 1024;

/// Memory a [`FrameDecoder`](crate::FrameDecoder) or an
/// [`Encoder`](crate::Encoder) keeps from one message to the next, in bytes.
/// What a longer message needed is given back.
pub const RETAINED_BUFFER: usize = 64 * 1024;

/// How many bytes of text the `Debug` output of a message shows of each value.
pub const SHOWN_BYTES: usize = 256;

/// How many entries of a list it shows.
pub const SHOWN_ENTRIES: usize = 64;

/// The most bytes a payload of this length may add up to; see
/// [`APPARENT_SIZE_FACTOR`].
pub(crate) const fn max_apparent_size(payload_len: usize) -> usize {
    let linear = payload_len.saturating_mul(APPARENT_SIZE_FACTOR);
    if linear > APPARENT_SIZE_FLOOR {
        linear
    } else {
        APPARENT_SIZE_FLOOR
    }
}
