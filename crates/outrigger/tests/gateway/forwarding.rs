//! What of a request's head reaches the upstream, and of a response's the client.

use outrigger_harness::{Gateway, Upstream};
use serde_json::json;

use crate::support::{all_to, gateway, gateway_to, nodes, route, routes, with};

#[test]
fn the_target_reaches_the_upstream_byte_for_byte() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    for target in [
        "/",
        "/?",
        "/a?",
        "/a?b=c&b=d&&=&e",
        "/a%20b%2Fc?d=%20+%2B",
        "/%e4%F6/%7e~",
        "//a//b/./c/../d/",
        "/a;b=c,d!$&'()*+@:=-._~?e?f/g",
        "/a[b]|c^d\\e\"{f}",
        "/?q=[]{}|\\^`",
        "/a?100%&%zz",
    ] {
        let response = gateway.get(target).send();
        assert_eq!(response.status, 200, "{target}: {response:?}");
        assert_eq!(upstream.last().uri, target);
    }
}

#[test]
fn an_absolute_target_is_sent_on_as_a_path() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    gateway
        .get("http://asked.test:81/a?b")
        .host("other.test")
        .send();
    assert_eq!(upstream.last().uri, "/a?b");
    assert_eq!(upstream.last().header("host"), Some("asked.test:81"));
    gateway.get("http://asked.test").send();
    assert_eq!(upstream.last().uri, "/");
}

#[test]
fn any_method_is_sent_on() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    for method in [
        "GET", "DELETE", "OPTIONS", "PATCH", "PURGE", "PROPFIND", "X-OWN",
    ] {
        gateway.request(method, "/").send();
        assert_eq!(upstream.last().method, method);
    }
}

#[test]
fn header_fields_pass_with_their_repetitions_and_all_their_bytes() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let response = gateway
        .get("/multi")
        .header("X-Many", "one")
        .header("X-Between", "")
        .header("x-many", "two, three")
        .header("X-Bytes", b"\xe9\xff\t\x80")
        .header("resp-X-Bytes", b"\xfc \xe9")
        .header("resp-X-Empty", "")
        .send();
    let seen = upstream.last();
    assert_eq!(seen.headers.all("x-many"), ["one", "two, three"]);
    assert_eq!(seen.header("x-between"), Some(""));
    assert_eq!(seen.headers.bytes("x-bytes"), Some(&b"\xe9\xff\t\x80"[..]));
    assert_eq!(response.headers.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(response.headers.bytes("x-bytes"), Some(&b"\xfc \xe9"[..]));
    assert_eq!(response.header("x-empty"), Some(""));
    assert_eq!(response.header("etag"), Some("\"v1\""));
}

#[test]
fn the_gateway_adds_no_fields_but_its_own() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let response = gateway.get("/hello").header("X-A", "1").send();
    let mut names = upstream.last().headers.names();
    names.sort_unstable();
    let expected = [
        "host",
        "x-a",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    assert_eq!(names, expected);
    let mut names = response.headers.names();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "content-type", "date", "server"]);
}

#[test]
fn a_response_names_the_gateway_and_its_version_unless_that_is_to_be_a_secret() {
    let upstream = Upstream::echo();
    let server = |gateway: &Gateway| {
        let response = gateway.get("/").header("resp-Server", "inner/9").send();
        let [server] = response.headers.all("server")[..] else {
            panic!("one Server field: {response:?}")
        };
        server.to_owned()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        server(&gateway_to(&upstream)),
        format!("outrigger/{version}")
    );
    let listen = json!([{"ip": "127.0.0.1", "port": 0}]);
    let apisix = json!({"node_listen": listen, "enable_server_tokens": false});
    let discreet = gateway()
        .config(json!({"apisix": apisix}))
        .routes(all_to(&upstream))
        .start();
    assert_eq!(server(&discreet), "outrigger");
}

#[test]
fn fields_of_one_connection_stay_on_it() {
    let upstream = Upstream::raw(|connection| {
        while connection.read_request().is_some() {
            connection.write(
                b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Named\r\nConnection: x-other\r\n\
                  X-Named: 1\r\nX-Other: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n\
                  Upgrade: h2c\r\nX-Kept: 3\r\nContent-Length: 2\r\n\r\nok",
            );
        }
    });
    let gateway = gateway_to(&upstream);
    let response = gateway
        .get("/")
        .header("Connection", "keep-alive, X-Named")
        .header("connection", "x-other ,upgrade")
        .header("X-Named", "1")
        .header("X-Other", "2")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("TE", "trailers, gzip")
        .header("Upgrade", "websocket")
        .header("X-Kept", "3")
        .send();
    for name in [
        "connection",
        "x-named",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        assert_eq!(upstream.last().header(name), None, "{name} in the request");
        assert_eq!(response.header(name), None, "{name} in the response");
    }
    assert_eq!(upstream.last().header("x-kept"), Some("3"));
    assert_eq!(
        (response.header("x-kept"), response.text()),
        (Some("3"), "ok")
    );
}

#[test]
fn connection_does_not_take_out_what_is_meant_for_the_upstream() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    gateway
        .get("/")
        .host("a.test")
        .header(
            "Connection",
            "host, authorization, cookie, x-real-ip, x-forwarded-for",
        )
        .header("Authorization", "Basic eA==")
        .header("Cookie", "a=1")
        .send();
    let seen = upstream.last();
    assert_eq!(seen.header("host"), Some("a.test"));
    assert_eq!(seen.header("authorization"), Some("Basic eA=="));
    assert_eq!(seen.header("cookie"), Some("a=1"));
    assert_eq!(seen.header("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
}

/// Sends a request that claims to come from elsewhere, and returns what the
/// upstream is told.
fn claims_passed_on(gateway: &Gateway, upstream: &Upstream) -> [Vec<String>; 5] {
    gateway
        .get("/")
        .host("a.test:8000")
        .header("X-Forwarded-For", "192.0.2.1")
        .header("X-Forwarded-For", "192.0.2.2, 192.0.2.3")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "front.test")
        .header("X-Forwarded-Port", "443")
        .header("X-Real-IP", "192.0.2.1")
        .send();
    let names = ["for", "proto", "host", "port"].map(|name| format!("x-forwarded-{name}"));
    let seen = upstream.last();
    let values = |name: &str| {
        seen.headers
            .all(name)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let [r#for, proto, host, port] = names.map(|name| values(&name));
    [r#for, proto, host, port, values("x-real-ip")]
}

#[test]
fn what_an_untrusted_client_says_about_its_origin_is_replaced() {
    let upstream = Upstream::echo();
    let gateway = gateway_to(&upstream);
    let port = gateway.addresses()[0].port().to_string();
    let expected =
        ["127.0.0.1", "http", "a.test", &port, "127.0.0.1"].map(|value| vec![value.to_owned()]);
    assert_eq!(claims_passed_on(&gateway, &upstream), expected);
}

#[test]
fn what_a_trusted_client_says_about_its_origin_is_passed_on() {
    let upstream = Upstream::echo();
    let listen = json!([{"ip": "127.0.0.1", "port": 0}]);
    let apisix = json!({"node_listen": listen, "trusted_addresses": ["127.0.0.0/8"]});
    let gateway = gateway()
        .config(json!({"apisix": apisix}))
        .routes(all_to(&upstream))
        .start();
    let chain = "192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1";
    let expected =
        [chain, "https", "front.test", "443", "127.0.0.1"].map(|value| vec![value.to_owned()]);
    assert_eq!(claims_passed_on(&gateway, &upstream), expected);
}

#[test]
fn the_host_is_the_clients_the_nodes_or_another() {
    let upstream = Upstream::echo();
    let to = |more| with(nodes(&[&upstream]), more);
    let rewrite = json!({"pass_host": "rewrite", "upstream_host": "inner.test:99"});
    let gateway = gateway()
        .routes(routes([
            route("/default", nodes(&[&upstream])),
            route("/pass", to(json!({"pass_host": "pass"}))),
            route("/node", to(json!({"pass_host": "node"}))),
            route("/rewrite", to(rewrite)),
        ]))
        .start();
    let node = upstream.node();
    for (path, host) in [
        ("/default", "Asked.Test:80"),
        ("/pass", "Asked.Test:80"),
        ("/node", &node),
        ("/rewrite", "inner.test:99"),
    ] {
        gateway.get(path).host("Asked.Test:80").send();
        assert_eq!(upstream.last().header("host"), Some(host), "{path}");
    }
}

#[test]
fn a_request_without_a_route_is_not_found() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .routes(routes([route("/here", nodes(&[&upstream]))]))
        .start();
    let response = gateway.get("/elsewhere").send();
    assert_eq!(response.status, 404);
    assert_eq!(response.text(), "{\"error_msg\":\"404 Route Not Found\"}\n");
    let head = gateway.request("HEAD", "/elsewhere").send();
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert_eq!(upstream.hits(), 0);
}
