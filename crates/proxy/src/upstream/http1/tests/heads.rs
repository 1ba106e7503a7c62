//! Heads, and what they say about the body.

use super::*;
use crate::limits::{MAX_RESPONSE_FIELDS, MAX_RESPONSE_HEAD};

#[test]
fn a_head_is_read_with_all_its_bytes() {
    let read = read_all_ways(
        b"HTTP/1.1 299 Just So\r\nServer: x\r\nX-Many: 1\r\nx-many:  2 \t\r\nX-Empty:\r\n\
          X-Bytes: \xe9\t\xff\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nokHTTP/1.1",
        false,
    )
    .unwrap();
    let head = &read.head;
    assert_eq!(head.status.as_u16(), 299);
    assert_eq!(head.reason.as_deref(), Some(&b"Just So"[..]));
    let many: Vec<_> = head.headers.get_all("x-many").iter().collect();
    assert_eq!(many, ["1", "2"]);
    assert_eq!(head.headers["x-empty"], "");
    assert_eq!(head.headers["x-bytes"].as_bytes(), b"\xe9\t\xff");
    assert!(!head.headers.contains_key("connection"));
    assert!(head.lasts);
    assert_eq!((&*read.body, &*read.rest), (&b"ok"[..], &b"HTTP/1.1"[..]));
}

#[test]
fn only_words_of_the_servers_own_are_kept() {
    for (line, reason) in [
        ("HTTP/1.1 200 OK", None),
        ("HTTP/1.1 404 Not Found", None),
        ("HTTP/1.1 200 Fine", Some("Fine")),
        ("HTTP/1.1 200 ", Some("")),
        ("HTTP/1.1 200", Some("")),
    ] {
        let bytes = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        let read = read_all_ways(bytes.as_bytes(), false).unwrap();
        let got = read.head.reason.map(|reason| reason.to_vec());
        assert_eq!(got.as_deref(), reason.map(str::as_bytes), "{line}");
    }
}

/// RFC 9112, sections 6.3 and 9.3: status line, fields, whether to HEAD; the
/// length of the body out of `0123456789`, and whether the connection lasts.
#[test]
fn the_body_ends_where_the_rfc_says() {
    const ALL: usize = 10;
    for (line, fields, to_head, length, lasts) in [
        ("HTTP/1.1 200", "Content-Length: 4", false, 4, true),
        ("HTTP/1.1 200", "Content-Length: 0", false, 0, true),
        ("HTTP/1.1 200", "Content-Length: 007", false, 7, true),
        ("HTTP/1.1 200", "X: y", false, ALL, false),
        ("HTTP/1.1 200", "Connection: keep-alive", false, ALL, false),
        ("HTTP/1.1 200", "Content-Length: 4", true, 0, true),
        ("HTTP/1.1 200", "Transfer-Encoding: chunked", true, 0, true),
        ("HTTP/1.1 200", "X: y", true, 0, true),
        ("HTTP/1.1 304", "Content-Length: 4", false, 0, true),
        ("HTTP/1.1 304", "Transfer-Encoding: chunked", false, 0, true),
        ("HTTP/1.1 204", "X: y", false, 0, true),
        ("HTTP/1.1 204", "Content-Length: 0", false, 0, true),
        // It announces what must not come, and may come all the same.
        ("HTTP/1.1 204", "Content-Length: 4", false, 0, false),
        (
            "HTTP/1.1 204",
            "Transfer-Encoding: chunked",
            false,
            0,
            false,
        ),
        (
            "HTTP/1.1 200",
            "Connection: close\r\nContent-Length: 4",
            false,
            4,
            false,
        ),
        (
            "HTTP/1.1 200",
            "Connection: x, CLOSE\r\nContent-Length: 4",
            false,
            4,
            false,
        ),
        ("HTTP/1.0 200", "Content-Length: 4", false, 4, false),
        (
            "HTTP/1.0 200",
            "Connection: Keep-Alive\r\nContent-Length: 4",
            false,
            4,
            true,
        ),
        (
            "HTTP/1.0 200",
            "Connection: keep-alive, close\r\nContent-Length: 4",
            false,
            4,
            false,
        ),
        ("HTTP/1.0 200", "X: y", false, ALL, false),
    ] {
        let bytes = format!("{line} OK\r\n{fields}\r\n\r\n0123456789");
        let read = read_all_ways(bytes.as_bytes(), to_head).unwrap();
        assert_eq!(
            (read.body.len(), read.head.lasts),
            (length, lasts),
            "{line} {fields} {to_head}"
        );
        assert_eq!(read.rest.len(), ALL - length, "{line} {fields}");
    }
}

#[test]
fn a_length_that_could_be_read_in_two_ways_is_not_read() {
    use BadResponse::{Coding, Length, LengthAndCoding};
    for (fields, fault) in [
        ("Content-Length: 4\r\nContent-Length: 5", Length),
        ("Content-Length: 4\r\nContent-Length: 4", Length),
        ("Content-Length: 4, 4", Length),
        ("Content-Length: 4,", Length),
        ("Content-Length:", Length),
        ("Content-Length: +4", Length),
        ("Content-Length: -1", Length),
        ("Content-Length: 0x4", Length),
        ("Content-Length: 4 4", Length),
        ("Content-Length: 4;", Length),
        ("Content-Length: \u{664}", Length),
        ("Content-Length: 18446744073709551616", Length),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            LengthAndCoding,
        ),
        (
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            LengthAndCoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            Coding,
        ),
        ("Transfer-Encoding: chunked, chunked", Coding),
        ("Transfer-Encoding: gzip, chunked", Coding),
        ("Transfer-Encoding: gzip", Coding),
        ("Transfer-Encoding: identity", Coding),
        ("Transfer-Encoding: chunked;x", Coding),
        ("Transfer-Encoding: \"chunked\"", Coding),
        ("Transfer-Encoding: \u{b}chunked", Coding),
        ("Transfer-Encoding:", Coding),
    ] {
        for to_head in [false, true] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n0\r\n\r\n");
            let fault_found = read_all_ways(bytes.as_bytes(), to_head).unwrap_err();
            if fields.contains('\u{b}') {
                assert!(matches!(fault_found, Fault::Head(_)), "{fields}");
            } else {
                assert_eq!(fault_found, Fault::Head(fault), "{fields}");
            }
        }
    }
    // RFC 9112, section 6.1: HTTP/1.0 has no transfer codings.
    let old = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(read_all_ways(old, false).unwrap_err(), Fault::Head(Coding));
}

#[test]
fn what_is_no_head_is_refused() {
    for bytes in [
        &b"hello\r\n\r\n"[..],
        b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"\nHTTP/1.1 200 OK\r\n\r\n",
        b" HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSpace : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n First: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x0bb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\xe9: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let fault = read_all_ways(bytes, false).unwrap_err();
        assert!(
            matches!(fault, Fault::Head(_)),
            "{}: {fault:?}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn a_head_has_a_length_and_fields_it_must_not_go_beyond() {
    let with = |fields: String| format!("HTTP/1.1 204 No Content\r\n{fields}\r\n").into_bytes();
    let fields = |count: usize| "X: y\r\n".repeat(count);
    assert!(read([&*with(fields(MAX_RESPONSE_FIELDS))], false).is_ok());
    let fault = read([&*with(fields(MAX_RESPONSE_FIELDS + 1))], false).unwrap_err();
    let too_many = BadResponse::Malformed(httparse::Error::TooManyHeaders);
    assert_eq!(fault, Fault::Head(too_many));

    let frame = with("X: \r\n".into()).len();
    let long = |length: usize| with(format!("X: {}\r\n", "y".repeat(length - frame)));
    assert_eq!(long(MAX_RESPONSE_HEAD).len(), MAX_RESPONSE_HEAD);
    assert!(read([&*long(MAX_RESPONSE_HEAD)], false).is_ok());
    let fault = read([&*long(MAX_RESPONSE_HEAD + 1)], false).unwrap_err();
    let limit = MAX_RESPONSE_HEAD;
    assert_eq!(fault, Fault::Head(BadResponse::TooLong { limit }));
    let endless = vec![b'y'; MAX_RESPONSE_HEAD];
    let endless = [b"HTTP/1.1 200 OK\r\nX: ", &*endless].concat();
    let fault = read([&*endless], false).unwrap_err();
    assert_eq!(fault, Fault::Head(BadResponse::TooLong { limit }));
}

#[test]
fn a_head_that_breaks_off_is_none() {
    let whole = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\n";
    for length in 0..whole.len() {
        let fault = read_all_ways(&whole[..length], false).unwrap_err();
        assert_eq!(fault, Fault::HeadTruncated, "{length}");
    }
    assert!(read_all_ways(whole, false).is_ok());
}
