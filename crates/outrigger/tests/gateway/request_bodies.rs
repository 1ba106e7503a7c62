//! Request bodies on their way to the upstream.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use outrigger_harness::{Upstream, eventually};

use crate::support::{
    Latch, STREAMING, all_to, gateway, gateway_to, nodes, peak_memory, route, routes, timeout, with,
};

#[test]
fn a_body_arrives_framed_as_it_was_sent() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let response = gateway.post("/echo").body("with a length").send();
    let seen = upstream.last();
    assert_eq!(response.text(), "with a length");
    assert_eq!(seen.headers.all("content-length"), ["13"]);
    assert_eq!(seen.header("transfer-encoding"), None);

    let response = gateway.post("/echo").chunked(["in ", "chunks"]).send();
    let seen = upstream.last();
    assert_eq!(response.text(), "in chunks");
    assert_eq!(seen.header("content-length"), None);
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
}

#[test]
fn a_request_without_a_body_gets_none() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        gateway.request(method, "/").send();
        let seen = upstream.last();
        assert_eq!(seen.header("content-length"), None, "{method}");
        assert_eq!(seen.header("transfer-encoding"), None, "{method}");
    }
    // These are expected to have one, so its absence is said (RFC 9110, section 8.6).
    for method in ["POST", "PUT", "PATCH"] {
        gateway.request(method, "/").send();
        assert_eq!(
            upstream.last().header("content-length"),
            Some("0"),
            "{method}"
        );
    }
}

#[test]
fn a_get_may_have_a_body_too() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    assert_eq!(gateway.get("/echo").body("x").send().text(), "x");
    assert_eq!(
        gateway
            .request("DELETE", "/echo")
            .chunked(["y"])
            .send()
            .text(),
        "y"
    );
}

#[test]
fn trailers_of_a_request_are_passed_on() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    connection.write(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
          3;ext=1\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n",
    );
    assert_eq!(connection.read_response("POST").text(), "abc");
    let seen = upstream.last();
    assert_eq!(seen.header("trailer"), Some("X-Sum"));
    assert_eq!(seen.trailers.get("x-sum"), Some("6"));
}

#[test]
fn a_large_body_streams_through() {
    const LENGTH: usize = 64 << 20;
    let upstream = Upstream::raw(|connection| {
        while let Some(request) = connection.read_request() {
            let length = request.body.len().to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                length.len()
            );
            connection.write((head + &length).as_bytes());
        }
    });
    let gateway = gateway_to(&upstream);
    gateway.get("/").send();
    let before = peak_memory(gateway.process());
    let body = vec![b'x'; LENGTH];
    let response = gateway.post("/").body(body.clone()).send();
    assert_eq!(response.text(), LENGTH.to_string());
    let response = gateway.post("/").chunked(body.chunks(1 << 20)).send();
    assert_eq!(response.text(), LENGTH.to_string());
    let grown = peak_memory(gateway.process()).saturating_sub(before);
    assert!(grown < STREAMING, "{grown} bytes more");
}

#[test]
fn an_upstream_that_does_not_read_makes_the_client_wait() {
    let read = Arc::new(Latch::default());
    let upstream = Upstream::raw({
        let read = Arc::clone(&read);
        move |connection| {
            connection.read_request_head();
            read.wait();
        }
    });
    let gateway = gateway_to(&upstream);
    let mut client = TcpStream::connect(gateway.addresses()[0]).unwrap();
    // Long enough for a gateway that would take more to do so.
    client
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n")
        .unwrap();
    let before = peak_memory(gateway.process());
    let part = vec![b'x'; 1 << 20];
    let mut parts = 0;
    let stopped = loop {
        match client.write_all(&part) {
            Ok(()) if parts < 256 => parts += 1,
            other => break other,
        }
    };
    let stopped = stopped.expect_err("the gateway takes all that is sent");
    assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
    let grown = peak_memory(gateway.process()).saturating_sub(before);
    assert!(grown < STREAMING, "{grown} bytes more");
    read.open();
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    connection.write(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
    );
    let asked = b"HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(connection.read_exactly(asked.len()), asked);
    connection.write(b"body");
    assert_eq!(connection.read_response("POST").text(), "body");
    assert_eq!(upstream.last().header("expect"), None);
}

#[test]
fn a_client_that_waits_to_be_asked_is_told_at_once_that_there_is_no_route() {
    let gateway = gateway().routes("routes: []").start();
    let mut connection = gateway.client().connection();
    connection
        .write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let response = connection.read_response("POST");
    assert_eq!((response.status, response.interim), (404, vec![]));
}

#[test]
fn an_upstream_may_answer_before_it_has_the_body() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request_head();
        connection.write(b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much");
        connection.wait_closed();
    });
    let gateway = gateway_to(&upstream);
    // The client has sent but a part when the answer comes …
    let mut connection = gateway.client().connection();
    connection.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nfirst part");
    let response = connection.read_response("POST");
    assert_eq!((response.status, response.text()), (413, "too much"));
    // … or sends on and on, and looks for an answer later.
    for _ in 0..10 {
        let response = gateway.post("/").body(vec![b'x'; 4 << 20]).send();
        assert_eq!((response.status, response.text()), (413, "too much"));
    }
    eventually("no connection is kept for a body that nobody wants", || {
        upstream.open_connections() == 0
    });
}

#[test]
fn a_client_is_told_that_its_connection_ends_because_of_a_body_that_nobody_read() {
    let gateway = gateway().routes("routes: []").start();
    let answer = |request: &str| {
        let mut connection = gateway.client().connection();
        connection.write(request.as_bytes());
        let response = connection.read_response("POST");
        assert_eq!(response.status, 404);
        response.header("connection").map(str::to_owned)
    };
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    let close = Some("close".to_owned());
    assert_eq!(
        answer(&format!("{head}Content-Length: 10\r\n\r\nhalf ")),
        close
    );
    let waits = "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n";
    assert_eq!(answer(&format!("{head}{waits}")), close);
    // What is there already costs nothing to read.
    let whole = "Content-Length: 4\r\n\r\nbody";
    assert_eq!(answer(&format!("{head}{whole}")), None);
    let mut connection = gateway.client().connection();
    for _ in 0..3 {
        assert_eq!(
            connection.request("POST", "/").body("body").send().status,
            404
        );
    }
}

#[test]
fn an_early_answer_waits_for_a_client_that_first_sends_everything() {
    let gateway = gateway()
        .config("nginx_config: {http: {client_max_body_size: 1k}}")
        .routes("routes: []")
        .start();
    let length = 32 << 20;
    for _ in 0..5 {
        let mut client = TcpStream::connect(gateway.addresses()[0]).unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        client
            .write_all(&vec![b'x'; length])
            .expect("it is not cut off");
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[test]
fn a_slow_upload_is_not_taken_for_a_slow_upstream() {
    let upstream = Upstream::echo();
    let impatient = with(nodes(&[&upstream]), timeout(1.0));
    let gateway = gateway().routes(routes([route("/*", impatient)])).start();
    let mut connection = gateway.client().connection();
    connection.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n");
    for byte in b"slow and good" {
        // The client's own pace: longer than the upstream's limit altogether,
        // and from one byte to the next far from it.
        thread::sleep(Duration::from_millis(120));
        connection.write(&[*byte]);
    }
    assert_eq!(connection.read_response("POST").text(), "slow and good");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_request_takes_the_upstreams_connection_along() {
    let upstream = Upstream::raw(|connection| {
        while let Some(request) = connection.read_request_head() {
            if request.method == "POST" {
                return connection.wait_closed();
            }
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = gateway_to(&upstream);
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let (hits, taken) = (upstream.hits(), upstream.accepted());
        let mut connection = gateway.client().connection();
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n4\r\nhalf");
        connection.write(request.as_bytes());
        upstream.wait_hits(hits + 1);
        drop(connection);
        eventually("its connection is closed", || {
            upstream.open_connections() == 0
        });
        assert_eq!(gateway.get("/").send().text(), "ok");
        assert!(upstream.accepted() > taken, "a fresh connection");
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .config("nginx_config: {http: {client_max_body_size: 10k}}")
        .routes(all_to(&upstream))
        .start();
    let fits = vec![b'x'; 10 << 10];
    assert_eq!(gateway.post("/echo").body(fits.clone()).send().body, fits);
    assert_eq!(gateway.post("/echo").chunked([&fits]).send().body, fits);
    let hits = upstream.hits();
    for length in [(10 << 10) + 1, 4 << 20] {
        let body = vec![b'x'; length];
        let announced = gateway.post("/echo").body(body.clone()).send();
        assert_eq!(announced.status, 413, "{length} announced");
        let chunked = gateway.post("/echo").chunked(body.chunks(1000)).send();
        assert_eq!(chunked.status, 413, "{length} in chunks");
    }
    assert_eq!(
        upstream.hits(),
        hits,
        "nothing that was refused was asked for"
    );
}
