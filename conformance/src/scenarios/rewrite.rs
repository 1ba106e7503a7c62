//! A plugin changes the request on its way.

use serde_json::json;

use super::Scenario;
use crate::program::Plugins::Conformance;
use crate::stage::Stage;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::shared("rewrite-path", path).with(Conformance),
    Scenario::shared("rewrite-headers", headers).with(Conformance),
    Scenario::shared("rewrite-host", host).with(Conformance),
    Scenario::shared("rewrite-args", args).with(Conformance),
    Scenario::shared("rewrite-body", body).with(Conformance),
    Scenario::shared("rewrite-response-headers", response_headers).with(Conformance),
    Scenario::shared("rewrite-nothing", nothing).with(Conformance),
    Scenario::shared("bytes-outside-utf-8", bytes).with(Conformance),
    Scenario::shared("rewrite-that-breaks-framing", breaks_framing).with(Conformance),
];

fn path(stage: &Stage<'_>) {
    stage.plugins(&[("conf-rewrite", json!({"path": "/new/place"}))]);
    stage.gateway.get("/old?a=1&b").send();
    assert_eq!(stage.upstream.last().uri, "/new/place?a=1&b");
    stage.plugins(&[("conf-rewrite", json!({"path": "/a b/ü?x=1"}))]);
    stage.gateway.get("/old").send();
    assert_eq!(stage.upstream.last().uri, "/a%20b/%C3%BC%3Fx=1");
}

fn headers(stage: &Stage<'_>) {
    let conf = json!({"headers": {"X-New": "1", "X-Old": "changed", "X-Gone": null}});
    stage.plugins(&[("conf-rewrite", conf)]);
    stage
        .gateway
        .get("/")
        .header("X-Old", "before")
        .header("X-Gone", "before")
        .header("X-Kept", "one")
        .header("X-Kept", "two")
        .send();
    let seen = stage.upstream.last();
    assert_eq!(seen.headers.all("x-new"), ["1"]);
    assert_eq!(seen.headers.all("x-old"), ["changed"]);
    assert_eq!(seen.header("x-gone"), None);
    assert_eq!(seen.headers.all("x-kept"), ["one", "two"]);
}

fn host(stage: &Stage<'_>) {
    stage.plugins(&[(
        "conf-rewrite",
        json!({"headers": {"Host": "other.example"}}),
    )]);
    stage.gateway.get("/").host("first.example").send();
    assert_eq!(stage.upstream.last().headers.all("host"), ["other.example"]);
}

fn args(stage: &Stage<'_>) {
    let conf = json!({"args": {"color": "dark blue & red", "gone": null, "new": "1"}});
    stage.plugins(&[("conf-rewrite", conf)]);
    stage
        .gateway
        .get("/path?kept=1&color=white&gone=2&kept=%2F")
        .send();
    let uri = stage.upstream.last().uri;
    let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
    assert_eq!(path, "/path");
    let mut args: Vec<_> = query.split('&').map(decoded).collect();
    args.sort();
    assert_eq!(
        args,
        ["color=dark blue & red", "kept=/", "kept=1", "new=1"],
        "{uri}"
    );
}

/// An argument without its percent encoding.
fn decoded(arg: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = arg.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after
            .get(..2)
            .and_then(|code| std::str::from_utf8(code).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        (bytes, rest) = match (first, byte) {
            (b'%', Some(byte)) => ([&bytes[..], &[byte]].concat(), &after[2..]),
            (b'+', _) => ([&bytes[..], b" "].concat(), after),
            _ => ([&bytes[..], &[*first]].concat(), after),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn body(stage: &Stage<'_>) {
    stage.plugins(&[("conf-rewrite", json!({"body": "a new body"}))]);
    let response = stage.gateway.post("/echo").body("the old one").send();
    assert_eq!(response.text(), "a new body");
}

fn response_headers(stage: &Stage<'_>) {
    let conf = json!({"resp_headers": {
        "X-Added": "1",
        "ETag": "\"v2\"",
        "Content-Type": "ignored/type",
        "Location": "/ignored",
    }});
    stage.plugins(&[("conf-rewrite", conf)]);
    let response = stage.gateway.get("/multi").send();
    assert_eq!(response.headers.all("x-added"), ["1"]);
    assert_eq!(response.headers.all("etag"), ["\"v2\""]);
    assert_eq!(response.headers.all("content-type"), ["text/plain"]);
    assert_eq!(response.header("location"), None);
    assert_eq!(response.headers.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(response.text(), "multi\n");
}

fn nothing(stage: &Stage<'_>) {
    stage.plugins(&[("conf-wait", json!({"ms": 0}))]);
    let response = stage
        .gateway
        .post("/a%2Fb/%7e?x=%41&y&z=")
        .header("X-Kept", "one")
        .body("as it was")
        .send();
    assert_eq!(response.status, 200);
    let seen = stage.upstream.last();
    assert_eq!(seen.uri, "/a%2Fb/%7e?x=%41&y&z=");
    assert_eq!(seen.body, b"as it was");
    assert_eq!(seen.header("x-kept"), Some("one"));
}

fn bytes(stage: &Stage<'_>) {
    stage.plugins(&[("conf-rewrite", json!({"headers": {"X-New": "1"}}))]);
    let response = stage
        .gateway
        .get("/?raw=%ff")
        .header("X-Raw", b"caf\xe9")
        .send();
    assert_eq!(response.status, 200);
    let seen = stage.upstream.last();
    assert_eq!(seen.headers.bytes("x-raw"), Some(&b"caf\xe9"[..]));
    assert_eq!(seen.uri, "/?raw=%ff");
    assert_eq!(seen.header("x-new"), Some("1"));
}

fn breaks_framing(stage: &Stage<'_>) {
    for headers in [
        json!({"X-Split": "a\r\nX-Smuggled: 1"}),
        json!({"Bad Name": "1"}),
        json!({"Transfer-Encoding": "chunked"}),
        json!({"Content-Length": "7"}),
    ] {
        stage.plugins(&[("conf-rewrite", json!({"headers": headers}))]);
        let hits = stage.upstream.hits();
        let response = stage.gateway.get("/").send();
        assert_eq!(response.status, 503, "{headers}: {response:?}");
        assert_eq!(
            stage.upstream.hits(),
            hits,
            "{headers} reached the upstream"
        );
    }
}
