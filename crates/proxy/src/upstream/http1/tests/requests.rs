//! Requests as they are written.

use http::{HeaderValue, Method, header};

use super::super::request::{RequestFraming, begin, chunk_head, end_head, field, trailer_section};
use super::*;

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_head_is_written_line_by_line() {
    for (framing, line) in [
        (RequestFraming::None, ""),
        (RequestFraming::Length(0), "content-length: 0\r\n"),
        (
            RequestFraming::Length(1_234_567_890),
            "content-length: 1234567890\r\n",
        ),
        (
            RequestFraming::Length(u64::MAX),
            "content-length: 18446744073709551615\r\n",
        ),
        (RequestFraming::Chunked, "transfer-encoding: chunked\r\n"),
    ] {
        let head = text(|out| {
            begin(out, &Method::PATCH, "/a?b=%20");
            field(out, &header::HOST, b"a.test");
            field(out, &header::ACCEPT, b"");
            end_head(out, framing);
        });
        let expected = format!("PATCH /a?b=%20 HTTP/1.1\r\nhost: a.test\r\naccept: \r\n{line}\r\n");
        assert_eq!(head, expected);
    }
}

#[test]
fn chunks_have_their_length_in_hexadecimal() {
    for length in [1, 9, 10, 15, 16, 255, 4096, 0xdead_beef, usize::MAX] {
        assert_eq!(
            text(|out| chunk_head(out, length)),
            format!("{length:x}\r\n")
        );
    }
}

#[test]
fn trailers_are_written_but_for_those_that_must_not_stand_there() {
    assert_eq!(text(|out| trailer_section(out, None)), "0\r\n\r\n");
    let mut trailers = HeaderMap::new();
    for name in [
        "x-sum",
        "content-length",
        "host",
        "transfer-encoding",
        "x-sum",
    ] {
        trailers.append(name, HeaderValue::from_static("1"));
    }
    let written = text(|out| trailer_section(out, Some(&trailers)));
    assert_eq!(written, "0\r\nx-sum: 1\r\nx-sum: 1\r\n\r\n");
}
