//! A gateway that is told to stop.

use std::net::TcpStream;
use std::sync::Arc;

use outrigger_harness::{Gateway, Signal, Upstream, eventually};
use serde_json::json;

use crate::runners::{Scripted, demo_runner};
use crate::support::{
    Latch, all_to, external, gateway, gateway_to, nodes, plugin, route, routes, with,
};
use outrigger_a6::RpcType;
use outrigger_testkit::{Answer, Gate};

/// An upstream that answers once `release` is open.
fn answering_after(release: &Arc<Latch>) -> Upstream {
    let release = Arc::clone(release);
    Upstream::raw(move |connection| {
        while connection.read_request().is_some() {
            release.wait();
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
        }
    })
}

/// Tells it to stop, and waits until nobody can connect any more.
fn stop_listening(gateway: &Gateway, signal: Signal) {
    gateway.signal(signal);
    let address = gateway.addresses()[0];
    eventually("new connections are refused", || {
        TcpStream::connect(address).is_err()
    });
}

#[test]
fn requests_in_flight_end_and_new_connections_are_refused() {
    for signal in [Signal::TERM, Signal::QUIT, Signal::INT] {
        let release = Arc::new(Latch::default());
        let upstream = answering_after(&release);
        let gateway = gateway_to(&upstream);
        std::thread::scope(|scope| {
            let late: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| gateway.get("/").send()))
                .collect();
            upstream.wait_hits(3);
            stop_listening(&gateway, signal);
            assert!(gateway.process().is_alive());
            release.open();
            for late in late {
                let response = late.join().unwrap();
                assert_eq!(response.text(), "late");
                assert_eq!(response.header("connection"), Some("close"));
            }
        });
        let exit = gateway.wait_exit();
        assert_eq!(exit.status.code(), Some(0), "{exit:?}");
    }
}

#[test]
fn a_response_that_streams_ends() {
    let release = Arc::new(Latch::default());
    let upstream = Upstream::raw({
        let release = Arc::clone(&release);
        move |connection| {
            connection.read_request();
            connection
                .write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            release.wait();
            connection.write(b"4\r\nlast\r\n0\r\n\r\n");
        }
    });
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    connection.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.wait_hits(1);
    stop_listening(&gateway, Signal::TERM);
    release.open();
    assert_eq!(connection.read_response("GET").text(), "firstlast");
    assert_eq!(gateway.wait_exit().status.code(), Some(0));
}

#[test]
fn an_upload_that_goes_on_ends() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    connection.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst");
    eventually("it is on its way", || upstream.open_connections() == 1);
    stop_listening(&gateway, Signal::TERM);
    connection.write(b"last");
    assert_eq!(connection.read_response("POST").text(), "firstlast");
    assert_eq!(gateway.wait_exit().status.code(), Some(0));
}

#[test]
fn a_call_to_the_runner_ends() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let gate = Gate::new();
    runner.always(RpcType::HttpReqCall, Answer::new().wait_for(&gate).reply());
    let call = json!({"plugins": {"ext-plugin-pre-req": external([plugin("any", json!({}))])}});
    let gateway = runner
        .gateway()
        .routes(routes([with(route("/*", nodes(&[&upstream])), call)]))
        .start();
    std::thread::scope(|scope| {
        let late = scope.spawn(|| gateway.get("/hello").send());
        eventually("the runner is called", || {
            !runner.received_of(RpcType::HttpReqCall).is_empty()
        });
        stop_listening(&gateway, Signal::TERM);
        gate.open();
        assert_eq!(late.join().unwrap().text(), "hello world\n");
    });
    assert_eq!(gateway.wait_exit().status.code(), Some(0));
}

#[test]
fn the_runner_goes_after_the_last_request() {
    let upstream = Upstream::echo();
    let wait =
        json!({"plugins": {"ext-plugin-pre-req": external([plugin("wait", json!({"ms": 700}))])}});
    let gateway = demo_runner()
        .routes(routes([with(route("/*", nodes(&[&upstream])), wait)]))
        .start();
    assert_eq!(gateway.get("/hello").send().status, 200);
    let mut connection = gateway.client().connection();
    connection.write(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    // The gateway has taken the connection, and by that the request.
    assert_eq!(gateway.get("/hello").send().status, 200);
    gateway.signal(Signal::TERM);
    assert_eq!(connection.read_response("GET").text(), "hello world\n");
    assert_eq!(gateway.wait_exit().status.code(), Some(0));
}

#[test]
fn idle_connections_are_closed() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let mut fresh = gateway.client().connection();
    let mut used = gateway.client().connection();
    assert_eq!(used.get("/hello").send().status, 200);
    gateway.signal(Signal::TERM);
    assert_eq!((used.read_to_end(), fresh.read_to_end()), (vec![], vec![]));
    assert_eq!(gateway.wait_exit().status.code(), Some(0));
    eventually("the upstream sees the end too", || {
        upstream.open_connections() == 0
    });
}

#[test]
fn whoever_takes_too_long_is_cut_off() {
    let upstream = answering_after(&Arc::new(Latch::default()));
    let gateway = gateway()
        .config("nginx_config: {worker_shutdown_timeout: 300ms}")
        .routes(all_to(&upstream))
        .start();
    std::thread::scope(|scope| {
        let late = scope.spawn(|| gateway.get("/").try_send());
        upstream.wait_hits(1);
        let exit = gateway.stop();
        assert_eq!(exit.status.code(), Some(0), "{exit:?}");
        assert!(late.join().unwrap().is_err());
    });
}
