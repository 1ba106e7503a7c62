//! Connections that leave HTTP for a websocket, against a real library at both
//! ends.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use outrigger_harness::{Gateway, Signal, Upstream, eventually};
use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use crate::support::{gateway, nodes, route, routes, with};

/// A server that says whatever it is told. Its threads end with their connections.
struct Echo(SocketAddr);

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let Ok(mut socket) = tungstenite::accept(stream) else {
                        return;
                    };
                    while let Ok(message) = socket.read() {
                        if message.is_text() || message.is_binary() {
                            let _ = socket.send(message);
                        }
                    }
                });
            }
        });
        Echo(address)
    }

    fn route(&self, more: Value) -> Value {
        let upstream = json!({"nodes": {(self.0.to_string()): 1}});
        with(route("/*", upstream), more)
    }
}

fn open() -> Value {
    json!({"enable_websocket": true})
}

type Socket = WebSocket<TcpStream>;

/// Opens a websocket by way of the gateway, or says what it answered.
fn connect(gateway: &Gateway) -> Result<Socket, u16> {
    let stream = TcpStream::connect(gateway.addresses()[0]).unwrap();
    let patience = Some(outrigger_harness::limits::WAIT);
    stream.set_read_timeout(patience).unwrap();
    match tungstenite::client("ws://ws.test/chat?a=1", stream) {
        Ok((socket, response)) => {
            assert_eq!(response.status(), 101);
            Ok(socket)
        }
        Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(other) => panic!("{other}"),
    }
}

#[track_caller]
fn is_echoed(socket: &mut Socket, message: impl Into<Message>) {
    let message = message.into();
    socket.send(message.clone()).unwrap();
    assert!(socket.read().unwrap() == message);
}

#[test]
fn messages_pass_both_ways() {
    let echo = Echo::start();
    let gateway = gateway().routes(routes([echo.route(open())])).start();
    let mut socket = connect(&gateway).unwrap();
    is_echoed(&mut socket, "hello");
    is_echoed(&mut socket, vec![7; 3 << 20]);
    socket.send(Message::Ping("p".into())).unwrap();
    assert!(matches!(socket.read().unwrap(), Message::Pong(data) if data == "p"));
    socket.close(None).unwrap();
    let ended = loop {
        match socket.read() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, Error::ConnectionClosed), "{ended}");
}

#[test]
fn the_route_says_whether_and_else_its_service() {
    let echo = Echo::start();
    let upstream = json!({"nodes": {(echo.0.to_string()): 1}});
    let service = json!({"id": "s", "upstream": upstream, "enable_websocket": true});
    let start = |route: Value, service: Value| {
        let route = with(json!({"id": "r", "uri": "/*"}), route);
        let all = json!({"routes": [route], "services": [service]});
        gateway().routes(all).start()
    };
    let of_service = start(json!({"service_id": "s"}), service.clone());
    is_echoed(&mut connect(&of_service).unwrap(), "x");
    let of_route = json!({"service_id": "s", "enable_websocket": false});
    // The server sees a request that asks for nothing of the kind.
    let refused = connect(&start(of_route, service)).unwrap_err();
    assert!([400, 502].contains(&refused), "{refused}");
}

#[test]
fn an_upstream_may_decline_and_sees_what_was_asked() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .routes(routes([with(route("/*", nodes(&[&upstream])), open())]))
        .start();
    assert_eq!(connect(&gateway).unwrap_err(), 200);
    let seen = upstream.last();
    assert_eq!(seen.header("upgrade"), Some("websocket"));
    assert_eq!(seen.header("connection"), Some("upgrade"));
    assert!(seen.header("sec-websocket-key").is_some());
    // The connection goes on for others, who ask for nothing.
    assert_eq!(gateway.get("/hello").send().status, 200);
    assert_eq!(upstream.last().header("upgrade"), None);
}

#[test]
fn an_upstream_cannot_switch_unasked_or_to_anything_else() {
    let switching = |to: &str| {
        let head = format!("HTTP/1.1 101 Y\r\nConnection: upgrade\r\nUpgrade: {to}\r\n\r\n");
        let upstream = Upstream::raw(move |connection| {
            connection.read_request();
            connection.write(head.as_bytes());
        });
        let gateway = gateway()
            .routes(routes([with(route("/*", nodes(&[&upstream])), open())]))
            .start();
        (upstream, gateway)
    };
    let (_upstream, unasked) = switching("websocket");
    assert_eq!(unasked.get("/").send().status, 502);
    let (_upstream, other) = switching("h2c");
    let response = other.get("/").header("Upgrade", "h2c");
    let response = response.header("Connection", "Upgrade").send();
    assert_eq!(response.status, 502);
}

#[test]
fn many_are_open_at_once() {
    const SOCKETS: usize = 150;
    let echo = Echo::start();
    let gateway = gateway().routes(routes([echo.route(open())])).start();
    let mut sockets: Vec<_> = (0..SOCKETS).map(|_| connect(&gateway).unwrap()).collect();
    for round in 0..3 {
        for (number, socket) in sockets.iter_mut().enumerate() {
            socket.send(format!("{round} {number}").into()).unwrap();
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            let answer = socket.read().unwrap();
            assert_eq!(answer.to_text().unwrap(), format!("{round} {number}"));
        }
    }
    assert_eq!(open_connections(&gateway), SOCKETS);
    drop(sockets);
    eventually("all of them are closed", || open_connections(&gateway) == 0);
}

/// Client connections as the metrics tell them.
fn open_connections(gateway: &Gateway) -> usize {
    let metrics = gateway.metrics();
    let line = "apisix_nginx_http_current_connections{state=\"active\"} ";
    let value = metrics.lines().find_map(|found| found.strip_prefix(line));
    value.unwrap().parse().unwrap()
}

#[test]
fn one_in_which_nothing_moves_is_closed() {
    let echo = Echo::start();
    let limit = json!({"timeout": {"connect": 5, "send": 5, "read": 0.5}});
    let route = echo.route(with(open(), limit));
    let gateway = gateway().routes(routes([route])).start();
    let mut socket = connect(&gateway).unwrap();
    is_echoed(&mut socket, "x");
    let began = Instant::now();
    assert!(socket.read().is_err());
    assert!(began.elapsed() >= Duration::from_millis(400));
}

#[test]
fn the_access_log_tells_of_it_when_it_is_over() {
    let echo = Echo::start();
    let log = json!({"nginx_config": {"http": {
        "access_log": "logs/access.log", "access_log_format": "$status $request_uri $body_bytes_sent",
    }}});
    let gateway = gateway()
        .config(log)
        .routes(routes([echo.route(open())]))
        .start();
    let file = gateway.folder().join("logs/access.log");
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    let mut socket = connect(&gateway).unwrap();
    is_echoed(&mut socket, "0123456789");
    gateway.get("/plain").send();
    eventually("the other request is logged", || text().contains("/plain"));
    assert!(!text().contains("101"));
    drop(socket);
    // Two bytes of the message's frame, and the message.
    eventually("the websocket is logged", || {
        text().contains("101 /chat?a=1 12\n")
    });
}

#[test]
fn a_gateway_that_stops_waits_for_them_no_longer_than_its_limit() {
    let echo = Echo::start();
    let gateway = gateway()
        .config("nginx_config: {worker_shutdown_timeout: 1s}")
        .routes(routes([echo.route(open())]))
        .start();
    let mut socket = connect(&gateway).unwrap();
    is_echoed(&mut socket, "before");
    gateway.signal(Signal::TERM);
    let address = gateway.addresses()[0];
    eventually("new connections are refused", || {
        TcpStream::connect(address).is_err()
    });
    if gateway.process().is_alive() {
        // It may be over just now where the machine is slow.
        let _ = socket.send("after".into());
    }
    let exit = gateway.wait_exit();
    assert_eq!(exit.status.code(), Some(0), "{exit:?}");
    while let Ok(message) = socket.read() {
        assert_eq!(message.to_text().unwrap(), "after");
    }
}
