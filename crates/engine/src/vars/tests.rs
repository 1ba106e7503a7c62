use super::*;
use crate::exchange::tests::exchange;
use http::Request;

fn seen(name: &str) -> Option<String> {
    let request = Request::get("/a%20b/c?x=%41&y=&X=2&z")
        .header("host", "A.test:9080")
        .header("x-one-two", "1")
        .header("x-one-two", "2")
        .header("cookie", "a=1; b=two")
        .header("cookie", "c=3")
        .header("content-type", "text/plain");
    let exchange = exchange(request);
    lookup(&exchange, name).map(|value| String::from_utf8_lossy(&value).into_owned())
}

#[test]
fn variables_have_nginxs_meaning() {
    for (name, value) in [
        ("uri", "/a b/c"),
        ("request_uri", "/a%20b/c?x=%41&y=&X=2&z"),
        ("args", "x=%41&y=&X=2&z"),
        ("query_string", "x=%41&y=&X=2&z"),
        ("is_args", "?"),
        ("arg_x", "%41"),
        ("arg_X", "%41"),
        ("arg_y", ""),
        ("http_x_one_two", "1, 2"),
        ("http_cookie", "a=1; b=two; c=3"),
        ("cookie_b", "two"),
        ("cookie_c", "3"),
        ("host", "a.test"),
        ("http_host", "A.test:9080"),
        ("content_type", "text/plain"),
        ("remote_addr", "192.0.2.7"),
        ("remote_port", "5000"),
        ("binary_remote_addr", "\u{fffd}\0\u{2}\u{7}"),
        ("server_addr", "127.0.0.1"),
        ("server_port", "9080"),
        ("server_protocol", "HTTP/1.1"),
        ("scheme", "http"),
        ("https", ""),
        ("request_method", "GET"),
        ("connection", "3"),
        ("connection_requests", "1"),
    ] {
        assert_eq!(seen(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn what_is_unknown_or_absent_has_no_value() {
    for name in [
        "arg_none",
        "arg_z",
        "http_none",
        "cookie_none",
        "nonsense",
        "",
        "route_id",
    ] {
        assert_eq!(seen(name), None, "{name}");
    }
}

#[test]
fn a_request_keeps_its_id() {
    let exchange = exchange(Request::get("/").header("host", "a"));
    let first = lookup(&exchange, "request_id").unwrap().into_owned();
    assert_eq!(first.len(), 32);
    assert_eq!(lookup(&exchange, "request_id").unwrap(), first);
}
