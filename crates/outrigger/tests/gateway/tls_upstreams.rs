//! Upstreams that speak TLS.

use std::net::{Ipv4Addr, TcpListener};

use outrigger_harness::{
    Authority, Certified, ClientError, Gateway, GatewayBuilder, TlsServer, Upstream, eventually,
};
use serde_json::{Value, json};

use crate::runners::demo_runner;
use crate::support::{
    STREAMING, error_msg, external, gateway, nodes, peak_memory, plugin, route, routes, timeout,
    with,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn certified(name: &str) -> Certified {
    Authority::new().certify(name)
}

/// An echo upstream with a certificate that nobody trusts.
fn echo() -> Upstream {
    Upstream::tls_echo(&TlsServer::new(&certified("a.test")))
}

/// An upstream of these nodes over TLS, with these properties.
fn secure(node: &Upstream, more: Value) -> Value {
    with(with(nodes(&[node]), json!({"scheme": "https"})), more)
}

fn gateway_to(upstream: Value) -> Gateway {
    gateway().routes(routes([route("/*", upstream)])).start()
}

/// A gateway that trusts this authority and nobody else.
fn trusting(authority: &Authority) -> GatewayBuilder {
    let listen = json!([{"ip": "127.0.0.1", "port": 0}]);
    let ssl = json!({"enable": false, "ssl_trusted_certificate": "ca.pem"});
    gateway()
        .file("ca.pem", authority.certificate())
        .config(json!({"apisix": {"node_listen": listen, "ssl": ssl}}))
}

#[test]
fn requests_and_responses_pass_as_without_tls() {
    let upstream = echo();
    let gateway = gateway_to(secure(&upstream, json!({})));
    let mut connection = gateway.client().connection();
    assert_eq!(connection.get("/hello").send().text(), "hello world\n");
    assert_eq!(connection.get("/chunked").send().text(), "hello world\n");
    let echoed = connection.request("POST", "/echo").body("a body").send();
    assert_eq!(echoed.text(), "a body");
    let echoed = connection
        .request("POST", "/echo")
        .chunked(["a ", "b"])
        .send();
    assert_eq!(echoed.text(), "a b");
    let head = connection.request("HEAD", "/hello").send();
    assert_eq!(head.header("content-length"), Some("12"));
    let seen = upstream.last();
    // The client's own connection has none.
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!((upstream.hits(), upstream.accepted()), (5, 1));
}

#[test]
fn large_bodies_stream_both_ways() {
    const LENGTH: usize = 32 << 20;
    let server = TlsServer::new(&certified("a.test"));
    let upstream = Upstream::tls(&server, |connection| {
        while let Some(request) = connection.read_request() {
            let length = request.body.len().max(LENGTH);
            connection
                .write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
            if request.method != "HEAD" {
                connection.write(&vec![b'x'; length]);
            }
        }
    });
    let gateway = gateway_to(secure(&upstream, json!({})));
    gateway.request("HEAD", "/").send();
    let before = peak_memory(gateway.process());
    assert_eq!(gateway.get("/").send().body.len(), LENGTH);
    let body = vec![b'x'; LENGTH];
    assert_eq!(gateway.post("/").body(body).send().body.len(), LENGTH);
    let grown = peak_memory(gateway.process()).saturating_sub(before);
    assert!(grown < STREAMING, "{grown} bytes more");
}

/// The server name that the gateway asked for, and the `Host` that it sent.
fn asked_for(gateway: &Gateway, upstream: &Upstream, host: &str) -> (Option<String>, String) {
    gateway.get("/").host(host).send();
    let seen = upstream.last();
    let host = seen.header("host").expect("there is one").to_owned();
    let tls = seen.tls.expect("it came over TLS");
    (tls.server_name, host)
}

#[test]
fn the_server_is_asked_for_by_the_name_of_the_host_that_it_is_sent() {
    let upstream = echo();
    let port = upstream.address().port();
    let localhost = json!({"nodes": {(format!("localhost:{port}")): 1}, "scheme": "https"});
    let rewrite = json!({"pass_host": "rewrite", "upstream_host": "Up.test:8443"});
    for (settings, name, host) in [
        (
            secure(&upstream, json!({})),
            Some("client.test"),
            "client.test:81",
        ),
        (secure(&upstream, rewrite), Some("up.test"), "Up.test:8443"),
        (
            with(localhost, json!({"pass_host": "node"})),
            Some("localhost"),
            &*format!("localhost:{port}"),
        ),
        // An address is nobody's name (RFC 6066, section 3).
        (
            secure(&upstream, json!({"pass_host": "node"})),
            None,
            &*upstream.node(),
        ),
    ] {
        let gateway = gateway_to(settings.clone());
        let asked = asked_for(&gateway, &upstream, "client.test:81");
        let expected = (name.map(str::to_owned), host.to_owned());
        assert_eq!(asked, expected, "{settings}");
    }
}

#[test]
fn no_name_is_asked_for_where_that_is_switched_off() {
    let upstream = echo();
    let gateway = gateway()
        .config("nginx_config: {http: {proxy_ssl_server_name: false}}")
        .routes(routes([route("/*", secure(&upstream, json!({})))]))
        .start();
    let (name, host) = asked_for(&gateway, &upstream, "a.test");
    assert_eq!((name, &*host), (None, "a.test"));
}

#[test]
fn a_connection_is_used_again_for_the_same_name_only() {
    let upstream = echo();
    let gateway = gateway_to(secure(&upstream, json!({})));
    for _ in 0..3 {
        for host in ["a.test", "b.test"] {
            let (name, _) = asked_for(&gateway, &upstream, host);
            assert_eq!(name.as_deref(), Some(host));
        }
    }
    assert_eq!(upstream.accepted(), 2);
}

#[test]
fn a_verified_server_is_one_that_somebody_trusted_vouches_for() {
    let authority = Authority::new();
    let vouched = Upstream::tls_echo(&TlsServer::new(&authority.certify("a.test")));
    let stranger = echo();
    let verified = |node: &Upstream| secure(node, json!({"tls": {"verify": true}}));
    let gateway = trusting(&authority)
        .routes(routes([
            route("/vouched/*", verified(&vouched)),
            route("/stranger/*", verified(&stranger)),
            route("/unverified/*", secure(&stranger, json!({}))),
        ]))
        .start();
    let status = |path: &str, host: &str| gateway.get(path).host(host).send().status;
    assert_eq!(status("/vouched/", "a.test"), 200);
    assert_eq!(
        status("/vouched/", "other.test"),
        502,
        "another's certificate"
    );
    assert_eq!(status("/unverified/", "a.test"), 200);
    // Not even over the connection that was not verified.
    let response = gateway.get("/stranger/").host("a.test").send();
    assert_eq!(response.status, 502);
    let message = "502 Bad Gateway: the upstream cannot be reached";
    assert_eq!(error_msg(&response), message);
    gateway.wait_log("invalid peer certificate: UnknownIssuer");
    assert_eq!((vouched.hits(), stranger.hits()), (1, 1));
}

#[test]
fn the_system_is_trusted_unless_somebody_else_is_named() {
    let authority = Authority::new();
    let upstream = Upstream::tls_echo(&TlsServer::new(&authority.certify("a.test")));
    let verified = secure(&upstream, json!({"tls": {"verify": true}}));
    let status = |builder: GatewayBuilder| {
        let gateway = builder
            .routes(routes([route("/*", verified.clone())]))
            .start();
        gateway.get("/").host("a.test").send().status
    };
    assert_eq!(status(gateway()), 502);
    // The variable with which a system's certificates can be named.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("system.pem");
    std::fs::write(&file, authority.certificate()).expect("it can be written");
    assert_eq!(status(gateway().env("SSL_CERT_FILE", &file)), 200);
    let other = trusting(&Authority::new()).env("SSL_CERT_FILE", &file);
    assert_eq!(status(other), 502);
}

#[test]
fn a_gateway_shows_its_certificate_to_a_server_that_wants_one() {
    let clients = Authority::new();
    let server = TlsServer::for_clients_of(&certified("a.test"), &clients);
    let upstream = Upstream::tls_echo(&server);
    let tls = |certified: &Certified| {
        let (certificate, key) = (&certified.certificate, &certified.key);
        json!({"tls": {"client_cert": certificate, "client_key": key}})
    };
    let gateway = gateway()
        .routes(routes([
            route(
                "/known/*",
                secure(&upstream, tls(&clients.certify("gateway.test"))),
            ),
            route(
                "/stranger/*",
                secure(&upstream, tls(&certified("gateway.test"))),
            ),
            route("/nobody/*", secure(&upstream, json!({}))),
        ]))
        .start();
    let status = |path: &str| gateway.get(path).send().status;
    assert_eq!(status("/known/"), 200);
    let seen = upstream.last().tls.expect("it came over TLS");
    assert!(seen.client_certified);
    // Neither may use the connection of the one that is known.
    assert_eq!((status("/stranger/"), status("/nobody/")), (502, 502));
    assert_eq!((status("/known/"), upstream.hits()), (200, 2));
}

#[test]
fn a_certificate_that_does_not_fit_its_key_is_told_at_once() {
    let tls = json!({"tls": {
        "client_cert": certified("a.test").certificate,
        "client_key": certified("a.test").key,
    }});
    let upstream = with(json!({"nodes": {"127.0.0.1:1": 1}, "scheme": "https"}), tls);
    let exit = gateway().routes(routes([route("/*", upstream)])).run();
    let said = "upstream.tls.client_key: the private key does not belong to the certificate";
    assert!(exit.stderr.contains(said), "{}", exit.stderr);
    assert!(!exit.stderr.contains("PRIVATE KEY"), "{}", exit.stderr);
}

#[test]
fn a_server_that_speaks_no_tls_is_a_bad_gateway() {
    let plain = Upstream::raw(|connection| {
        connection.write(OK);
        connection.wait_closed();
    });
    let gateway = gateway_to(secure(&plain, json!({})));
    assert_eq!(gateway.get("/").send().status, 502);
    assert_eq!(gateway.post("/").body("x").send().status, 502);
    assert_eq!(plain.hits(), 0);
}

#[test]
fn a_server_that_does_not_begin_tls_in_time_gives_way_to_another() {
    // Its backlog accepts for it, and nobody reads.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let silent = listener.local_addr().expect("an address").to_string();
    let upstream = echo();
    let impatient = with(json!({"scheme": "https"}), timeout(0.3));
    let only = with(json!({"nodes": {(&*silent): 1}}), impatient.clone());
    let both = with(
        json!({"nodes": {(&*silent): 1, (upstream.node()): 1}}),
        impatient,
    );
    let gateway = gateway()
        .routes(routes([route("/only", only), route("/both", both)]))
        .start();
    assert_eq!(gateway.get("/only").send().status, 504);
    for _ in 0..3 {
        assert_eq!(gateway.post("/both").body("x").send().status, 200);
    }
    drop(listener);
}

#[test]
fn a_body_without_length_ends_only_where_tls_does() {
    let server = TlsServer::new(&certified("a.test"));
    let upstream = Upstream::tls(&server, |connection| {
        let request = connection.read_request();
        connection.write(b"HTTP/1.1 200 OK\r\n\r\nall of it");
        if request.is_some_and(|request| request.uri == "/cut") {
            connection.cut_off();
        }
    });
    let gateway = gateway_to(secure(&upstream, json!({})));
    assert_eq!(gateway.get("/whole").send().text(), "all of it");
    match gateway.get("/cut").try_send() {
        Ok(response) => assert_eq!(response.status, 502, "{response:?}"),
        Err(ClientError::Exchange(_) | ClientError::NoResponse) => {}
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn no_request_fails_because_the_server_closed_an_idle_connection() {
    let server = TlsServer::new(&certified("a.test"));
    let upstream = Upstream::tls(&server, |connection| {
        connection.read_request();
        connection.write(OK);
    });
    let gateway = gateway_to(secure(&upstream, json!({})));
    for method in ["GET", "POST"] {
        for _ in 0..5 {
            assert_eq!(gateway.request(method, "/").send().status, 200, "{method}");
            eventually("the upstream has closed it", || {
                upstream.open_connections() == 0
            });
        }
    }
    let resumed = upstream.requests();
    let resumed = resumed.iter().filter_map(|request| request.tls.as_ref());
    assert!(resumed.skip(1).all(|tls| tls.resumed), "a session each");
}

#[test]
fn plugins_see_a_response_that_came_over_tls_as_any_other() {
    let upstream = echo();
    let conf = json!({"status": 203, "headers": {"X-New": "1"}, "body": "a new body"});
    let call = external([plugin("response-rewrite", conf)]);
    let plugins = json!({"plugins": {"ext-plugin-post-resp": call}});
    let rewritten = with(route("/*", secure(&upstream, json!({}))), plugins);
    let gateway = demo_runner().routes(routes([rewritten])).start();
    let response = gateway.get("/multi").send();
    assert_eq!((response.status, response.text()), (203, "a new body"));
    assert_eq!(response.header("x-new"), Some("1"));
    assert_eq!(response.headers.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn the_access_log_tells_what_an_upstream_speaks() {
    let (secured, plain) = (echo(), Upstream::echo());
    let gateway = gateway()
        .config(json!({"nginx_config": {"http": {"access_log_format": "$uri $upstream_scheme"}}}))
        .routes(routes([
            route("/secure", secure(&secured, json!({}))),
            route("/plain", nodes(&[&plain])),
        ]))
        .start();
    for path in ["/secure", "/plain"] {
        assert_eq!(gateway.get(path).send().status, 200);
    }
    let log = gateway.folder().join("logs/access.log");
    eventually("both are logged", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text == "/secure https\n/plain http\n"
    });
}
