//! Responses on their way to the client.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use outrigger_harness::{Connection, Gateway, RawConnection, Upstream, eventually};

use crate::support::{Latch, STREAMING, all_to, gateway, gateway_to, peak_memory};

/// An upstream that answers every request with these bytes, and then closes
/// the connection if it is to.
fn answering(bytes: &'static [u8], close: bool) -> Upstream {
    Upstream::raw(move |connection| {
        while connection.read_request().is_some() {
            connection.write(bytes);
            if close {
                return;
            }
        }
    })
}

/// What the gateway answers an HTTP/1.0 client, to the end of the connection.
fn old_client(gateway: &Gateway, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.0\r\n\r\n");
    String::from_utf8(gateway.client().raw(request.as_bytes())).expect("text")
}

#[test]
fn a_response_arrives_whole_however_it_is_framed() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let with_length = gateway.get("/hello").send();
    assert_eq!(with_length.headers.all("content-length"), ["12"]);
    assert_eq!(with_length.header("transfer-encoding"), None);
    let chunked = gateway.get("/chunked").send();
    assert_eq!(chunked.text(), "hello world\n");
    assert_eq!(chunked.header("content-type"), None);
}

#[test]
fn statuses_and_their_bodies_pass() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    for status in [200, 201, 301, 400, 404, 418, 499, 500, 503, 599] {
        let response = connection.get(&format!("/status/{status}")).send();
        assert_eq!((response.status, response.text()), (status, "status\n"));
    }
    for status in [204, 304] {
        let response = connection.get(&format!("/status/{status}")).send();
        assert_eq!((response.status, response.text()), (status, ""));
        assert_eq!(response.header("content-length"), None, "{status}");
        assert_eq!(response.header("transfer-encoding"), None, "{status}");
    }
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn an_upstreams_words_for_its_status_pass() {
    let upstream = answering(b"HTTP/1.1 299 Just So\r\nContent-Length: 0\r\n\r\n", false);
    let response = gateway_to(&upstream).get("/").send();
    assert_eq!(
        (response.status, response.reason.as_str()),
        (299, "Just So")
    );
}

#[test]
fn a_failed_response_tells_that_it_is_the_upstreams() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let failed = gateway.get("/status/503").send();
    assert_eq!(failed.header("x-apisix-upstream-status"), Some("503"));
    let well = gateway.get("/status/404").send();
    assert_eq!(well.header("x-apisix-upstream-status"), None);
}

#[test]
fn an_answer_to_head_keeps_the_length_and_has_no_body() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    for _ in 0..2 {
        let response = connection.request("HEAD", "/hello").send();
        assert_eq!(response.header("content-length"), Some("12"));
    }
    let chunked = connection.request("HEAD", "/chunked").send();
    assert_eq!(chunked.header("content-length"), None);
    assert_eq!(connection.get("/hello").send().text(), "hello world\n");
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn a_304_may_tell_the_length_of_what_it_does_not_send() {
    let upstream = answering(
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: \"x\"\r\n\r\n",
        false,
    );
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    for _ in 0..2 {
        let response = connection.get("/").send();
        assert_eq!(
            (response.status, response.header("etag")),
            (304, Some("\"x\""))
        );
        assert!(response.headers.all("content-length").len() <= 1);
    }
}

#[test]
fn trailers_of_a_response_are_passed_on() {
    let upstream = answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
          3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n",
        false,
    );
    let response = gateway_to(&upstream)
        .get("/")
        .header("TE", "trailers")
        .send();
    assert_eq!(response.text(), "abc");
    assert_eq!(response.header("trailer"), Some("X-Sum"));
    assert_eq!(response.trailers.get("x-sum"), Some("6"));
}

#[test]
fn a_response_that_ends_with_its_connection_is_passed_on_whole() {
    let upstream = answering(b"HTTP/1.1 200 OK\r\n\r\nall of it", true);
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    for _ in 0..2 {
        let response = connection.get("/").send();
        assert_eq!(response.text(), "all of it");
    }
    let old = old_client(&gateway, "/");
    assert!(old.ends_with("\r\n\r\nall of it"), "{old}");
}

#[test]
fn an_old_client_gets_no_chunks() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let chunked = old_client(&gateway, "/chunked");
    assert!(chunked.starts_with("HTTP/1.0 200 OK\r\n"), "{chunked}");
    assert!(
        !chunked.to_lowercase().contains("transfer-encoding"),
        "{chunked}"
    );
    assert!(chunked.ends_with("\r\n\r\nhello world\n"), "{chunked}");
    let whole = old_client(&gateway, "/hello");
    assert!(
        whole.to_lowercase().contains("content-length: 12\r\n"),
        "{whole}"
    );
    assert_eq!(upstream.last().version, "HTTP/1.1");
}

#[test]
fn an_old_client_may_keep_its_connection() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    for _ in 0..2 {
        connection.write(b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let response = connection.read_response("GET");
        assert_eq!(response.text(), "hello world\n");
        assert_eq!(response.header("connection"), Some("keep-alive"));
    }
}

#[test]
fn an_upstream_may_be_older_than_its_client() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nold");
    });
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    for _ in 0..2 {
        let response = connection.get("/").send();
        assert_eq!(
            (response.text(), response.header("x-a")),
            ("old", Some("1"))
        );
    }
    assert_eq!(upstream.accepted(), 2);
}

#[test]
fn interim_responses_of_the_upstream_are_not_the_answer() {
    let upstream = answering(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        false,
    );
    let response = gateway_to(&upstream).get("/").send();
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(response.header("link"), None);
}

#[test]
fn each_part_of_a_response_is_passed_on_as_it_comes() {
    let seen = Arc::new(Latch::default());
    let upstream = Upstream::raw({
        let seen = Arc::clone(&seen);
        move |connection| {
            connection.read_request();
            connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            connection.write(b"6\r\nfirst \r\n");
            seen.wait();
            connection.write(b"6\r\nsecond\r\n0\r\n\r\n");
        }
    });
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    connection.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut got = Vec::new();
    while !got.ends_with(b"6\r\nfirst \r\n") {
        got.extend(connection.read_exactly(1));
    }
    seen.open();
    let rest = b"6\r\nsecond\r\n0\r\n\r\n";
    assert_eq!(connection.read_exactly(rest.len()), rest);
}

#[test]
fn a_large_response_streams_through_at_the_clients_pace() {
    const LENGTH: usize = 64 << 20;
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    gateway.get("/hello").send();
    let before = peak_memory(gateway.process());
    let response = gateway.get(&format!("/big/{LENGTH}")).send();
    assert_eq!(response.body.len(), LENGTH);
    assert!(response.body.iter().all(|byte| *byte == b'x'));
    // This one takes nothing, for as long as a gateway would need to take all.
    let stalled = Arc::new(Latch::default());
    let eager = Upstream::raw({
        let stalled = Arc::clone(&stalled);
        move |connection| fill(connection, &stalled)
    });
    let second = gateway_to(&eager);
    let mut connection = second.client().connection();
    connection.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    stalled.wait();
    read_some(&mut connection);
    for gateway in [&gateway, &second] {
        let grown = peak_memory(gateway.process()).saturating_sub(before);
        assert!(grown < STREAMING, "{grown} bytes more");
    }
}

/// Sends a response without end until it is no longer taken.
fn fill(connection: &mut RawConnection, stalled: &Latch) {
    connection.read_request();
    let limit = Some(Duration::from_millis(500));
    connection.socket().set_write_timeout(limit).unwrap();
    connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
    let part = vec![b'x'; 1 << 20];
    let taken = (0..256)
        .take_while(|_| connection.try_write(&part).is_ok())
        .count();
    assert!(taken < 256, "the gateway takes all that is sent");
    stalled.open();
    connection.wait_closed();
}

#[test]
fn a_client_that_does_not_take_its_response_is_given_up() {
    let stalled = Arc::new(Latch::default());
    let upstream = Upstream::raw({
        let stalled = Arc::clone(&stalled);
        move |connection| fill(connection, &stalled)
    });
    let gateway = gateway()
        .config("nginx_config: {http: {send_timeout: 1s}}")
        .routes(all_to(&upstream))
        .start();
    let mut connection = gateway.client().connection();
    connection.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    stalled.wait();
    eventually("the upstream is let go", || {
        upstream.open_connections() == 0
    });
    // Whoever takes it, however slowly, is not.
    let mut slow = gateway.client().connection();
    slow.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..30 {
        thread::sleep(Duration::from_millis(50));
        slow.read_exactly(1 << 20);
    }
}

fn read_some(connection: &mut Connection) {
    let head = String::from_utf8(connection.read_exactly(500)).expect("text");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

#[test]
fn a_client_that_leaves_takes_the_upstreams_connection_along() {
    let upstream = Upstream::raw(|connection| {
        while let Some(request) = connection.read_request() {
            match request.uri.as_str() {
                "/half" => {
                    connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
                    connection.wait_closed();
                }
                "/never" => connection.wait_closed(),
                _ => connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"),
            }
        }
    });
    let gateway = gateway_to(&upstream);
    for (path, wait_for) in [("/half", &b"half"[..]), ("/never", b"")] {
        let hits = upstream.hits();
        let mut connection = gateway.client().connection();
        connection.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let mut got = Vec::new();
        while !got.ends_with(wait_for) {
            got.extend(connection.read_exactly(1));
        }
        upstream.wait_hits(hits + 1);
        drop(connection);
        eventually("its connection is closed", || {
            upstream.open_connections() == 0
        });
        assert_eq!(gateway.get("/").send().text(), "whole");
    }
}
