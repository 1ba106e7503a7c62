//! What is accepted here is accepted by the HTTP library's client too, and
//! means the same there. It need not be so the other way round: the library
//! makes sense of more.

use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

type Whole = (StatusCode, HeaderMap, Vec<u8>, HeaderMap);

/// The library's reading of `bytes`, which end the stream.
fn by_hyper(bytes: &[u8], to_head: bool) -> Option<Whole> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
        let bytes = bytes.to_vec();
        let serve = async move {
            let mut request = [0; 64];
            let asked = far.read(&mut request).await.unwrap();
            assert!(asked > 0, "there was no request");
            // Whoever has understood enough may hang up.
            let _ = far.write_all(&bytes).await;
        };
        let request = Request::builder().method(if to_head { "HEAD" } else { "GET" });
        let request = request.uri("/").body(Empty::<Bytes>::new()).unwrap();
        let ask = async move {
            let response = sender.send_request(request).await.ok()?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.ok()?;
            let trailers = body.trailers().cloned().unwrap_or_default();
            Some((
                head.status,
                head.headers,
                body.to_bytes().to_vec(),
                trailers,
            ))
        };
        tokio::join!(serve, ask, async { connection.await.ok() }).1
    })
}

/// Without the fields that only the receiver needs, or that are left out on purpose.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::CONNECTION);
    headers
}

fn compare(bytes: &[u8], to_head: bool) -> bool {
    let Ok(read) = read_all_ways(bytes, to_head) else {
        return false;
    };
    if read.head.status.is_informational() {
        // The next head is the one that counts; not this file's concern.
        return false;
    }
    let context = bytes.escape_ascii();
    let (status, headers, body, trailers) =
        by_hyper(bytes, to_head).unwrap_or_else(|| panic!("accepted only here: {context}"));
    assert_eq!(read.head.status, status, "{context}");
    assert_eq!(
        end_to_end(read.head.headers),
        end_to_end(headers),
        "{context}"
    );
    assert_eq!(read.body, body, "{context}");
    if read.trailers != trailers {
        assert!(trailers.len() >= read.trailers.len(), "{context}");
    }
    true
}

const SAMPLES: [&[u8]; 7] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n",
    b"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nall there is",
    b"HTTP/1.1 204 No Content\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: \"x\"\r\n\r\n",
];

#[test]
fn samples_mean_the_same() {
    for sample in SAMPLES {
        assert!(compare(sample, false), "{}", sample.escape_ascii());
    }
    assert!(compare(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        true
    ));
}

#[derive(Debug, Clone)]
enum Mutation {
    Put(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Cut(usize),
    Again(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let byte = prop::sample::select(b"\r\n \t:;,0123456789abcdefxX\0\x7f\xe9-+".to_vec());
    prop_oneof![
        (any::<usize>(), byte.clone()).prop_map(|(at, byte)| Mutation::Put(at, byte)),
        (any::<usize>(), byte).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        any::<usize>().prop_map(Mutation::Remove),
        any::<usize>().prop_map(Mutation::Cut),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Mutation::Again(a, b)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let at = |at: usize| at % bytes.len().max(1);
    match *mutation {
        _ if bytes.is_empty() => {}
        Mutation::Put(place, byte) => {
            let place = at(place);
            bytes[place] = byte;
        }
        Mutation::Insert(place, byte) => bytes.insert(at(place), byte),
        Mutation::Remove(place) => {
            bytes.remove(at(place));
        }
        Mutation::Cut(place) => bytes.truncate(at(place)),
        Mutation::Again(a, b) => {
            let (from, to) = (at(a).min(at(b)), at(a).max(at(b)));
            let again = bytes[from..to].to_vec();
            bytes.splice(to..to, again);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_accepted_means_the_same(
        sample in prop::sample::select(SAMPLES.to_vec()),
        mutations in prop::collection::vec(mutation(), 1..4),
        to_head: bool,
    ) {
        let mut bytes = sample.to_vec();
        for mutation in &mutations {
            mutate(&mut bytes, mutation);
        }
        compare(&bytes, to_head);
    }
}
