//! Reading a response's head.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::decoder::Decoder;
use super::error::BadResponse;
use super::framing::{Fate, Framing};
use crate::limits::{MAX_RESPONSE_FIELDS, MAX_RESPONSE_HEAD};

/// The head of a response.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    /// The server's own words for the status, where they differ from the usual.
    pub(crate) reason: Option<Bytes>,
    /// Its fields, without those that concern nobody but the receiver:
    /// `Transfer-Encoding`, and `Connection` where it names no field.
    pub(crate) headers: HeaderMap,
    /// Its body, still to come.
    pub(crate) body: Decoder,
    /// Whether the connection can be used again after the body.
    pub(crate) lasts: bool,
}

/// Takes a head from the front of `input`; `None` while it is not whole.
/// `to_head`: the request was HEAD. The fields' values share the memory of `input`.
pub(crate) fn parse(input: &mut Bytes, to_head: bool) -> Result<Option<ResponseHead>, BadResponse> {
    // The parser goes past empty lines, which a server must not send.
    if matches!(input.first(), Some(b'\r' | b'\n')) {
        return Err(httparse::Error::Version.into());
    }
    let mut fields = [const { MaybeUninit::uninit() }; MAX_RESPONSE_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        input,
        &mut fields,
    )?;
    let too_long = BadResponse::TooLong {
        limit: MAX_RESPONSE_HEAD,
    };
    let httparse::Status::Complete(length) = parsed else {
        return if input.len() > MAX_RESPONSE_HEAD {
            Err(too_long)
        } else {
            Ok(None)
        };
    };
    if length > MAX_RESPONSE_HEAD {
        return Err(too_long);
    }
    let status = response.code.map(StatusCode::from_u16);
    let Some(Ok(status)) = status else {
        return Err(BadResponse::Status);
    };
    let reason = response
        .reason
        .filter(|reason| status.canonical_reason() != Some(reason))
        .map(|reason| input.slice_ref(reason.as_bytes()));
    let mut framing = Framing::default();
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for field in response.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(input.slice_ref(field.value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(BadResponse::Field);
        };
        if framing.read(&name, &value)? == Fate::Kept {
            headers.append(name, value);
        }
    }
    let version = response.version.unwrap_or_default();
    let (body, lasts) = framing.body(status, version, to_head)?;
    input.advance(length);
    Ok(Some(ResponseHead {
        status,
        reason,
        headers,
        body,
        lasts,
    }))
}

/// Whether a head may be whole of which the first `seen` bytes were not: spares
/// the parser a head that comes byte by byte.
pub(crate) fn is_whole_head(input: &[u8], seen: usize) -> bool {
    let fresh = &input[seen.saturating_sub(3)..];
    memchr::memchr_iter(b'\n', fresh)
        .any(|at| fresh[at + 1..].starts_with(b"\n") || fresh[at + 1..].starts_with(b"\r\n"))
}
