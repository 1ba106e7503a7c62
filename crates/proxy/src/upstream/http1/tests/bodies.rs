//! Chunked bodies, and bodies that break off.

use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_CHUNK_EXTENSIONS, MAX_TRAILER_FIELDS, MAX_TRAILERS};

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunked(body: &[u8]) -> Result<Read, Fault> {
    read_all_ways(&[CHUNKED, body].concat(), false)
}

#[test]
fn chunks_are_put_together() {
    for (sent, body) in [
        ("0\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"),
        ("003\r\nabc\r\n000\r\n\r\n", "abc"),
        (
            "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
            "01234567890123456789",
        ),
        ("3;a=b;c=\"d\"\r\nabc\r\n0;last\r\n\r\n", "abc"),
        ("3 \t\r\nabc\r\n0 ;x\r\n\r\n", "abc"),
        ("3;\r\nabc\r\n0\r\n\r\n", "abc"),
        ("5\r\n\r\n0\r\n\r\n0\r\n\r\n", "\r\n0\r\n"),
    ] {
        let read = chunked(sent.as_bytes()).unwrap();
        assert_eq!(read.body, body.as_bytes(), "{sent:?}");
        assert!(read.head.lasts && read.rest.is_empty(), "{sent:?}");
    }
}

#[test]
fn what_comes_after_the_last_chunk_is_left() {
    let read = chunked(b"3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK").unwrap();
    assert_eq!(read.rest, "HTTP/1.1 200 OK");
    let read = chunked(b"3\r\nabc\r\n0\r\nX: y\r\n\r\nmore").unwrap();
    assert_eq!(read.rest, "more");
}

#[test]
fn chunks_that_mean_nothing_are_refused() {
    use BadBody::{ChunkEnd, ChunkExtension, ChunkSize, Trailers, Truncated};
    for (sent, fault) in [
        ("xyz\r\n", ChunkSize),
        ("\r\n3\r\nabc\r\n0\r\n\r\n", ChunkSize),
        (" 3\r\nabc\r\n0\r\n\r\n", ChunkSize),
        ("-3\r\nabc\r\n0\r\n\r\n", ChunkSize),
        ("+3\r\nabc\r\n0\r\n\r\n", ChunkSize),
        ("0x3\r\nabc\r\n0\r\n\r\n", ChunkSize),
        ("3 3\r\nabc\r\n0\r\n\r\n", ChunkSize),
        ("3\nabc\r\n0\r\n\r\n", ChunkSize),
        ("3\r\rabc\r\n0\r\n\r\n", ChunkSize),
        (";x\r\n", ChunkSize),
        ("3_\r\nabc", ChunkSize),
        ("10000000000000000\r\nabc", ChunkSize),
        ("ffffffffffffffff\r\nabc", ChunkSize),
        ("0000000000000003\r\nabc\r\n0\r\n\r\n", ChunkSize),
        ("3;a\nabc\r\n0\r\n\r\n", ChunkExtension),
        ("3;a\0\r\nabc\r\n0\r\n\r\n", ChunkExtension),
        ("3;a\x7f\r\nabc\r\n0\r\n\r\n", ChunkExtension),
        ("3;a\rb\r\nabc\r\n0\r\n\r\n", ChunkSize),
        ("3\r\nabcd\r\n0\r\n\r\n", ChunkEnd),
        ("3\r\nabc\n0\r\n\r\n", ChunkEnd),
        ("3\r\nabc\r0\r\n\r\n", ChunkEnd),
        ("3\r\nabc0\r\n\r\n", ChunkEnd),
        ("0\r\nno colon\r\n\r\n", Trailers),
        ("0\r\nX: a\r\n folded\r\n\r\n", Trailers),
        ("0\r\nX : a\r\n\r\n", Trailers),
        ("0\r\nX: a\n\nY: b\r\n\r\n", Trailers),
        ("0\r\nX:\nY: b\r\n\r\n", Trailers),
        ("0\r\nX: \0\r\n\r\n", Trailers),
        ("", Truncated),
        ("3", Truncated),
        ("3\r\n", Truncated),
        ("3\r\nab", Truncated),
        ("3\r\nabc", Truncated),
        ("3\r\nabc\r\n", Truncated),
        ("3\r\nabc\r\n0", Truncated),
        ("3\r\nabc\r\n0\r\n", Truncated),
        ("3\r\nabc\r\n0\r\n\r", Truncated),
        ("3\r\nabc\r\n0\r\nX: y\r\n", Truncated),
    ] {
        let found = chunked(sent.as_bytes()).unwrap_err();
        assert_eq!(found, Fault::Body(fault), "{sent:?}");
    }
}

#[test]
fn trailers_are_read_but_for_those_that_must_not_stand_there() {
    let read = chunked(
        b"3\r\nabc\r\n0\r\nX-Sum: 6\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\
          Host: h\r\nSet-Cookie: c\r\nConnection: close\r\nx-sum:7\r\n\r\n",
    )
    .unwrap();
    assert_eq!(read.body, b"abc");
    let sums: Vec<_> = read.trailers.get_all("x-sum").iter().collect();
    assert_eq!(sums, ["6", "7"]);
    assert_eq!(read.trailers.len(), 2);
    let read = chunked(b"0\r\nHost: h\r\n\r\n").unwrap();
    assert!(read.trailers.is_empty());
}

#[test]
fn what_means_nothing_does_not_go_on_for_ever() {
    let fault = |body: Vec<u8>| read([&*[CHUNKED, &*body].concat()], false).unwrap_err();
    let extension = |length: usize| [b"1;", &*vec![b'x'; length]].concat();
    let too_long = Fault::Body(BadBody::ChunkExtension);
    assert_eq!(fault(extension(MAX_CHUNK_EXTENSIONS + 1)), too_long);
    let many = [b"1".to_vec(), vec![b' '; 8], b"\r\na\r\n".to_vec()].concat();
    assert_eq!(fault(many.repeat(MAX_CHUNK_EXTENSIONS / 7 + 1)), too_long);
    let trailers = Fault::Body(BadBody::Trailers);
    let endless = [b"0\r\nX: ", &*vec![b'x'; MAX_TRAILERS]].concat();
    assert_eq!(fault(endless), trailers);
    let lines = b"X: y\r\n".repeat(MAX_TRAILER_FIELDS + 1);
    assert_eq!(fault([b"0\r\n", &*lines, b"\r\n"].concat()), trailers);
}

#[test]
fn a_body_with_a_length_may_not_break_off() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    for body in ["", "a", "ab"] {
        let fault = read_all_ways(&[head, body.as_bytes()].concat(), false).unwrap_err();
        assert_eq!(fault, Fault::Body(BadBody::Truncated), "{body}");
    }
    let read = read_all_ways(&[&head[..], b"abcd"].concat(), false).unwrap();
    assert_eq!((&*read.body, &*read.rest), (&b"abc"[..], &b"d"[..]));
}

proptest! {
    #[test]
    fn any_chunks_come_out_as_they_went_in(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
        size in 1usize..50,
    ) {
        let mut sent = CHUNKED.to_vec();
        for chunk in &chunks {
            sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            sent.extend_from_slice(chunk);
            sent.extend_from_slice(b"\r\n");
        }
        sent.extend_from_slice(b"0\r\n\r\n");
        let read = read(sent.chunks(size), false).unwrap();
        prop_assert_eq!(read.body, chunks.concat());
        prop_assert!(read.rest.is_empty());
    }

    #[test]
    fn no_bytes_are_taken_for_two_things(
        body in prop::collection::vec(prop::sample::select(b"0123aF;= \t\r\nX:".to_vec()), 0..40),
    ) {
        let _ = chunked(&body);
    }
}
