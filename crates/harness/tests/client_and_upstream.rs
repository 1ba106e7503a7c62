//! The client and the upstreams, talking to each other without a gateway.

use std::time::Duration;

use outrigger_harness::{Client, ClientError, Traffic, Upstream, eventually, together};
use serde_json::json;

fn client_of(upstream: &Upstream) -> Client {
    Client::new(upstream.address())
}

#[test]
fn the_echo_upstream_describes_the_request_as_it_came() {
    let upstream = Upstream::echo();
    let response = client_of(&upstream)
        .request("PUT", "/a%20b?x=1&x")
        .host("example.com")
        .header("X-Multi", "one")
        .header("x-multi", "two")
        .body("hi")
        .send();
    assert_eq!(response.status, 200);
    assert_eq!(
        response.json(),
        json!({
            "method": "PUT",
            "uri": "/a%20b?x=1&x",
            "headers": [
                ["Host", "example.com"],
                ["X-Multi", "one"],
                ["x-multi", "two"],
                ["Content-Length", "2"],
            ],
            "body": "hi",
        })
    );
    let seen = upstream.last();
    assert_eq!(seen.headers.all("x-multi"), ["one", "two"]);
    assert_eq!((upstream.hits(), upstream.accepted()), (1, 1));
}

#[test]
fn every_special_path_answers_as_described() {
    let upstream = Upstream::echo();
    let client = client_of(&upstream);
    let hello = client.get("/hello").send();
    assert_eq!(hello.text(), "hello world\n");
    assert_eq!(hello.header("content-type"), Some("text/plain"));
    let chunked = client.get("/chunked").send();
    assert_eq!(chunked.text(), "hello world\n");
    assert_eq!(chunked.header("transfer-encoding"), Some("chunked"));
    assert_eq!(chunked.header("content-type"), None);
    let status = client.get("/status/418").send();
    assert_eq!((status.status, status.text()), (418, "status\n"));
    assert_eq!(client.get("/status/204").send().text(), "");
    assert_eq!(client.get("/big/100000").send().body.len(), 100_000);
    assert_eq!(client.get("/slow/1").send().text(), "slow\n");
    let echo = client.post("/echo").chunked(["ab", "", "c"]).send();
    assert_eq!(echo.text(), "abc");
    let multi = client.get("/multi").send();
    assert_eq!(multi.headers.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(multi.header("etag"), Some("\"v1\""));
    let wanted = client.get("/").header("resp-X-A", "1").send();
    assert_eq!(wanted.header("x-a"), Some("1"));
    let head = client.request("HEAD", "/hello").send();
    assert_eq!(head.header("content-length"), Some("12"));
    assert!(head.body.is_empty());
}

#[test]
fn header_values_are_bytes() {
    let upstream = Upstream::echo();
    let response = client_of(&upstream)
        .get("/")
        .header("resp-X-Raw", b"\xe9\xff")
        .send();
    assert_eq!(
        upstream.last().headers.bytes("resp-x-raw"),
        Some(&b"\xe9\xff"[..])
    );
    assert_eq!(response.headers.bytes("x-raw"), Some(&b"\xe9\xff"[..]));
}

#[test]
fn a_connection_is_kept_for_several_requests() {
    let upstream = Upstream::echo();
    let mut connection = client_of(&upstream).connection();
    for _ in 0..3 {
        assert_eq!(connection.get("/hello").send().status, 200);
    }
    assert_eq!((upstream.hits(), upstream.accepted()), (3, 1));
    assert_eq!(upstream.open_connections(), 1);
    assert_eq!(upstream.last().connection, 0);
    drop(connection);
    eventually("the upstream sees the end", || {
        upstream.open_connections() == 0
    });
}

#[test]
fn a_large_body_goes_both_ways() {
    let upstream = Upstream::echo();
    let body = vec![b'z'; 8 << 20];
    let response = client_of(&upstream).post("/echo").body(body.clone()).send();
    assert!(response.body == body);
}

#[test]
fn an_interim_response_is_shown_apart() {
    let upstream = Upstream::echo();
    let response = client_of(&upstream)
        .post("/echo")
        .header("Expect", "100-continue")
        .body("x")
        .send();
    assert_eq!((response.interim, response.status), (vec![100], 200));
}

#[test]
fn a_scripted_upstream_answers_early_and_closes() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request_head();
        connection.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
        connection.wait_closed();
    });
    let response = client_of(&upstream)
        .post("/")
        .body(vec![0; 64 << 10])
        .send();
    assert_eq!((response.status, response.text()), (413, "no"));
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_response_cut_short_or_missing_is_an_error() {
    let cut = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    });
    let error = client_of(&cut).get("/").try_send().unwrap_err();
    assert!(matches!(error, ClientError::Exchange(_)), "{error}");
    let silent = Upstream::raw(|connection| {
        connection.read_request();
    });
    let error = client_of(&silent).get("/").try_send().unwrap_err();
    assert!(matches!(error, ClientError::NoResponse), "{error}");
    let address = silent.address();
    drop(silent);
    let error = Client::new(address).get("/").try_send().unwrap_err();
    assert!(matches!(error, ClientError::Connect(..)), "{error}");
}

#[test]
fn a_response_until_the_connection_closes_is_whole() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(b"HTTP/1.1 200 OK\r\n\r\nall of it");
    });
    assert_eq!(client_of(&upstream).get("/").send().text(), "all of it");
}

#[test]
fn raw_bytes_go_out_as_they_are_and_break_the_rules_visibly() {
    let upstream = Upstream::echo();
    let answer = client_of(&upstream).raw(b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n");
    assert_eq!(answer, b"");
    let violations = upstream.take_violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].contains("Bad Name: x"), "{violations:?}");
}

#[test]
#[should_panic(expected = "the upstream was sent what must not be sent")]
fn a_broken_request_fails_the_test_that_does_not_look() {
    let upstream = Upstream::echo();
    client_of(&upstream).raw(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n");
}

#[test]
fn many_requests_run_at_once() {
    let upstream = Upstream::echo();
    let client = client_of(&upstream);
    let started = std::time::Instant::now();
    let statuses = together(50, |_| client.get("/slow/100").send().status);
    assert_eq!(statuses, [200; 50]);
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "one after the other"
    );
}

#[test]
fn traffic_counts_what_became_of_its_requests() {
    let upstream = Upstream::echo();
    let traffic = Traffic::start(client_of(&upstream), "/status/404", 2);
    traffic.wait_more(10);
    let tally = traffic.stop();
    assert!(tally.only(404), "{tally:?}");
    assert_eq!(tally.total(), upstream.hits());
    let address = upstream.address();
    drop(upstream);
    let traffic = Traffic::start(Client::new(address), "/", 1);
    traffic.wait_more(1);
    let tally = traffic.stop();
    assert!(
        !tally.only(200) && tally.errors.len() == tally.total(),
        "{tally:?}"
    );
}
