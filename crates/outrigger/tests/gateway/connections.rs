//! Connections of clients and to upstreams: kept, used again, and given up.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outrigger_harness::{Client, Gateway, RawConnection, Upstream, eventually, together};
use serde_json::{Value, json};

use crate::support::{Latch, gateway, gateway_to, nodes, route, routes, with};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A gateway whose connections to `upstream` are kept as `pool` says.
fn gateway_with_pool(upstream: &Upstream, pool: Value) -> Gateway {
    let upstream = with(nodes(&[upstream]), json!({"keepalive_pool": pool}));
    gateway().routes(routes([route("/*", upstream)])).start()
}

#[test]
fn one_connection_each_serves_many_requests() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    for number in 0..10 {
        let sent = number.to_string();
        let echoed = connection.request("POST", "/echo").body(&*sent).send();
        assert_eq!(echoed.text(), sent);
    }
    for _ in 0..10 {
        assert_eq!(gateway.get("/chunked").send().status, 200);
    }
    assert_eq!((upstream.hits(), upstream.accepted()), (20, 1));
}

#[test]
fn every_address_is_listened_on() {
    let upstream = Upstream::echo();
    let mut ips = vec!["127.0.0.1", "127.0.0.2"];
    // Not every machine has it.
    ips.extend(TcpListener::bind("[::1]:0").is_ok().then_some("::1"));
    let listen = ips.iter().map(|ip| json!({"ip": ip, "port": 0}));
    let listen: Vec<Value> = listen.collect();
    let gateway = gateway()
        .config(json!({"apisix": {"node_listen": listen}}))
        .listeners(ips.len())
        .routes(routes([route("/*", nodes(&[&upstream]))]))
        .start();
    for (address, ip) in gateway.addresses().iter().zip(&ips) {
        assert_eq!(address.ip().to_string(), *ip);
        let response = Client::new(*address).get("/hello").host("a.test").send();
        assert_eq!(response.status, 200, "{address}");
        let port = address.port().to_string();
        assert_eq!(upstream.last().header("x-forwarded-port"), Some(&*port));
    }
}

#[test]
fn requests_at_once_have_a_connection_each_and_leave_them_to_the_next() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let client = gateway.client();
    for _ in 0..2 {
        let statuses = together(8, |_| client.get("/slow/100").send().status);
        assert_eq!(statuses, [200; 8]);
    }
    assert!(
        upstream.accepted() <= 8,
        "{} connections",
        upstream.accepted()
    );
    assert_eq!(upstream.hits(), 16);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    connection.write(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst\
          GET /slow/50 HTTP/1.1\r\nHost: a\r\n\r\n\
          POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthird\r\n0\r\n\r\n\
          GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    let mut answers = ["POST", "GET", "POST", "GET"].map(|method| connection.read_response(method));
    let texts = [0, 1, 2].map(|place| answers[place].text().to_owned());
    assert_eq!(texts, ["first", "slow\n", "third"]);
    let last = answers[3].json();
    assert_eq!(last["uri"], "/nowhere");
    assert_eq!(connection.read_to_end(), b"");
    answers.reverse();
    assert_eq!(upstream.hits(), 4);
}

#[test]
fn a_client_that_wants_its_connection_closed_gets_that() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    let response = connection
        .get("/hello")
        .header("Connection", "close")
        .send();
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(connection.read_to_end(), b"");
    gateway.get("/hello").send();
    assert_eq!(
        upstream.accepted(),
        1,
        "its wish is not the upstream's matter"
    );
}

#[test]
fn an_upstream_that_wants_its_connection_closed_gets_that() {
    let upstream = Upstream::raw(|connection| {
        while connection.read_request().is_some() {
            connection
                .write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    for _ in 0..3 {
        assert_eq!(connection.get("/").send().text(), "ok");
    }
    assert_eq!(upstream.accepted(), 3);
    eventually("none of them is kept", || upstream.open_connections() == 0);
}

#[test]
fn no_request_fails_because_the_upstream_closed_an_idle_connection() {
    let upstream = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(OK);
    });
    let gateway = gateway_to(&upstream);
    for method in ["GET", "PUT", "POST"] {
        for _ in 0..20 {
            assert_eq!(gateway.request(method, "/").send().status, 200, "{method}");
            eventually("the upstream has closed it", || {
                upstream.open_connections() == 0
            });
        }
    }
}

/// An upstream that closes a connection when its second request comes, without
/// answering it.
fn fickle() -> (Upstream, Arc<AtomicUsize>) {
    let unanswered = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::raw({
        let unanswered = Arc::clone(&unanswered);
        move |connection| {
            connection.read_request();
            connection.write(OK);
            if connection.read_request().is_some() {
                unanswered.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (upstream, unanswered)
}

#[test]
fn a_get_that_met_a_closing_connection_is_sent_again() {
    let (upstream, unanswered) = fickle();
    let gateway = gateway_to(&upstream);
    for _ in 0..10 {
        assert_eq!(gateway.get("/").send().status, 200);
    }
    assert!(
        unanswered.load(Ordering::SeqCst) > 0,
        "it did not come to that"
    );
}

#[test]
fn a_post_that_the_upstream_may_have_acted_on_is_not_sent_again() {
    let (upstream, unanswered) = fickle();
    let gateway = gateway_to(&upstream);
    assert_eq!(gateway.get("/").send().status, 200);
    for body in ["", "body"] {
        let response = gateway.post("/").body(body).send();
        assert_eq!(response.status, 502);
        assert_eq!(gateway.get("/").send().status, 200);
    }
    let posts = upstream
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
        .count();
    assert_eq!((posts, unanswered.load(Ordering::SeqCst)), (2, 2));
}

#[test]
fn what_comes_after_a_response_is_nobodys_answer() {
    let upstream = Upstream::raw(|connection| {
        while connection.read_request().is_some() {
            let injected = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
            connection.write(&[OK, injected].concat());
        }
    });
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    for _ in 0..10 {
        assert_eq!(connection.get("/").send().text(), "ok");
        assert_eq!(gateway.get("/").send().text(), "ok");
    }
    assert_eq!(upstream.accepted(), upstream.hits());
}

#[test]
fn a_body_after_an_answer_without_one_is_nobodys_answer() {
    let upstream = Upstream::raw(|connection| {
        while connection.read_request().is_some() {
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        }
    });
    let gateway = gateway_to(&upstream);
    let mut connection = gateway.client().connection();
    for _ in 0..10 {
        let head = connection.request("HEAD", "/").send();
        assert_eq!((head.status, head.text()), (200, ""));
        assert_eq!(connection.get("/").send().text(), "evil");
    }
}

#[test]
fn a_pool_keeps_so_many_idle_connections() {
    let release = Arc::new(Latch::default());
    let upstream = Upstream::raw({
        let release = Arc::clone(&release);
        move |connection| answer_after(connection, &release)
    });
    let gateway = gateway_with_pool(&upstream, json!({"size": 2}));
    let client = gateway.client();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(client.get("/").send().text(), "ok"));
        }
        upstream.wait_hits(6);
        release.open();
    });
    assert_eq!(upstream.accepted(), 6);
    eventually("two are left", || upstream.open_connections() == 2);
}

fn answer_after(connection: &mut RawConnection, release: &Latch) {
    while connection.read_request().is_some() {
        release.wait();
        connection.write(OK);
    }
}

#[test]
fn a_connection_serves_so_many_requests() {
    let upstream = Upstream::echo();
    let gateway = gateway_with_pool(&upstream, json!({"requests": 3}));
    for _ in 0..9 {
        gateway.get("/hello").send();
    }
    let on = upstream
        .requests()
        .iter()
        .map(|request| request.connection)
        .collect::<Vec<_>>();
    assert_eq!(on, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[test]
fn a_connection_is_idle_for_so_long_and_no_longer() {
    let upstream = Upstream::echo();
    let gateway = gateway_with_pool(&upstream, json!({"idle_timeout": 0.2}));
    gateway.get("/hello").send();
    assert_eq!(upstream.accepted(), 1);
    eventually("it is closed", || upstream.open_connections() == 0);
    assert_eq!(gateway.get("/hello").send().status, 200);
}

#[test]
fn an_idle_timeout_of_zero_is_none() {
    let upstream = Upstream::echo();
    let gateway = gateway_with_pool(&upstream, json!({"idle_timeout": 0}));
    for _ in 0..3 {
        gateway.get("/hello").send();
    }
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn an_idle_client_is_kept_for_so_long_and_no_longer() {
    let upstream = Upstream::echo();
    let gateway = |http: &str| {
        let config = format!("nginx_config: {{http: {{{http}}}}}");
        let routes = routes([route("/*", nodes(&[&upstream]))]);
        gateway().config(config).routes(routes).start()
    };
    // Longer than a head may take.
    let patient = gateway("client_header_timeout: 1s, keepalive_timeout: 60s");
    let mut connection = patient.client().connection();
    connection.get("/hello").send();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(connection.get("/hello").send().status, 200);
    // But a head that has begun has to end.
    connection.write(b"GET / HTTP/1.1\r\n");
    connection.read_to_end();
    let impatient = gateway("keepalive_timeout: 1s");
    let mut connection = impatient.client().connection();
    assert_eq!(connection.get("/hello").send().header("connection"), None);
    assert_eq!(connection.read_to_end(), b"");
    let forgetful = gateway("keepalive_timeout: 0");
    let mut connection = forgetful.client().connection();
    let response = connection.get("/hello").send();
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(connection.read_to_end(), b"");
}
