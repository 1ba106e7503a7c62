//! A response is read by these files and, where that is independent enough to
//! tell something, by the HTTP library; whole, cut in pieces, and mutated.

mod against_hyper;
mod bodies;
mod heads;
mod requests;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::error::{BadBody, BadResponse};
use super::{Part, ResponseHead, is_whole_head, parse};

/// A response as it was read.
#[derive(Debug)]
struct Read {
    head: ResponseHead,
    body: Vec<u8>,
    trailers: HeaderMap,
    /// What came after it.
    rest: Bytes,
}

/// Whose fault it is that there is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Head(BadResponse),
    /// The stream ended within the head.
    HeadTruncated,
    Body(BadBody),
}

/// Reads a response that comes in `pieces`, and then the end of the stream.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, to_head: bool) -> Result<Read, Fault> {
    let mut pieces = pieces.into_iter();
    let mut input = Bytes::new();
    let mut seen = 0;
    let mut head = loop {
        let Some(piece) = pieces.next() else {
            return Err(Fault::HeadTruncated);
        };
        input = joined(&input, piece);
        let maybe = seen == 0 || is_whole_head(&input, seen);
        if maybe && let Some(head) = parse(&mut input, to_head).map_err(Fault::Head)? {
            break head;
        }
        seen = input.len();
    };
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    loop {
        match head.body.decode(&mut input).map_err(Fault::Body)? {
            Some(Part::Data(data)) => {
                assert!(!data.is_empty(), "a part without data");
                body.extend_from_slice(&data);
            }
            Some(Part::Trailers(fields)) => trailers = fields,
            None if head.body.is_done() => break,
            None => {
                assert!(input.is_empty(), "bytes are left that could be decoded");
                match pieces.next() {
                    Some(piece) => input = Bytes::copy_from_slice(piece),
                    None => {
                        head.body.finish().map_err(Fault::Body)?;
                        break;
                    }
                }
            }
        }
    }
    for piece in pieces {
        input = joined(&input, piece);
    }
    Ok(Read {
        head,
        body,
        trailers,
        rest: input,
    })
}

fn joined(first: &[u8], second: &[u8]) -> Bytes {
    let mut whole = BytesMut::from(first);
    whole.extend_from_slice(second);
    whole.freeze()
}

/// Reads `bytes` whole and in pieces of each length, which must all come to
/// the same.
fn read_all_ways(bytes: &[u8], to_head: bool) -> Result<Read, Fault> {
    let whole = read([bytes], to_head);
    for size in 1..bytes.len().min(24) {
        let cut = read(bytes.chunks(size), to_head);
        let context = format!("{} in pieces of {size}", bytes.escape_ascii());
        match (&whole, &cut) {
            (Ok(whole), Ok(cut)) => {
                assert_eq!(whole.head.status, cut.head.status, "{context}");
                assert_eq!(whole.head.headers, cut.head.headers, "{context}");
                assert_eq!(whole.head.lasts, cut.head.lasts, "{context}");
                assert_eq!(whole.body, cut.body, "{context}");
                assert_eq!(whole.trailers, cut.trailers, "{context}");
                assert_eq!(whole.rest, cut.rest, "{context}");
            }
            (Err(whole), Err(cut)) => {
                // A head that is cut may be given up before its first fault is seen.
                let both_heads = matches!((whole, cut), (Fault::Head(_), Fault::HeadTruncated));
                assert!(whole == cut || both_heads, "{context}: {whole:?}, {cut:?}");
            }
            (whole, cut) => panic!("{context}: {whole:?}, {cut:?}"),
        }
    }
    whole
}
