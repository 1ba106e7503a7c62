//! The chunked transfer coding, strictly: RFC 9112, section 7.1. What the
//! grammar does not have is an error, not something to be made sense of.

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::decoder::Part;
use super::error::BadBody;
use crate::limits::{MAX_CHUNK_EXTENSIONS, MAX_TRAILER_FIELDS, MAX_TRAILERS};

/// A chunked body, and how far it has been read.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: State,
    /// Bytes of extensions, of all chunks together.
    extensions: usize,
    /// The trailer section as far as it has come.
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a chunk's size; `digits` of it have come.
    Size {
        size: u64,
        digits: u8,
    },
    /// In white space after the size, which only an extension or the line's
    /// end may follow.
    Space {
        size: u64,
    },
    /// In an extension, which means nothing here.
    Extension {
        size: u64,
    },
    /// Before the LF of a chunk's first line.
    SizeEnd {
        size: u64,
    },
    /// In a chunk; so many bytes of it are to come.
    Data {
        left: u64,
    },
    /// Before the CR after a chunk.
    DataCr,
    /// Before the LF after a chunk.
    DataLf,
    /// After the last chunk.
    Trailers,
    Done,
}

/// Digits of the largest size that is read: more than 2^60 bytes are no chunk.
const MOST_DIGITS: u8 = 15;

const START: State = State::Size { size: 0, digits: 0 };

impl Chunked {
    pub(super) fn new() -> Self {
        Chunked {
            state: START,
            extensions: 0,
            trailers: Vec::new(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// As [`Decoder::decode`](super::Decoder::decode).
    pub(super) fn decode(&mut self, input: &mut Bytes) -> Result<Option<Part>, BadBody> {
        while let Some(&byte) = input.first() {
            self.state = match self.state {
                State::Data { left } => {
                    let length = usize::try_from(left).unwrap_or(usize::MAX);
                    let data = input.split_to(length.min(input.len()));
                    self.state = match left - data.len() as u64 {
                        0 => State::DataCr,
                        left => State::Data { left },
                    };
                    // Often the chunk's end is there too, and the last chunk with it.
                    self.skip_end(input);
                    return Ok(Some(Part::Data(data)));
                }
                State::Trailers => {
                    if self.take_trailers(input)? {
                        self.state = State::Done;
                        return self.parse_trailers();
                    }
                    continue;
                }
                State::Done => break,
                State::Size { size, digits } => size_byte(size, digits, byte)?,
                State::Space { size } => match byte {
                    b' ' | b'\t' => self.extended(State::Space { size })?,
                    b';' => State::Extension { size },
                    b'\r' => State::SizeEnd { size },
                    _ => return Err(BadBody::ChunkSize),
                },
                State::Extension { size } => match byte {
                    b'\r' => State::SizeEnd { size },
                    b'\t' | b' '..=b'~' | 0x80.. => self.extended(State::Extension { size })?,
                    _ => return Err(BadBody::ChunkExtension),
                },
                State::SizeEnd { size } => match (byte, size) {
                    (b'\n', 0) => State::Trailers,
                    (b'\n', left) => State::Data { left },
                    _ => return Err(BadBody::ChunkSize),
                },
                State::DataCr if byte == b'\r' => State::DataLf,
                State::DataLf if byte == b'\n' => START,
                State::DataCr | State::DataLf => return Err(BadBody::ChunkEnd),
            };
            input.advance(1);
        }
        Ok(None)
    }

    /// Goes past the body's last bytes where they are just these, so that
    /// whoever has the last data knows that it is the last.
    fn skip_end(&mut self, input: &mut Bytes) {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        if self.state == State::DataCr && input.starts_with(END) {
            input.advance(END.len());
            self.state = State::Done;
        }
    }

    fn extended(&mut self, state: State) -> Result<State, BadBody> {
        self.extensions += 1;
        if self.extensions > MAX_CHUNK_EXTENSIONS {
            return Err(BadBody::ChunkExtension);
        }
        Ok(state)
    }

    /// Whether the trailer section is whole.
    fn take_trailers(&mut self, input: &mut Bytes) -> Result<bool, BadBody> {
        while let Some(&byte) = input.first() {
            input.advance(1);
            if byte == b'\n' && self.trailers.last() != Some(&b'\r') {
                // As everywhere in this coding, a line ends in CRLF.
                return Err(BadBody::Trailers);
            }
            self.trailers.push(byte);
            if self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n") {
                return Ok(true);
            }
            if self.trailers.len() > MAX_TRAILERS {
                return Err(BadBody::Trailers);
            }
        }
        Ok(false)
    }

    fn parse_trailers(&mut self) -> Result<Option<Part>, BadBody> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
        let parsed = httparse::parse_headers(&self.trailers, &mut fields);
        let Ok(httparse::Status::Complete((_, fields))) = parsed else {
            return Err(BadBody::Trailers);
        };
        let mut trailers = HeaderMap::with_capacity(fields.len());
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(BadBody::Trailers);
            };
            if may_trail(&name) {
                trailers.append(name, value);
            }
        }
        Ok((!trailers.is_empty()).then_some(Part::Trailers(trailers)))
    }
}

fn size_byte(size: u64, digits: u8, byte: u8) -> Result<State, BadBody> {
    if let Some(digit) = char::from(byte).to_digit(16) {
        if digits == MOST_DIGITS {
            return Err(BadBody::ChunkSize);
        }
        return Ok(State::Size {
            size: size << 4 | u64::from(digit),
            digits: digits + 1,
        });
    }
    match byte {
        _ if digits == 0 => Err(BadBody::ChunkSize),
        b' ' | b'\t' => Ok(State::Space { size }),
        b';' => Ok(State::Extension { size }),
        b'\r' => Ok(State::SizeEnd { size }),
        _ => Err(BadBody::ChunkSize),
    }
}

/// Whether a field may stand in a trailer section: none that frames, routes,
/// authenticates or says how to process (RFC 9110, section 6.5.1).
pub(super) fn may_trail(name: &HeaderName) -> bool {
    !matches!(
        *name,
        header::AUTHORIZATION
            | header::CACHE_CONTROL
            | header::CONNECTION
            | header::CONTENT_ENCODING
            | header::CONTENT_LENGTH
            | header::CONTENT_RANGE
            | header::CONTENT_TYPE
            | header::HOST
            | header::MAX_FORWARDS
            | header::SET_COOKIE
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    ) && !matches!(name.as_str(), "keep-alive" | "proxy-connection")
}
