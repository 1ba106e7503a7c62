//! What clients must not send: answered with an error, and never seen by the
//! upstream, not even in part.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use outrigger_harness::{Upstream, eventually};

use crate::support::{all_to, answer_to, error_msg, gateway, gateway_to};

#[test]
fn a_request_that_is_none_is_refused_before_anyone_sees_it() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    for bad in [
        // Request lines.
        &b"hello\r\n\r\n"[..],
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"G@T{} / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        // Paths without meaning.
        b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /../a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /%2e%2e/a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        // Hosts.
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]80\r\n\r\n",
        b"GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        // Header lines.
        b"GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Space : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
        // Lengths.
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\nbody",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -4\r\n\r\nbody",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nbody",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\nbody",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nbody",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nbody",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\nbody",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
        // Codings.
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let (response, _connection) = answer_to(&gateway, bad);
        assert_eq!(response.status, 400, "{}: {response:?}", bad.escape_ascii());
    }
    assert_eq!((upstream.hits(), upstream.accepted()), (0, 0));
}

#[test]
fn a_coding_that_is_not_known_is_not_implemented() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    for codings in ["gzip, chunked", "chunked, chunked", "identity, chunked"] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {codings}\r\n\r\n0\r\n\r\n");
        let (response, _connection) = answer_to(&gateway, request);
        assert_eq!(response.status, 501, "{codings}: {response:?}");
    }
    assert_eq!(upstream.hits(), 0);
}

/// RFC 9112, section 6.3: refused, as nginx does, so that nobody downstream reads
/// on at another place; on the heels of another request perhaps read by the coding
/// alone. The connection is closed in either case.
#[test]
fn a_length_beside_a_coding_smuggles_nothing_in() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let (length, coding) = ("Content-Length: 45", "Transfer-Encoding: chunked");
    for fields in [[length, coding], [coding, length]] {
        let fields = fields.join("\r\n");
        let request = format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let answer = gateway.client().raw(request.as_bytes());
        let answer = String::from_utf8(answer).expect("text");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let first = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let answer = gateway
            .client()
            .raw((first.to_owned() + &request).as_bytes());
        let answer = String::from_utf8(answer).expect("text");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{answer}");
        // One that waits for its answer is refused like the first.
        let mut connection = gateway.client().connection();
        for method in ["GET", "POST"] {
            assert_eq!(connection.request(method, "/").body("x").send().status, 200);
        }
        connection.write(request.as_bytes());
        assert_eq!(connection.read_response("POST").status, 400);
        assert_eq!(connection.read_to_end(), b"");
    }
    for seen in upstream.requests() {
        assert_ne!(seen.uri, "/smuggled");
        if seen.uri == "/echo" {
            let (length, body) = (seen.header("content-length"), &*seen.body);
            assert_eq!((length, body), (None, &b""[..]));
        }
    }
}

#[test]
fn methods_that_are_not_for_a_gateway_are_refused() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    for request in [
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let (response, _connection) = answer_to(&gateway, request);
        assert_eq!(response.status, 405, "{request}: {response:?}");
    }
    assert_eq!(upstream.hits(), 0);
}

#[test]
fn the_gateways_own_refusals_say_why() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let message = |request: &str| error_msg(&answer_to(&gateway, request).0);
    assert_eq!(
        message("GET / HTTP/1.1\r\n\r\n"),
        "400 Bad Request: there is no Host field"
    );
    assert_eq!(
        message("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        "400 Bad Request: there are several Host fields"
    );
    assert_eq!(
        message("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
        "400 Bad Request: the path has an encoded NUL byte"
    );
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let fits = "x".repeat(7 << 10);
    let (response, _) = answer_to(&gateway, format!("GET /{fits} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(response.status, 200);
    let (response, _) = answer_to(
        &gateway,
        format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {fits}\r\n\r\n"),
    );
    assert_eq!(response.status, 200);
    let hits = upstream.hits();
    for length in [40 << 10, 70 << 10, 1 << 20] {
        let long = "x".repeat(length);
        let (response, _) = answer_to(&gateway, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(
            [414, 431].contains(&response.status),
            "{length}: {response:?}"
        );
        let (response, _) = answer_to(
            &gateway,
            format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {long}\r\n\r\n"),
        );
        assert_eq!(response.status, 431, "{length}: {response:?}");
        let many = "X-A: b\r\n".repeat(length / 8);
        let (response, _) = answer_to(&gateway, format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"));
        assert_eq!(response.status, 431, "{length} in many: {response:?}");
    }
    assert_eq!(upstream.hits(), hits);
}

#[test]
fn how_long_a_line_and_a_head_may_be_is_configured() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .config("nginx_config: {http: {large_client_header_buffers: 3 4k}}")
        .routes(all_to(&upstream))
        .start();
    let status = |path: usize, fields: &[usize]| {
        let fields = fields
            .iter()
            .map(|length| format!("X-A: {}\r\n", "x".repeat(*length)));
        let (path, fields) = ("x".repeat(path), fields.collect::<String>());
        let request = format!("GET /{path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        answer_to(&gateway, request).0.status
    };
    assert_eq!(status(4000, &[4000, 4000]), 200);
    assert_eq!(status(4000, &[4000, 4000, 4000]), 431, "all of it");
    assert_eq!(status(4090, &[1]), 414, "its first line");
    assert_eq!(status(1, &[1, 4095]), 431, "one of its fields");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_broken_chunk_breaks_the_request() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    for chunks in [
        "x\r\nbody\r\n0\r\n\r\n",
        "-4\r\nbody\r\n0\r\n\r\n",
        "4\r\nbodyX\r\n0\r\n\r\n",
        "4\r\nbody\n0\r\n\r\n",
        "10000000000000004\r\nbody\r\n0\r\n\r\n",
        "4 4\r\nbody\r\n0\r\n\r\n",
        "\r\nbody\r\n0\r\n\r\n",
        "4\r\nbody\r\n0\r\nbad trailer\r\n\r\n",
    ] {
        let request =
            format!("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let (response, mut connection) = answer_to(&gateway, request);
        assert_eq!(response.status, 400, "{chunks:?}: {response:?}");
        assert_eq!(connection.read_to_end(), b"", "{chunks:?}");
        eventually("the upstream's connection is closed", || {
            upstream.open_connections() == 0
        });
    }
    assert_eq!(upstream.hits(), 0, "it has not seen a whole request");
    assert_eq!(gateway.get("/hello").send().status, 200);
}

#[test]
fn a_head_that_comes_too_slowly_is_not_waited_for() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .config("nginx_config: {http: {client_header_timeout: 300ms}}")
        .routes(all_to(&upstream))
        .start();
    let mut connection = gateway.client().connection();
    connection.write(b"GET / HTTP/1.1\r\nHost: a\r\n");
    let answer = String::from_utf8(connection.read_to_end()).expect("text");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
        "{answer}"
    );
    // Dripping does not help.
    let mut drip = TcpStream::connect(gateway.addresses()[0]).unwrap();
    drip.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
    let written = (0..200).take_while(|_| {
        thread::sleep(Duration::from_millis(20));
        drip.write_all(b"X-A: b\r\n").is_ok()
    });
    assert!(written.count() < 200, "it waits on and on");
    assert_eq!(upstream.accepted(), 0);
}

#[test]
fn a_body_that_stops_is_not_waited_for() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .config("nginx_config: {http: {client_body_timeout: 300ms}}")
        .routes(all_to(&upstream))
        .start();
    for rest in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let (response, mut connection) =
            answer_to(&gateway, format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}"));
        assert_eq!(response.status, 408, "{response:?}");
        assert_eq!(connection.read_to_end(), b"");
        eventually("the upstream's connection is closed", || {
            upstream.open_connections() == 0
        });
    }
    assert_eq!(upstream.hits(), 0, "it has not seen a whole request");
}

#[test]
fn a_body_that_is_cut_off_is_not_sent_on_as_whole() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    for rest in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let mut connection = gateway.client().connection();
        connection.write(format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}").as_bytes());
        connection.finish();
        connection.read_to_end();
        eventually("the upstream's connection is closed", || {
            upstream.open_connections() == 0
        });
    }
    assert_eq!(upstream.hits(), 0);
    assert_eq!(gateway.get("/hello").send().status, 200);
}
