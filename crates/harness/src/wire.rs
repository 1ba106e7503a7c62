//! HTTP/1.1 on the wire, read strictly: what RFC 9112 lets a recipient tolerate
//! is an error here, since it would be the gateway's mistake.
//!
//! Deliberately absent: anything that follows from a message's meaning, such as
//! redirects, decompression or retries.

use std::fmt;
use std::io::{self, BufRead, Read};

use crate::headers::Headers;
use crate::limits;

/// Why a message could not be read.
#[derive(Debug)]
pub enum WireError {
    /// The connection failed.
    Io(io::Error),
    /// The connection ended inside a message.
    Truncated(&'static str),
    /// The peer does not speak HTTP/1.1 as the standard has it.
    Malformed(String),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::Truncated(place) => write!(f, "the connection ended {place}"),
            Self::Malformed(what) => write!(f, "malformed message: {what}"),
        }
    }
}

impl std::error::Error for WireError {}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A start line and the header lines after it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) headers: Headers,
}

/// How the length of a message's body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// Reads a head; `None` if the connection ends before its first byte.
pub(crate) fn read_head(stream: &mut impl BufRead) -> Result<Option<Head>, WireError> {
    let Some(start) = read_line(stream)? else {
        return Ok(None);
    };
    let start = String::from_utf8(start).map_err(|error| {
        WireError::Malformed(format!("start line {}", error.as_bytes().escape_ascii()))
    })?;
    let headers = read_headers(stream)?;
    Ok(Some(Head { start, headers }))
}

fn read_headers(stream: &mut impl BufRead) -> Result<Headers, WireError> {
    let mut headers = Headers::default();
    loop {
        let line = read_line(stream)?.ok_or(WireError::Truncated("inside a head"))?;
        if line.is_empty() {
            return Ok(headers);
        }
        if headers.len() == limits::HEAD_LINES {
            return Err(WireError::Malformed("a head without end".to_owned()));
        }
        let (name, value) = split_header(&line)
            .ok_or_else(|| WireError::Malformed(format!("header line {}", line.escape_ascii())))?;
        headers.push(name, value);
    }
}

fn split_header(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
        return None;
    }
    let allowed = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if !value.iter().all(allowed) {
        return None;
    }
    Some((std::str::from_utf8(name).ok()?, value))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Reads a line that ends in CR LF and returns it without them.
fn read_line(stream: &mut impl BufRead) -> Result<Option<Vec<u8>>, WireError> {
    let mut line = Vec::new();
    stream
        .by_ref()
        .take(limits::HEAD_LINE as u64)
        .read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if !line.ends_with(b"\n") {
        return Err(if line.len() == limits::HEAD_LINE {
            WireError::Malformed("a line without end".to_owned())
        } else {
            WireError::Truncated("inside a line")
        });
    }
    line.pop();
    if line.pop() != Some(b'\r') || line.contains(&b'\r') || line.contains(&0) {
        return Err(WireError::Malformed(format!(
            "line with a bare CR, LF or a NUL: {}",
            line.escape_ascii()
        )));
    }
    Ok(Some(line))
}

/// How a request's body is framed; a request has none unless it says so.
pub(crate) fn request_framing(headers: &Headers) -> Result<Framing, WireError> {
    Ok(declared_framing(headers)?.unwrap_or(Framing::Length(0)))
}

/// How the body of an answer with `status` to a request with `method` is framed.
pub(crate) fn response_framing(
    method: &str,
    status: u16,
    headers: &Headers,
) -> Result<Framing, WireError> {
    let declared = declared_framing(headers)?;
    if method == "HEAD" || status < 200 || status == 204 || status == 304 {
        return Ok(Framing::Length(0));
    }
    Ok(declared.unwrap_or(Framing::UntilClose))
}

fn declared_framing(headers: &Headers) -> Result<Option<Framing>, WireError> {
    let lengths = headers.all("content-length");
    let encodings = headers.all("transfer-encoding");
    match (lengths.as_slice(), encodings.as_slice()) {
        ([], []) => Ok(None),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Framing::Chunked)),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => length
            .parse()
            .map(|length| Some(Framing::Length(length)))
            .map_err(|_| WireError::Malformed(format!("content-length {length}"))),
        _ => Err(WireError::Malformed(format!(
            "content-length {lengths:?} with transfer-encoding {encodings:?}"
        ))),
    }
}

/// Reads a body and its trailer section.
pub(crate) fn read_body(
    stream: &mut impl BufRead,
    framing: Framing,
) -> Result<(Vec<u8>, Headers), WireError> {
    let mut body = Vec::new();
    match framing {
        Framing::Length(length) => read_exactly(stream, length, &mut body)?,
        Framing::UntilClose => {
            stream.by_ref().take(limits::BODY).read_to_end(&mut body)?;
        }
        Framing::Chunked => return read_chunks(stream),
    }
    Ok((body, Headers::default()))
}

fn read_chunks(stream: &mut impl BufRead) -> Result<(Vec<u8>, Headers), WireError> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?.ok_or(WireError::Truncated("between chunks"))?;
        let text = String::from_utf8_lossy(&line);
        let digits = text.split(';').next().unwrap_or_default().trim_end();
        let size = u64::from_str_radix(digits, 16)
            .map_err(|_| WireError::Malformed(format!("chunk size {digits:?}")))?;
        if size == 0 {
            return Ok((body, read_headers(stream)?));
        }
        read_exactly(stream, size, &mut body)?;
        if read_line(stream)?.as_deref() != Some(b"") {
            return Err(WireError::Malformed("chunk without its CR LF".to_owned()));
        }
    }
}

fn read_exactly(
    stream: &mut impl BufRead,
    length: u64,
    body: &mut Vec<u8>,
) -> Result<(), WireError> {
    if length.saturating_add(body.len() as u64) > limits::BODY {
        return Err(WireError::Malformed(format!("a body of {length} bytes")));
    }
    let read = stream.by_ref().take(length).read_to_end(body)?;
    if (read as u64) < length {
        return Err(WireError::Truncated("inside a body"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8]) -> Result<Option<Head>, WireError> {
        read_head(&mut &bytes[..])
    }

    #[test]
    fn a_head_keeps_order_case_and_bytes() {
        let head = head(b"GET / HTTP/1.1\r\nX-B: 1\r\nx-a:\t\xff \r\nX-B: 2\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(head.start, "GET / HTTP/1.1");
        assert_eq!(head.headers.names(), ["x-b", "x-a", "x-b"]);
        assert_eq!(head.headers.bytes("x-a"), Some(&b"\xff"[..]));
    }

    #[test]
    fn sloppy_heads_are_refused() {
        for bad in [
            &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.1\r\n: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\x01b\r\n\r\n",
        ] {
            let read = head(bad);
            assert!(
                matches!(read, Err(WireError::Malformed(_))),
                "{}: {read:?}",
                bad.escape_ascii()
            );
        }
    }

    #[test]
    fn the_end_before_a_head_is_no_error_and_inside_one_is() {
        assert!(head(b"").unwrap().is_none());
        assert!(matches!(head(b"GET /"), Err(WireError::Truncated(_))));
        let inside = head(b"GET / HTTP/1.1\r\nA: b\r\n");
        assert!(matches!(inside, Err(WireError::Truncated(_))));
    }

    fn headers(lines: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in lines {
            headers.push(name, value.as_bytes());
        }
        headers
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for bad in [
            headers(&[("content-length", "1"), ("transfer-encoding", "chunked")]),
            headers(&[("content-length", "1"), ("content-length", "1")]),
            headers(&[("content-length", "+1")]),
            headers(&[("content-length", "")]),
            headers(&[("transfer-encoding", "gzip, chunked")]),
        ] {
            assert!(request_framing(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn answers_without_a_body_have_none_whatever_they_declare() {
        let long = headers(&[("content-length", "10")]);
        for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 100)] {
            let framing = response_framing(method, status, &long).unwrap();
            assert_eq!(framing, Framing::Length(0), "{method} {status}");
        }
        let framing = response_framing("GET", 200, &headers(&[])).unwrap();
        assert_eq!(framing, Framing::UntilClose);
    }

    #[test]
    fn chunks_are_joined_and_trailers_kept() {
        let mut stream = &b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-T: 1\r\n\r\nrest"[..];
        let (body, trailers) = read_body(&mut stream, Framing::Chunked).unwrap();
        assert_eq!(body, b"abcde");
        assert_eq!(trailers.get("x-t"), Some("1"));
        assert_eq!(stream, b"rest");
    }

    #[test]
    fn broken_chunks_and_short_bodies_are_refused() {
        for bad in [&b"3\r\nabcd\r\n"[..], b"x\r\n", b"3\r\nab", b"3\r\nabc\r\n"] {
            let mut stream = bad;
            let read = read_body(&mut stream, Framing::Chunked);
            assert!(read.is_err(), "{}", bad.escape_ascii());
        }
        let read = read_body(&mut &b"ab"[..], Framing::Length(3));
        assert!(matches!(read, Err(WireError::Truncated(_))));
    }
}
