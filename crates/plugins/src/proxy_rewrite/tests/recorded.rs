//! The scenarios that were recorded from APISIX 3.16, with their names there.
//! Where the gateway differs on purpose, a comment says from what.

use http::Request;
use serde_json::{Value, json};

use super::{Gateway, UP, sent_headers, sent_target};

/// A request and what the upstream was asked for.
struct Asked {
    request: (&'static str, &'static str),
    headers: &'static [(&'static str, &'static str)],
    sent: (&'static str, &'static str),
    sent_headers: &'static [(&'static str, &'static str)],
}

const fn get(target: &'static str, sent: &'static str) -> Asked {
    method(("GET", target), ("GET", sent))
}

const fn method(
    request: (&'static str, &'static str),
    sent: (&'static str, &'static str),
) -> Asked {
    Asked {
        request,
        headers: &[],
        sent,
        sent_headers: &[],
    }
}

fn play(gateway: &Gateway, asked: &[Asked]) {
    for Asked {
        request: (method, target),
        headers,
        sent,
        sent_headers: expected,
    } in asked
    {
        let mut request = Request::builder().method(*method).uri(*target);
        request = request.header("host", "localhost");
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        let mut exchange = gateway.pass(request, "data").unwrap();
        assert_eq!(
            (exchange.method.as_str(), &*sent_target(&exchange)),
            *sent,
            "{target}"
        );
        assert_eq!(exchange.host_for_upstream(), "localhost", "{target}");
        let found = sent_headers(&exchange);
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(found, *expected, "{target}");
        let body = super::now(Box::pin(
            exchange
                .body
                .buffer(10, &outrigger_engine::body::BodyMemory::new(10)),
        ))
        .unwrap();
        assert_eq!(body, "data", "{target}");
    }
}

#[test]
fn a_fixed_uri_replaces_the_path_and_keeps_the_clients_query() {
    play(
        &Gateway::new(json!({"uri": "/fixed"})),
        &[
            get("/a/b", "/fixed"),
            get("/a/b?x=1&y=2", "/fixed?x=1&y=2"),
            method(("POST", "/a?"), ("POST", "/fixed")),
            get("/a%20b?q=a%20b", "/fixed?q=a%20b"),
        ],
    );
}

#[test]
fn a_uri_that_has_its_own_query_is_joined_with_the_clients() {
    play(
        &Gateway::new(json!({"uri": "/fixed?from=conf"})),
        &[
            get("/a", "/fixed?from=conf"),
            get("/a?x=1", "/fixed?from=conf&x=1"),
            get("/a?from=client", "/fixed?from=conf&from=client"),
        ],
    );
}

#[test]
fn variables_in_uri() {
    let asked = |target, headers, sent| Asked {
        headers,
        sent_headers: headers,
        ..get(target, sent)
    };
    play(
        &Gateway::new(json!({"uri": "/v/$http_x_part/${arg_id}/$arg_none/end${arg_kind??dflt}"})),
        &[
            asked("/a?id=7", &[("x-part", "one")], "/v/one/7//enddflt?id=7"),
            // APISIX encodes the question mark twice: two%253Fthree.
            asked(
                "/a?id=a%3Fb&kind=k",
                &[("x-part", "two?three")],
                "/v/two%3Fthree/a%253Fb//endk?id=a%3Fb&kind=k",
            ),
            asked("/a", &[("x-part", "sp ace")], "/v/sp%20ace///enddflt"),
        ],
    );
}

#[test]
fn an_escaped_dollar_in_uri() {
    play(
        &Gateway::new(json!({"uri": "/cost/\\$uri/$uri"})),
        &[get("/ten", "/cost/%5C$uri//ten")],
    );
}

#[test]
fn regex_uri_with_capture_groups() {
    play(
        &Gateway::new(json!({"regex_uri": ["^/users/([0-9]+)/(.*)$", "/u/$2/by/$1"]})),
        &[
            get("/users/42/posts/new", "/u/posts/new/by/42"),
            get("/users/42/posts?page=3", "/u/posts/by/42?page=3"),
            get("/users/abc/posts", "/users/abc/posts"),
            get("/users/42/a%20b%3Fc", "/u/a%20b%3Fc/by/42"),
        ],
    );
}

#[test]
fn of_several_regex_uri_pairs_the_first_that_matches_is_used() {
    let pairs = [
        ["^/old/(.*)$", "/first/$1"],
        ["^/(old|older)/(.*)$", "/second/$2"],
        ["^/first/(.*)$", "/third/$1"],
    ];
    play(
        &Gateway::new(json!({"regex_uri": pairs.concat()})),
        &[
            get("/old/x", "/first/x"),
            get("/older/x", "/second/x"),
            get("/first/x", "/third/x"),
            get("/none/x?y=1", "/none/x?y=1"),
        ],
    );
}

#[test]
fn uri_wins_over_regex_uri() {
    play(
        &Gateway::new(json!({"uri": "/plain", "regex_uri": ["^/(.*)$", "/regex/$1"]})),
        &[get("/a", "/plain")],
    );
}

#[test]
fn host_against_the_upstreams_pass_host() {
    let route = |id: &str, uri: &str, upstream: Value| {
        let plugins = json!({"proxy-rewrite": {"host": "plugin.example.com"}});
        json!({"id": id, "uri": uri, "plugins": plugins, "upstream": upstream})
    };
    let nodes = json!({UP: 1});
    let gateway = Gateway::with_routes(json!([
        route("1", "/node/*", json!({"nodes": nodes, "pass_host": "node"})),
        route(
            "2",
            "/rewrite/*",
            json!({
                "nodes": nodes, "pass_host": "rewrite", "upstream_host": "upstream.example.com",
            }),
        ),
        // Not in the recording: nothing stands against the plugin here.
        route("3", "/pass/*", json!({"nodes": nodes})),
    ]));
    for (target, host) in [
        ("/node/a", UP),
        ("/rewrite/a", "upstream.example.com"),
        ("/pass/a", "plugin.example.com"),
    ] {
        let request = Request::get(target).header("host", "outer.example.com");
        let exchange = gateway.pass(request, "").unwrap();
        assert_eq!(exchange.host_for_upstream(), host, "{target}");
        assert_eq!(
            exchange.headers["x-forwarded-host"], "outer.example.com",
            "{target}"
        );
        assert_eq!(sent_target(&exchange), target);
    }
}

#[test]
fn the_method() {
    let route = |method: &str, uri: &str| {
        let plugins = json!({"proxy-rewrite": {"method": method}});
        json!({"id": method, "uri": uri, "plugins": plugins, "upstream": {"nodes": {UP: 1}}})
    };
    play(
        &Gateway::with_routes(json!([
            route("POST", "/post"),
            route("GET", "/get"),
            route("DELETE", "/del"),
        ])),
        &[
            method(("PUT", "/post"), ("POST", "/post")),
            method(("GET", "/post"), ("POST", "/post")),
            method(("POST", "/get"), ("GET", "/get")),
            method(("GET", "/del?x=1"), ("DELETE", "/del?x=1")),
        ],
    );
}

#[test]
fn variables_and_captures_in_headers() {
    let asked = |target, sent, sent_headers| Asked {
        headers: &[("x-in", "in")],
        sent_headers,
        ..get(target, sent)
    };
    play(
        &Gateway::new(json!({
            "headers": {
                "add": {"X-More": "$1 and $uri"},
                "set": {
                    "X-Cap": "$1-${2}-$3",
                    "X-None": "[$arg_zip]",
                    "X-Var": "$request_method $http_x_in $remote_addr",
                },
            },
            "regex_uri": ["^/t/([a-z]+)/([a-z]+)$", "/$2"],
        })),
        &[
            asked(
                "/t/ab/cd",
                "/cd",
                &[
                    ("x-cap", "ab-cd-"),
                    ("x-in", "in"),
                    ("x-more", "ab and /t/ab/cd"),
                    ("x-none", "[]"),
                    ("x-var", "GET in 127.0.0.1"),
                ],
            ),
            asked(
                "/other",
                "/other",
                &[
                    ("x-cap", "--"),
                    ("x-in", "in"),
                    ("x-more", "and /other"),
                    ("x-none", "[]"),
                    ("x-var", "GET in 127.0.0.1"),
                ],
            ),
        ],
    );
}

#[test]
fn use_real_request_uri_unsafe_passes_the_request_line_as_it_came() {
    play(
        &Gateway::new(json!({"use_real_request_uri_unsafe": true})),
        &["/a%2Fb/../c%20d?x=%41", "/a//b/./c", "/\u{fc}"].map(|target| get(target, target)),
    );
}
