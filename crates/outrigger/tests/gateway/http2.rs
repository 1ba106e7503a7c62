//! Clients of HTTP/2, which make requests at the same time on one connection.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_harness::{Gateway, Signal, Upstream, eventually, limits, together};
use serde_json::json;

use crate::access_log::wait_lines_of;
use crate::runners::demo_runner;
use crate::support::{
    Latch, STREAMING, all_to, external, gateway, gateway_to, nodes, peak_memory, plugin, route,
    routes, with,
};
use crate::tls_client::{Answer, Session, run};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One request on a connection of its own.
fn answer(gateway: &Gateway, request: Request<Full<Bytes>>) -> Answer {
    run(async {
        let mut session = Session::plain_http2(gateway.addresses()[0]).await;
        session.send(request).await.unwrap()
    })
}

/// A GET request.
fn get(path: &str) -> http::request::Builder {
    Request::get(format!("http://a.test{path}"))
}

fn empty(request: http::request::Builder) -> Request<Full<Bytes>> {
    request.body(Full::default()).unwrap()
}

#[test]
fn requests_of_one_connection_are_served_at_the_same_time() {
    const COUNT: usize = 20;
    // Nobody is answered before all have asked.
    let all = Arc::new(Barrier::new(COUNT));
    let upstream = Upstream::raw(move |connection| {
        while let Some(request) = connection.read_request() {
            all.wait();
            let length = request.body.len();
            connection
                .write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
            connection.write(&request.body);
        }
    });
    let gateway = gateway_to(&upstream);
    run(async {
        let session = Session::plain_http2(gateway.addresses()[0]).await;
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..COUNT {
            let mut sender = session.http2();
            waiting.spawn(async move {
                // More than any window.
                let body = vec![u8::try_from(number).unwrap(); 300_000];
                let request = Request::post("http://a.test/echo");
                let answer = sender
                    .send(request.body(body.clone().into()).unwrap())
                    .await;
                answer.unwrap().body == body
            });
        }
        while let Some(same) = waiting.join_next().await {
            assert!(same.unwrap());
        }
    });
    assert_eq!(upstream.requests().len(), COUNT);
}

#[test]
fn a_listener_tells_both_protocols_apart_unless_it_speaks_one() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    assert_eq!(
        answer(&gateway, empty(get("/hello"))).text(),
        "hello world\n"
    );
    // However it is cut.
    for size in [1, 3, 7] {
        let mut connection = gateway.client().connection();
        for part in
            b"PUT /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nok".chunks(size)
        {
            connection.write(part);
        }
        assert_eq!(connection.read_response("PUT").text(), "ok");
        let mut connection = gateway.client().connection();
        for part in PREFACE.chunks(size) {
            connection.write(part);
        }
        connection.write(&frame(SETTINGS, 0, 0, &[]));
        assert_eq!(connection.read_exactly(9)[3], SETTINGS);
    }
    let off = self::gateway()
        .config(json!({"apisix": {"enable_http2": false}}))
        .routes(all_to(&upstream))
        .start();
    let refused = off.client().raw(PREFACE);
    let is_http1 = refused.is_empty() || refused.starts_with(b"HTTP/1.1 4");
    assert!(is_http1, "{}", refused.escape_ascii());
}

#[test]
fn a_request_is_the_same_to_upstreams_and_variables() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .config(json!({"nginx_config": {"http": {
            "access_log": "access.log",
            "access_log_format": "$server_protocol $host $request_method $uri $status \
                                  $body_bytes_sent $sent_http_content_length $request_length",
        }}}))
        .routes(all_to(&upstream))
        .start();
    let request = Request::post("http://a.test:81/echo?x=1")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .header("resp-x-answer", "1");
    let echoed = answer(
        &gateway,
        request.body(Bytes::from_static(b"body").into()).unwrap(),
    );
    assert_eq!((echoed.status.as_u16(), echoed.text()), (200, "body"));
    assert_eq!(echoed.headers["x-answer"], "1");
    assert!(!echoed.headers.contains_key(header::CONNECTION));
    let seen = upstream.last();
    assert_eq!(seen.header("host"), Some("a.test:81"));
    assert_eq!(seen.header("cookie"), Some("a=1; b=2"));
    assert_eq!(seen.header("content-length"), Some("4"));
    assert_eq!(seen.header("te"), None);
    let lines = wait_lines_of(&gateway, "access.log", 1);
    let line = "HTTP/2.0 a.test POST /echo 200 4 4 ";
    assert!(lines[0].starts_with(line), "{lines:?}");
}

#[test]
fn what_has_no_body_gets_none() {
    let upstream = Upstream::raw(|connection| {
        while let Some(request) = connection.read_request() {
            connection.write(match &*request.uri {
                "/204" => b"HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n",
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            });
        }
    });
    let gateway = gateway_to(&upstream);
    for (method, path, status, length) in [
        ("GET", "/204", 204, None),
        ("GET", "/304", 304, None),
        ("HEAD", "/", 200, Some("9")),
        // One that the gateway makes itself.
        ("HEAD", "/%00", 400, Some("")),
    ] {
        let request = Request::builder().method(method);
        let answer = answer(&gateway, empty(request.uri(format!("http://a.test{path}"))));
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (status, 0),
            "{path}"
        );
        let found = answer.headers.get("content-length");
        let found = found.map(|found| found.to_str().unwrap());
        match length {
            Some("") => assert!(found.is_some_and(|found| found != "0"), "{found:?}"),
            length => assert_eq!(found, length, "{method} {path}"),
        }
    }
}

#[test]
fn trailers_of_a_response_pass() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
              4\r\nbody\r\n0\r\nX-Sum: 7\r\n\r\n",
        );
    });
    let gateway = gateway_to(&upstream);
    let answer = answer(&gateway, empty(get("/")));
    assert_eq!(answer.text(), "body");
    let trailers: HeaderMap = answer.trailers.unwrap();
    assert_eq!(trailers["x-sum"], "7");
}

#[test]
fn a_runner_is_called_as_with_http1() {
    let upstream = Upstream::echo();
    let call = external([plugin("say", json!({"body": "said"}))]);
    let said = with(
        route("/said", nodes(&[&upstream])),
        json!({"plugins": {"ext-plugin-pre-req": call}}),
    );
    let gateway = demo_runner()
        .routes(routes([said, route("/*", nodes(&[&upstream]))]))
        .start();
    assert_eq!(answer(&gateway, empty(get("/said"))).text(), "said");
    assert_eq!(upstream.hits(), 0);
}

#[test]
fn heads_are_checked() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .config("nginx_config: {http: {large_client_header_buffers: 2 2k}}")
        .routes(all_to(&upstream))
        .start();
    let status = |request| answer(&gateway, empty(request)).status.as_u16();
    assert_eq!(status(get("/hello")), 200);
    assert_eq!(status(get("/hello").header("host", "A.test")), 200);
    assert_eq!(status(get("/hello").header("host", "b.test")), 400);
    assert_eq!(status(get("/hello").header("x", "x".repeat(3000))), 431);
    assert_eq!(status(get("/hello").header("x", "x".repeat(9000))), 431);
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn requests_in_flight_end_when_the_gateway_stops() {
    let release = Arc::new(Latch::default());
    let upstream = Upstream::raw({
        let release = Arc::clone(&release);
        move |connection| {
            connection.read_request();
            release.wait();
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
        }
    });
    let gateway = gateway_to(&upstream);
    let answer = std::thread::scope(|scope| {
        let late = scope.spawn(|| answer(&gateway, empty(get("/"))));
        upstream.wait_hits(1);
        gateway.signal(Signal::TERM);
        let address = gateway.addresses()[0];
        eventually("new connections are refused", || {
            TcpStream::connect(address).is_err()
        });
        release.open();
        late.join().unwrap()
    });
    assert_eq!(answer.text(), "late");
    assert_eq!(gateway.wait_exit().status.code(), Some(0));
}

#[test]
fn an_idle_connection_is_closed() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .config("nginx_config: {http: {keepalive_timeout: 1s, client_header_timeout: 1s}}")
        .routes(all_to(&upstream))
        .start();
    let closed = |say: &[u8]| {
        let mut stream = TcpStream::connect(gateway.addresses()[0]).unwrap();
        stream.set_read_timeout(Some(limits::WAIT)).unwrap();
        stream.write_all(say).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    };
    // Neither one without a request nor one that does not act on being told.
    let answer = closed(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    assert!(kinds(&answer).contains(&GOAWAY), "{answer:?}");
    assert_eq!(closed(&PREFACE[..10]), b"");
    let asked = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &request(1)].concat();
    let answer = kinds(&closed(&asked));
    assert!(
        answer.contains(&HEADERS) && answer.contains(&GOAWAY),
        "{answer:?}"
    );
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// `GET http://a/`, whole, in fields of the static table.
fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, 0x05, stream, b"\x82\x84\x86\x41\x01a")
}

/// The kinds of the frames that came.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        kinds.push(head[3]);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let length = usize::try_from(length).unwrap().min(rest.len());
        bytes = &rest[length..];
    }
    kinds
}

#[test]
fn what_breaks_the_protocol_ends_its_connection_alone() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let begun = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for broken in [
        frame(SETTINGS, 0, 0, b"x"),
        frame(HEADERS, 0x05, 0, b"\x82"),
        frame(HEADERS, 0x05, 2, b"\x82\x84\x86\x41\x01a"),
        frame(HEADERS, 0x05, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
        frame(CONTINUATION, 0, 1, b"\x82"),
        frame(PING, 0, 0, b"short"),
        frame(0, 0, 0, &vec![0; 20_000]),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
    ] {
        let mut stream = TcpStream::connect(gateway.addresses()[0]).unwrap();
        stream.set_read_timeout(Some(limits::WAIT)).unwrap();
        stream.write_all(&[&*begun, &broken].concat()).unwrap();
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let told = kinds(&answer).contains(&GOAWAY);
        assert!(told || ended.is_err(), "{}", broken.escape_ascii());
    }
    // A head without end: no more of it is kept than a head may have.
    let mut stream = TcpStream::connect(gateway.addresses()[0]).unwrap();
    stream.set_read_timeout(Some(limits::WAIT)).unwrap();
    let part = frame(CONTINUATION, 0, 1, &[0; 16_000]);
    let endless = [&*begun, &frame(HEADERS, 0x01, 1, b"\x82")].concat();
    let before = peak_memory(gateway.process());
    stream.write_all(&endless).unwrap();
    for _ in 0..4000 {
        stream.write_all(&part).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(kinds(&answer).contains(&GOAWAY), "{answer:?}");
    let grown = peak_memory(gateway.process()).saturating_sub(before);
    assert!(grown < STREAMING, "{grown} bytes more");
    drop(stream);
    assert_eq!(upstream.hits(), 0);
    assert_eq!(self::answer(&gateway, empty(get("/hello"))).status, 200);
}

#[test]
fn requests_that_are_only_made_to_be_taken_back_end_the_connection() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request();
        connection.wait_closed();
    });
    let gateway = gateway_to(&upstream);
    let open = || {
        let mut stream = TcpStream::connect(gateway.addresses()[0]).unwrap();
        stream.set_read_timeout(Some(limits::WAIT)).unwrap();
        let begun = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        stream.write_all(&begun).unwrap();
        stream
    };
    let take_back = |stream| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    // At once.
    let mut stream = open();
    let flood: Vec<u8> = (0..2000)
        .flat_map(|number| [request(2 * number + 1), take_back(2 * number + 1)].concat())
        .collect();
    let _ = stream.write_all(&flood);
    let _ = stream.read_to_end(&mut Vec::new());
    let at_once = upstream.hits();
    assert!(at_once < 200, "{at_once} of them came through");
    // And each when the upstream has been asked.
    let mut stream = open();
    let mut asked = 0;
    for number in 0..300 {
        let before = upstream.hits();
        if stream.write_all(&request(2 * number + 1)).is_err() {
            break;
        }
        let closed = AtomicUsize::new(0);
        eventually("the upstream is asked, or the connection closed", || {
            stream.set_nonblocking(true).unwrap();
            let ended = matches!((&stream).read(&mut [0; 4096]), Ok(0));
            stream.set_nonblocking(false).unwrap();
            closed.fetch_add(usize::from(ended), Ordering::Relaxed);
            ended || upstream.hits() > before
        });
        if closed.into_inner() > 0 || stream.write_all(&take_back(2 * number + 1)).is_err() {
            break;
        }
        asked += 1;
    }
    assert!((100..300).contains(&asked), "{asked}");
}

#[test]
fn a_client_that_leaves_a_response_where_it_is_loses_it() {
    let upstream = Upstream::raw(|connection| {
        while connection.read_request().is_some() {
            let body = vec![b'x'; 1 << 20];
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            // It is not taken.
            let _ = connection.try_write(&[head.as_bytes(), &body].concat());
        }
    });
    let gateway = gateway()
        .config("nginx_config: {http: {send_timeout: 1s}}")
        .routes(all_to(&upstream))
        .start();
    run(async {
        let stream = tokio::net::TcpStream::connect(gateway.addresses()[0]).await;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(1000);
        let handshake = builder.handshake(TokioIo::new(stream.unwrap()));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(empty(get("/"))).await.unwrap();
        eventually_async(|| upstream.open_connections() == 0).await;
        assert!(response.into_body().collect().await.is_err());
        // The connection itself is as good as before.
        let head = Request::head("http://a.test/");
        let again = sender.send_request(empty(head)).await.unwrap();
        assert_eq!(again.status(), 200);
    });
}

/// As [`eventually`], while a client's tasks go on.
async fn eventually_async(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[test]
fn who_takes_a_request_back_is_logged_as_gone() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request();
        connection.wait_closed();
    });
    let gateway = gateway()
        .config(json!({"nginx_config": {"http": {
            "access_log": "access.log", "access_log_format": "$status $request_completion"}}}))
        .routes(all_to(&upstream))
        .start();
    run(async {
        let mut session = Session::plain_http2(gateway.addresses()[0]).await;
        let request = session.send(empty(get("/")));
        let asked = eventually_async(|| upstream.hits() == 1);
        tokio::select! {
            answer = request => panic!("{answer:?}"),
            () = asked => {}
        }
    });
    let lines = wait_lines_of(&gateway, "access.log", 1);
    assert!(lines[0].starts_with("499"), "{lines:?}");
    eventually("the upstream is left", || upstream.open_connections() == 0);
}

#[test]
fn many_clients_at_once_are_served() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    together(8, |_| {
        run(async {
            let mut session = Session::plain_http2(gateway.addresses()[0]).await;
            for _ in 0..50 {
                let answer = session.get("a.test", "/hello").await.unwrap();
                assert_eq!(answer.text(), "hello world\n");
            }
        });
    });
    assert_eq!(upstream.hits(), 400);
    assert_eq!(upstream.take_violations(), [""; 0]);
}
