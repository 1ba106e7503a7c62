//! A response's body, out of the bytes that come.

use bytes::Bytes;
use http::HeaderMap;

use super::chunked::Chunked;
use super::error::BadBody;

/// What a body consists of.
#[derive(Debug)]
pub(crate) enum Part {
    /// Bytes of it; at least one.
    Data(Bytes),
    /// Its trailer fields; the last part.
    Trailers(HeaderMap),
}

/// How a body is framed, and how far it has been read.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// There is none, or it has been read.
    Done,
    /// So many bytes are to come; at least one.
    Length(u64),
    /// Chunks are to come.
    Chunked(Chunked),
    /// It ends where the connection does.
    UntilClose,
}

impl Decoder {
    /// The next part of what `input` has; `None` once more of it is needed, or
    /// the body is at its end. Bytes after its end stay in `input`.
    pub(crate) fn decode(&mut self, input: &mut Bytes) -> Result<Option<Part>, BadBody> {
        match self {
            Decoder::Done => Ok(None),
            _ if input.is_empty() => Ok(None),
            Decoder::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX);
                let data = input.split_to(length.min(input.len()));
                *left -= data.len() as u64;
                if *left == 0 {
                    *self = Decoder::Done;
                }
                Ok(Some(Part::Data(data)))
            }
            Decoder::Chunked(chunked) => {
                let part = chunked.decode(input)?;
                if chunked.is_done() {
                    *self = Decoder::Done;
                }
                Ok(part)
            }
            Decoder::UntilClose => Ok(Some(Part::Data(std::mem::take(input)))),
        }
    }

    /// The connection has ended, and all that came was decoded.
    pub(crate) fn finish(&mut self) -> Result<(), BadBody> {
        match self {
            Decoder::Done => Ok(()),
            Decoder::UntilClose => {
                *self = Decoder::Done;
                Ok(())
            }
            Decoder::Length(_) | Decoder::Chunked(_) => Err(BadBody::Truncated),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Decoder::Done)
    }

    /// How many bytes are to come, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Decoder::Done => Some(0),
            Decoder::Length(left) => Some(*left),
            Decoder::Chunked(_) | Decoder::UntilClose => None,
        }
    }
}
