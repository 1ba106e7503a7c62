//! Upstreams that are not there, fall silent, or talk rubbish.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use outrigger_harness::{ClientError, Deaf, Gateway, Upstream, eventually};
use serde_json::{Value, json};

use crate::support::{error_msg, gateway, gateway_to, nodes, route, routes, timeout, with};

/// An address that nothing listens on.
fn dead_node() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener
        .local_addr()
        .expect("it has an address")
        .to_string()
}

fn gateway_to_all(upstream: Value) -> Gateway {
    gateway().routes(routes([route("/*", upstream)])).start()
}

/// An upstream that reads a request, says `bytes` and closes the connection.
fn saying(bytes: &'static [u8]) -> Upstream {
    Upstream::raw(move |connection| {
        connection.read_request();
        connection.write(bytes);
    })
}

#[test]
fn an_upstream_that_is_not_there_is_a_bad_gateway() {
    let gateway = gateway_to_all(json!({"nodes": {(dead_node()): 1}}));
    let response = gateway.get("/").send();
    assert_eq!(response.status, 502);
    assert_eq!(
        error_msg(&response),
        "502 Bad Gateway: the upstream cannot be reached"
    );
    let response = gateway.post("/").body("x").send();
    assert_eq!(response.status, 502);
}

#[test]
fn an_upstream_without_nodes_is_unavailable() {
    let gateway = gateway_to_all(json!({"nodes": {}}));
    let response = gateway.get("/").send();
    assert_eq!(response.status, 503);
    let message = "503 Service Unavailable: no upstream node to ask";
    assert_eq!(error_msg(&response), message);
}

#[test]
fn a_dead_node_gives_way_to_another() {
    let upstream = Upstream::echo();
    let gateway = gateway_to_all(json!({"nodes": {(dead_node()): 1, (upstream.node()): 1}}));
    for _ in 0..6 {
        assert_eq!(gateway.get("/hello").send().status, 200);
        assert_eq!(gateway.post("/echo").body("x").send().text(), "x");
    }
    assert_eq!(upstream.hits(), 12);
}

#[test]
fn no_other_node_is_asked_where_there_are_to_be_no_retries() {
    let upstream = Upstream::echo();
    let gateway = gateway_to_all(json!({
        "nodes": {(dead_node()): 1, (upstream.node()): 1},
        "retries": 0,
    }));
    let statuses = [(); 4].map(|()| gateway.get("/hello").send().status);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 2);
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 2);
}

#[test]
fn a_node_of_lower_priority_is_asked_when_the_others_fail() {
    let spare = Upstream::echo();
    let dead: std::net::SocketAddr = dead_node().parse().unwrap();
    let node = |address: std::net::SocketAddr, priority| json!({"host": "127.0.0.1", "port": address.port(), "weight": 1, "priority": priority});
    let gateway = gateway_to_all(json!({"nodes": [node(spare.address(), -1), node(dead, 0)]}));
    for _ in 0..3 {
        assert_eq!(gateway.get("/hello").send().status, 200);
    }
}

#[test]
fn nodes_have_their_turns_by_weight() {
    let (one, three) = (Upstream::echo(), Upstream::echo());
    let gateway = gateway_to_all(json!({"nodes": {(one.node()): 1, (three.node()): 3}}));
    for _ in 0..16 {
        gateway.get("/").send();
    }
    assert_eq!((one.hits(), three.hits()), (4, 12));
}

#[test]
fn a_node_that_breaks_off_gives_way_where_the_request_may_be_sent_again() {
    let (broken, sane) = (saying(b"HTTP/1.1 200"), Upstream::echo());
    let gateway = gateway_to_all(nodes(&[&broken, &sane]));
    for _ in 0..4 {
        assert_eq!(gateway.get("/hello").send().status, 200);
    }
    assert!(broken.hits() >= 2, "it was asked {} times", broken.hits());
    // Each of the two has one of them.
    let hits = broken.hits();
    let statuses = [(); 2].map(|()| gateway.post("/echo").send().status);
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 1);
    assert_eq!(broken.hits(), hits + 1);
}

#[test]
fn rubbish_from_the_upstream_is_a_bad_gateway() {
    for rubbish in [
        &b""[..],
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/3.7 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\noka",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let upstream = saying(rubbish);
        let gateway = gateway_to(&upstream);
        let response = gateway.get("/").send();
        assert_eq!(
            response.status,
            502,
            "{}: {response:?}",
            rubbish.escape_ascii()
        );
        let message = "502 Bad Gateway: the upstream did not answer properly";
        assert_eq!(error_msg(&response), message);
        assert_eq!(upstream.hits(), 1, "{}", rubbish.escape_ascii());
    }
}

#[test]
fn a_head_without_end_is_a_bad_gateway() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(b"HTTP/1.1 200 OK\r\n");
        while connection
            .try_write(b"X-Filler: of some length, again and again\r\n")
            .is_ok()
        {}
    });
    let gateway = gateway_to(&upstream);
    assert_eq!(gateway.get("/").send().status, 502);
}

#[test]
fn a_silent_upstream_is_a_gateway_timeout() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request();
        connection.wait_closed();
    });
    let gateway = gateway_to_all(with(nodes(&[&upstream]), timeout(0.2)));
    let response = gateway.get("/").send();
    assert_eq!(response.status, 504);
    let message = "504 Gateway Timeout: the upstream did not answer in time";
    assert_eq!(error_msg(&response), message);
    eventually("its connection is given up", || {
        upstream.open_connections() == 0
    });
}

#[test]
fn an_upstream_that_does_not_take_connections_is_a_gateway_timeout() {
    let deaf = Deaf::new();
    let gateway = gateway_to_all(with(json!({"nodes": {(deaf.node()): 1}}), timeout(0.3)));
    let response = gateway.get("/").send();
    assert_eq!(response.status, 504);
    let message = "504 Gateway Timeout: the upstream did not answer in time";
    assert_eq!(error_msg(&response), message);
    assert_eq!(gateway.post("/").body("x").send().status, 504);
}

#[test]
fn a_node_that_does_not_take_connections_gives_way_to_another() {
    let (deaf, sane) = (Deaf::new(), Upstream::echo());
    let all = json!({"nodes": {(deaf.node()): 1, (sane.node()): 1}});
    let gateway = gateway_to_all(with(all, timeout(0.3)));
    // Nothing was sent, so whatever the request is can go to the other.
    for _ in 0..3 {
        assert_eq!(gateway.post("/echo").body("x").send().text(), "x");
    }
}

#[test]
fn a_response_that_is_known_to_break_off_is_a_bad_gateway() {
    for broken in [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhalf\r\n"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf, and more\r\n",
    ] {
        let upstream = saying(broken);
        let response = gateway_to(&upstream).get("/").send();
        assert_eq!(response.status, 502, "{}", broken.escape_ascii());
    }
}

#[test]
fn a_routes_own_time_limit_goes_before_the_upstreams() {
    let upstream = Upstream::echo();
    let impatient = with(route("/slow/*", nodes(&[&upstream])), timeout(0.2));
    let patient = with(nodes(&[&upstream]), timeout(30.0));
    let gateway = gateway()
        .routes(routes([
            with(impatient, json!({"upstream": patient})),
            route("/*", nodes(&[&upstream])),
        ]))
        .start();
    assert_eq!(gateway.get("/slow/2000").send().status, 504);
    assert_eq!(gateway.get("/hello").send().status, 200);
}

#[test]
fn a_silent_node_gives_way_where_the_request_may_be_sent_again() {
    let silent = Upstream::raw(|connection| {
        connection.read_request();
        connection.wait_closed();
    });
    let sane = Upstream::echo();
    let gateway = gateway_to_all(with(nodes(&[&silent, &sane]), timeout(0.2)));
    for _ in 0..3 {
        assert_eq!(gateway.get("/hello").send().status, 200);
    }
    assert!(silent.hits() > 0, "it was not asked");
}

#[test]
fn a_response_that_breaks_off_does_not_look_whole() {
    for broken in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhalf\r\n",
    ] {
        let upstream = saying(broken);
        let gateway = gateway_to(&upstream);
        match gateway.get("/").try_send() {
            Ok(response) => assert_eq!(response.status, 502, "{response:?}"),
            Err(ClientError::Exchange(_) | ClientError::NoResponse) => {}
            Err(other) => panic!("{}: {other}", broken.escape_ascii()),
        }
    }
}

#[test]
fn a_response_that_stops_is_broken_off_after_the_time_limit() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        connection.wait_closed();
    });
    let gateway = gateway_to_all(with(nodes(&[&upstream]), timeout(0.3)));
    let begun = Instant::now();
    assert!(gateway.get("/").try_send().is_err());
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    eventually("its connection is given up", || {
        upstream.open_connections() == 0
    });
}
