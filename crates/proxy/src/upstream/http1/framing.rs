//! How a response's body is framed, and whether its connection lasts: RFC 9112,
//! sections 6.3 and 9.3.

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::chunked::Chunked;
use super::decoder::Decoder;
use super::error::BadResponse;

/// What the fields of a head say about framing.
#[derive(Default)]
pub(super) struct Framing {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

/// What becomes of a field.
#[derive(PartialEq, Eq)]
pub(super) enum Fate {
    /// It is one of the message's.
    Kept,
    /// It was for the connection alone.
    Consumed,
}

impl Framing {
    /// Takes note of one field.
    pub(super) fn read(
        &mut self,
        name: &HeaderName,
        value: &HeaderValue,
    ) -> Result<Fate, BadResponse> {
        match *name {
            header::CONTENT_LENGTH => {
                let length = parse_length(value.as_bytes()).ok_or(BadResponse::Length)?;
                if self.length.replace(length).is_some() {
                    return Err(BadResponse::Length);
                }
                Ok(Fate::Kept)
            }
            header::TRANSFER_ENCODING => {
                if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(BadResponse::Coding);
                }
                self.chunked = true;
                Ok(Fate::Consumed)
            }
            header::CONNECTION => Ok(self.read_connection(value.as_bytes())),
            _ => Ok(Fate::Kept),
        }
    }

    fn read_connection(&mut self, value: &[u8]) -> Fate {
        let mut fate = Fate::Consumed;
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if !option.is_empty() {
                // It names a field that must not go on, whoever takes that out.
                fate = Fate::Kept;
            }
        }
        fate
    }

    /// The body that follows, and whether the connection can be used again
    /// after it. `version` is the minor one; `to_head`: the request was HEAD.
    pub(super) fn body(
        &self,
        status: StatusCode,
        version: u8,
        to_head: bool,
    ) -> Result<(Decoder, bool), BadResponse> {
        if self.chunked && self.length.is_some() {
            return Err(BadResponse::LengthAndCoding);
        }
        // RFC 9112, section 6.1: its framing is faulty.
        if self.chunked && version == 0 {
            return Err(BadResponse::Coding);
        }
        let lasts = !self.close && (version > 0 || self.keep_alive);
        if status.is_informational() || status == StatusCode::NO_CONTENT {
            // A body that is announced all the same would be read as the next head.
            let announced = self.chunked || self.length.is_some_and(|length| length > 0);
            return Ok((Decoder::Done, lasts && !announced));
        }
        if to_head || status == StatusCode::NOT_MODIFIED {
            return Ok((Decoder::Done, lasts));
        }
        Ok(match self.length {
            _ if self.chunked => (Decoder::Chunked(Chunked::new()), lasts),
            Some(0) => (Decoder::Done, lasts),
            Some(length) => (Decoder::Length(length), lasts),
            None => (Decoder::UntilClose, false),
        })
    }
}

/// Digits and nothing else.
fn parse_length(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |length, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        length.checked_mul(10)?.checked_add(digit.into())
    })
}
