//! A link and a node that does as the test says, in simulated time.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::Duration;

use http_body::Frame;
use outrigger_engine::body::BodyStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

use super::*;
use crate::limits::{COPY_PART, SEND_BUFFER};

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const TIMEOUT: Timeout = Timeout {
    connect: Duration::from_secs(1),
    send: Duration::from_secs(10),
    read: Duration::from_secs(100),
};

/// A link and its node's side, with room for so many bytes on their way.
fn pair(room: usize) -> (Link<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(room);
    (Link::new(near, "192.0.2.1:80".parse().unwrap()), far)
}

fn begin(link: &mut Link<DuplexStream>, body: Body, framing: RequestFraming) {
    link.head().extend_from_slice(HEAD);
    let now = Instant::now().into_std();
    link.begin(body, framing, Expected::default(), TIMEOUT, now);
}

async fn head(link: &mut Link<DuplexStream>) -> Result<u16, Lost> {
    let head = poll_fn(|cx| link.poll_head(cx)).await?;
    Ok(head.status.as_u16())
}

async fn body(link: &mut Link<DuplexStream>) -> Result<Vec<u8>, BodyError> {
    let mut whole = Vec::new();
    while let Some(part) = poll_fn(|cx| link.poll_part(cx)).await {
        match part? {
            Part::Data(data) => whole.extend_from_slice(&data),
            Part::Trailers(_) => {}
        }
    }
    Ok(whole)
}

async fn ask(link: &mut Link<DuplexStream>) -> Result<Vec<u8>, Lost> {
    begin(link, Body::Empty, RequestFraming::None);
    head(link).await?;
    body(link).await.map_err(Lost::Body)
}

/// Reads a request without a body and answers it so.
async fn answer(far: &mut DuplexStream, bytes: &[u8]) {
    let mut request = vec![0; HEAD.len()];
    far.read_exact(&mut request).await.unwrap();
    assert_eq!(request, HEAD);
    far.write_all(bytes).await.unwrap();
}

/// A client's body: parts come when they are sent.
struct Upload(mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let part = self.0.poll_recv(cx);
        part.map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}

fn upload() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let stream: BodyStream = Box::pin(Upload(receiver));
    (sender, Body::Stream(stream))
}

#[tokio::test(start_paused = true)]
async fn one_request_after_the_other() {
    let (mut link, mut far) = pair(1 << 16);
    for _ in 0..3 {
        let (asked, ()) = tokio::join!(ask(&mut link), answer(&mut far, OK));
        assert_eq!(asked.unwrap(), b"ok");
        assert!(link.is_reusable() && link.is_quiet());
    }
    assert_eq!(link.served, 3);
}

#[tokio::test(start_paused = true)]
async fn a_link_is_used_again_only_when_both_messages_are_whole_and_nothing_follows() {
    for (response, reusable) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..], true),
        (b"HTTP/1.1 204 No Content\r\n\r\n", true),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            true,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP", false),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
            false,
        ),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
        (
            b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
            false,
        ),
    ] {
        let (mut link, mut far) = pair(1 << 16);
        let (asked, ()) = tokio::join!(ask(&mut link), answer(&mut far, response));
        asked.unwrap();
        assert_eq!(link.is_reusable(), reusable, "{}", response.escape_ascii());
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_idle_node_does_is_seen_before_anything_is_sent() {
    for closes in [true, false] {
        let (mut link, mut far) = pair(1 << 16);
        let (asked, ()) = tokio::join!(ask(&mut link), answer(&mut far, OK));
        asked.unwrap();
        if closes {
            far.shutdown().await.unwrap();
        } else {
            far.write_all(OK).await.unwrap();
        }
        assert!(matches!(ask(&mut link).await, Err(Lost::Stale)), "{closes}");
        assert!(link.is_unsent());
        drop(link);
        let mut seen = Vec::new();
        far.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, b"", "{closes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_may_answer_while_the_request_is_on_its_way() {
    let (mut link, mut far) = pair(1 << 16);
    let (client, stream) = upload();
    begin(&mut link, stream, RequestFraming::Chunked);
    client.send(Bytes::from_static(b"first")).unwrap();
    let early = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (status, ()) = tokio::join!(head(&mut link), answer(&mut far, early));
    assert_eq!(status.unwrap(), 200);
    // Each part of the request comes back before the next is sent.
    let echo = async {
        let mut chunk = [0; b"5\r\nfirst\r\n".len()];
        for next in ["again", "later"] {
            far.read_exact(&mut chunk).await.unwrap();
            far.write_all(&chunk).await.unwrap();
            client.send(Bytes::from_static(next.as_bytes())).unwrap();
        }
        far.read_exact(&mut chunk).await.unwrap();
        far.write_all(&chunk).await.unwrap();
        drop(client);
        let mut end = [0; b"0\r\n\r\n".len()];
        far.read_exact(&mut end).await.unwrap();
        far.write_all(&end).await.unwrap();
    };
    let (echoed, ()) = tokio::join!(body(&mut link), echo);
    assert_eq!(echoed.unwrap(), b"firstagainlater");
    assert!(link.is_reusable());
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_half_a_request_is_read_and_the_link_given_up() {
    let (mut link, mut far) = pair(1 << 10);
    let part = Bytes::from(vec![b'x'; 1 << 20]);
    let length = RequestFraming::Length(part.len() as u64);
    begin(&mut link, Body::Full(part), length);
    let refuse = async {
        answer(&mut far, OK).await;
        drop(far);
    };
    let (status, ()) = tokio::join!(head(&mut link), refuse);
    assert_eq!(status.unwrap(), 200);
    assert_eq!(body(&mut link).await.unwrap(), b"ok");
    assert!(!link.is_reusable());
}

#[tokio::test(start_paused = true)]
async fn a_head_and_a_small_body_are_one_write() {
    let (mut link, mut far) = pair(1 << 16);
    let (client, stream) = upload();
    client.send(Bytes::from_static(b"one")).unwrap();
    client.send(Bytes::from_static(b"two")).unwrap();
    drop(client);
    begin(&mut link, stream, RequestFraming::Chunked);
    let seen = async {
        let mut seen = vec![0; 1 << 10];
        let length = far.read(&mut seen).await.unwrap();
        far.write_all(OK).await.unwrap();
        seen[..length].to_vec()
    };
    let (status, seen) = tokio::join!(head(&mut link), seen);
    status.unwrap();
    let expected = [HEAD, b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"].concat();
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn parts_of_every_size_arrive_whole_and_in_order() {
    let sizes = [
        1,
        100,
        COPY_PART,
        COPY_PART + 1,
        SEND_BUFFER,
        100_000,
        3,
        70_000,
    ];
    let parts: VecDeque<_> = sizes
        .iter()
        .map(|size| vec![b'a' + (size % 23) as u8; *size])
        .collect();
    let whole: Vec<u8> = parts.iter().flatten().copied().collect();
    for room in [7, 1 << 10, 1 << 20] {
        for framing in [
            RequestFraming::Chunked,
            RequestFraming::Length(whole.len() as u64),
        ] {
            let (mut link, mut far) = pair(room);
            let (client, stream) = upload();
            for part in &parts {
                client.send(Bytes::from(part.clone())).unwrap();
            }
            drop(client);
            begin(&mut link, stream, framing);
            let read = async {
                let mut seen = Vec::new();
                let end: &[u8] = match framing {
                    RequestFraming::Chunked => b"0\r\n\r\n",
                    _ => &whole[whole.len() - 10..],
                };
                let least = HEAD.len() + whole.len();
                while seen.len() < least || !seen.ends_with(end) {
                    assert!(far.read_buf(&mut seen).await.unwrap() > 0, "it ends early");
                }
                far.write_all(OK).await.unwrap();
                seen
            };
            let (status, seen) = tokio::join!(head(&mut link), read);
            status.unwrap();
            let sent = seen.strip_prefix(HEAD).expect("the head first");
            let data = match framing {
                RequestFraming::Chunked => {
                    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                    unchunked(&[head, sent].concat())
                }
                _ => sent.to_vec(),
            };
            assert!(data == whole, "{room} {framing:?}");
        }
    }
}

fn unchunked(response: &[u8]) -> Vec<u8> {
    let mut input = Bytes::copy_from_slice(response);
    let mut head = http1::parse(&mut input, false).unwrap().unwrap();
    let mut whole = Vec::new();
    while let Some(part) = head.body.decode(&mut input).unwrap() {
        if let Part::Data(data) = part {
            whole.extend_from_slice(&data);
        }
    }
    assert!(head.body.is_done() && input.is_empty());
    whole
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_as_long_as_it_was_said_to_be_is_not_sent_as_if() {
    for length in [4, 6] {
        let (mut link, _far) = pair(1 << 16);
        let (client, stream) = upload();
        client.send(Bytes::from_static(b"five.")).unwrap();
        drop(client);
        begin(&mut link, stream, RequestFraming::Length(length));
        let lost = head(&mut link).await.unwrap_err();
        assert!(matches!(lost, Lost::Client(BodyError::Broken(_))), "{lost}");
    }
}

/// How long it took, in seconds, until the node was given up.
async fn given_up(link: &mut Link<DuplexStream>) -> u64 {
    let begun = Instant::now();
    let lost = head(link).await.unwrap_err();
    assert!(matches!(lost, Lost::Timeout), "{lost}");
    begun.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_silent_or_does_not_read_has_each_its_limit() {
    let (mut link, _far) = pair(1 << 16);
    begin(&mut link, Body::Empty, RequestFraming::None);
    assert_eq!(given_up(&mut link).await, TIMEOUT.read.as_secs());
    let (mut link, _far) = pair(1 << 10);
    let part = Bytes::from(vec![b'x'; 1 << 20]);
    begin(&mut link, Body::Full(part), RequestFraming::Length(1 << 20));
    assert_eq!(given_up(&mut link).await, TIMEOUT.send.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_not_taken_for_a_slow_node() {
    let (mut link, mut far) = pair(1 << 16);
    let (client, stream) = upload();
    begin(&mut link, stream, RequestFraming::Length(2));
    let slow = async {
        for part in [&b"a"[..], b"b"] {
            tokio::time::sleep(10 * TIMEOUT.read).await;
            client.send(Bytes::from_static(part)).unwrap();
        }
        tokio::time::sleep(TIMEOUT.read / 2).await;
        far.write_all(OK).await.unwrap();
    };
    let (status, ()) = tokio::join!(head(&mut link), slow);
    assert_eq!(status.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn each_part_of_a_response_has_the_whole_time() {
    let (mut link, mut far) = pair(1 << 16);
    begin(&mut link, Body::Empty, RequestFraming::None);
    let slow = async {
        for part in OK.chunks(7) {
            tokio::time::sleep(TIMEOUT.read - Duration::from_secs(1)).await;
            far.write_all(part).await.unwrap();
        }
    };
    let read = async {
        head(&mut link).await.unwrap();
        body(&mut link).await
    };
    assert_eq!(tokio::join!(read, slow).0.unwrap(), b"ok");
    // But no more than that.
    let (mut link, mut far) = pair(1 << 16);
    begin(&mut link, Body::Empty, RequestFraming::None);
    far.write_all(&OK[..OK.len() - 1]).await.unwrap();
    head(&mut link).await.unwrap();
    let begun = Instant::now();
    assert!(matches!(body(&mut link).await, Err(BodyError::Timeout)));
    assert_eq!(begun.elapsed(), TIMEOUT.read);
}

#[tokio::test(start_paused = true)]
async fn how_a_response_was_lost_is_told() {
    for (said, lost) in [
        (&b""[..], "closed the connection without an answer"),
        (
            b"HTTP/1.1 200 OK\r\n",
            "closed the connection within its answer",
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n",
            "closed the connection within its answer",
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "switches protocols unasked",
        ),
        (b"rubbish\r\n\r\n", "malformed"),
    ] {
        let (mut link, mut far) = pair(1 << 16);
        begin(&mut link, Body::Empty, RequestFraming::None);
        far.write_all(said).await.unwrap();
        far.shutdown().await.unwrap();
        let told = head(&mut link).await.unwrap_err().to_string();
        assert!(told.contains(lost), "{}: {told}", said.escape_ascii());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_leaves_http_for_a_websocket_alone() {
    let ask = |said: &'static [u8]| async move {
        let (mut link, mut far) = pair(1 << 16);
        link.head().extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        let expected = Expected {
            switches: true,
            ..Expected::default()
        };
        let now = std::time::Instant::now();
        link.begin(Body::Empty, RequestFraming::None, expected, TIMEOUT, now);
        far.write_all(said).await.unwrap();
        let answer = head(&mut link).await;
        let (_, early) = link.into_stream();
        (answer.map_err(|lost| lost.to_string()), early)
    };
    let (answer, early) =
        ask(b"HTTP/1.1 101 Y\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\nfirst").await;
    assert_eq!((answer, &*early), (Ok(101), &b"first"[..]));
    for other in [
        &b"HTTP/1.1 101 Y\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"[..],
        b"HTTP/1.1 101 Y\r\n\r\n",
    ] {
        assert!(ask(other).await.0.is_err(), "{}", other.escape_ascii());
    }
    let (declined, _) = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(declined, Ok(200));
}

#[tokio::test(start_paused = true)]
async fn interim_responses_are_gone_past_but_not_for_ever() {
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    for (count, served) in [
        (MAX_INTERIM_RESPONSES, true),
        (MAX_INTERIM_RESPONSES + 1, false),
    ] {
        let (mut link, mut far) = pair(1 << 16);
        begin(&mut link, Body::Empty, RequestFraming::None);
        far.write_all(&interim.repeat(count)).await.unwrap();
        far.write_all(OK).await.unwrap();
        assert_eq!(head(&mut link).await.is_ok(), served, "{count}");
    }
}
