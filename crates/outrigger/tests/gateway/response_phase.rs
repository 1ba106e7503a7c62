//! Plugins in a runner that see the upstream's response.

use outrigger_a6::error::Code;
use outrigger_a6::extra_info::Info;
use outrigger_a6::http_req_call::{Action, Stop};
use outrigger_a6::{Entry, RpcType, extra_info, http_req_call, http_resp_call};
use outrigger_harness::{Gateway, Upstream};
use outrigger_testkit::{Answer, Fields, OwnedFrame, frame};
use serde_json::{Value, json};

use crate::runners::{Scripted, answer, demo_runner, entry, gone};
use crate::support::{
    STREAMING, error_msg, external, nodes, peak_memory, plugin, route, routes, timeout, with,
};

/// Every request to `upstream`, its response through this plugin.
fn after(upstream: &Upstream, name: &str, conf: Value) -> Value {
    after_with(upstream, name, conf, json!({}))
}

fn after_with(upstream: &Upstream, name: &str, conf: Value, more: Value) -> Value {
    let call = with(external([plugin(name, conf)]), more);
    let plugins = json!({"plugins": {"ext-plugin-post-resp": call}});
    routes([with(route("/*", nodes(&[upstream])), plugins)])
}

/// A scripted runner that changes every response so, and a gateway with its
/// upstream.
fn changing(change: http_resp_call::Response<'static>) -> (Scripted, Gateway, Upstream) {
    changing_with(change, json!({}))
}

fn changing_with(
    change: http_resp_call::Response<'static>,
    more: Value,
) -> (Scripted, Gateway, Upstream) {
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    runner.always(RpcType::HttpRespCall, changed(change));
    let gateway = runner
        .gateway()
        .routes(after_with(&upstream, "any", json!({}), more))
        .start();
    (runner, gateway, upstream)
}

/// The answer that changes a response so.
fn changed(change: http_resp_call::Response<'static>) -> Answer {
    Answer::new().reply_with(move |call| {
        let id = told(call, |call| call.id);
        frame(&http_resp_call::Response { id, ..change })
    })
}

fn told<T>(call: &OwnedFrame, look: impl FnOnce(http_resp_call::Request<'_>) -> T) -> T {
    look(call.decode().expect("the gateway sends calls"))
}

#[test]
fn a_plugin_may_change_status_fields_and_body() {
    let upstream = Upstream::echo();
    let conf = json!({"status": 203, "headers": {"X-New": "1"}, "body": "a new body"});
    let gateway = demo_runner()
        .routes(after(&upstream, "response-rewrite", conf))
        .start();
    for path in ["/multi", "/chunked", "/big/100000"] {
        let response = gateway.get(path).send();
        assert_eq!(
            (response.status, response.text()),
            (203, "a new body"),
            "{path}"
        );
        assert_eq!(response.headers.all("content-length"), ["10"]);
        assert_eq!(response.header("x-new"), Some("1"));
        assert_eq!(response.header("etag"), None, "it is of another body");
    }
    let cookies = gateway.get("/multi").send();
    assert_eq!(cookies.headers.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(cookies.header("content-type"), Some("text/plain"));
}

#[test]
fn a_plugin_may_read_the_body_and_replace_parts_of_it() {
    let upstream = Upstream::echo();
    let filters = json!([{"regex": "o", "scope": "global", "replace": "0"}]);
    let conf = json!({"filters": filters});
    let gateway = demo_runner()
        .routes(after(&upstream, "response-rewrite", conf))
        .start();
    for path in ["/hello", "/chunked"] {
        assert_eq!(gateway.get(path).send().text(), "hell0 w0rld\n", "{path}");
    }
    let large = gateway.post("/echo").body("o".repeat(1 << 20)).send();
    assert!(large.body == "0".repeat(1 << 20).as_bytes());
}

#[test]
fn fields_of_an_answer_are_a_patch() {
    const HEADERS: &[Entry<'_>] = &[
        entry("Set-Cookie", b"c=3"),
        entry("Set-Cookie", b"d=\xe9"),
        gone("ETag"),
    ];
    let change = http_resp_call::Response {
        headers: HEADERS.into(),
        ..Default::default()
    };
    let (_runner, gateway, _upstream) = changing(change);
    let response = gateway.get("/multi").send();
    let cookies = response
        .headers
        .iter()
        .filter(|header| header.name() == "set-cookie");
    let cookies: Vec<&[u8]> = cookies.map(outrigger_harness::Header::bytes).collect();
    assert_eq!(cookies, [&b"c=3"[..], b"d=\xe9"]);
    assert_eq!(response.header("etag"), None);
    assert_eq!(response.header("content-type"), Some("text/plain"));
    assert_eq!(response.text(), "multi\n");

    let (_runner, gateway, _upstream) =
        changing_with(change, json!({"response_headers": "replace"}));
    let response = gateway.get("/multi").send();
    assert_eq!(response.header("content-type"), None, "as in APISIX");
    assert_eq!(response.text(), "multi\n");
}

#[test]
fn plugins_are_told_the_response_as_it_is() {
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    let asking = Answer::new()
        .ask(Info::RespBody)
        .ask(Info::Var(b"upstream_status"))
        .ask(Info::Var(b"request_uri"));
    runner.always(RpcType::HttpRespCall, asking.reply());
    let gateway = runner
        .gateway()
        .routes(after(&upstream, "any", json!({})))
        .start();
    let response = gateway
        .get("/status/418?x")
        .header("resp-X-Raw", b"\xff")
        .send();
    assert_eq!((response.status, response.text()), (418, "status\n"));
    let calls = runner.received_of(RpcType::HttpRespCall);
    let [call] = &calls[..] else {
        panic!("one call: {calls:?}")
    };
    assert_eq!(told(call, |call| call.status), 418);
    assert_ne!(told(call, |call| call.id), 0);
    let headers = told(call, |call| Fields::from(call.headers));
    assert!(
        headers
            .0
            .contains(&(b"x-raw".to_vec(), Some(b"\xff".to_vec()))),
        "{headers:?}"
    );
    assert_eq!(headers.get("content-length"), Some("7"));
    let answers = runner.received_of(RpcType::ExtraInfo);
    let answers = answers.iter().map(|answer| {
        let answer: extra_info::Response<'_> = answer.decode().unwrap();
        answer.result.map(<[u8]>::to_vec)
    });
    let expected = [&b"status\n"[..], b"418", b"/status/418?x"];
    assert_eq!(
        answers.collect::<Vec<_>>(),
        expected.map(|text| Some(text.to_vec()))
    );
}

#[test]
fn a_response_that_no_plugin_asks_for_streams_through() {
    const LENGTH: usize = 64 << 20;
    let (_runner, gateway, _upstream) = changing(http_resp_call::Response::default());
    gateway.get("/hello").send();
    let before = peak_memory(gateway.process());
    let response = gateway.get(&format!("/big/{LENGTH}")).send();
    assert_eq!(response.body.len(), LENGTH);
    let grown = peak_memory(gateway.process()).saturating_sub(before);
    assert!(grown < STREAMING, "{grown} bytes more");
}

#[test]
fn responses_without_a_body_pass_and_the_upstream_is_asked_once() {
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    runner.always(
        RpcType::HttpRespCall,
        Answer::new().ask(Info::RespBody).reply(),
    );
    let gateway = runner
        .gateway()
        .routes(after(&upstream, "any", json!({})))
        .start();
    let mut connection = gateway.client().connection();
    for (method, path, status) in [
        ("HEAD", "/hello", 200),
        ("GET", "/status/204", 204),
        ("GET", "/status/304", 304),
        ("GET", "/big/0", 200),
    ] {
        let hits = upstream.hits();
        let response = connection.request(method, path).send();
        assert_eq!(
            (response.status, response.text()),
            (status, ""),
            "{method} {path}"
        );
        assert_eq!(upstream.hits(), hits + 1, "{method} {path}");
    }
    assert_eq!(connection.get("/hello").send().text(), "hello world\n");
    let head = connection.request("HEAD", "/hello").send();
    assert_eq!(head.header("content-length"), Some("12"));
}

#[test]
fn a_body_for_a_response_that_has_none_does_not_get_out() {
    let change = http_resp_call::Response {
        body: Some(b"made up"),
        ..Default::default()
    };
    let (_runner, gateway, _upstream) = changing(change);
    let mut connection = gateway.client().connection();
    for (method, path) in [
        ("HEAD", "/hello"),
        ("GET", "/status/204"),
        ("GET", "/status/304"),
    ] {
        assert_eq!(
            connection.request(method, path).send().text(),
            "",
            "{method} {path}"
        );
        assert_eq!(connection.get("/hello").send().text(), "made up");
    }
}

#[test]
fn a_failed_call_is_503_or_the_response_as_it_came() {
    const BREAKING: &[Entry<'_>] = &[entry("X-A", b"b\r\nX-Evil: 1")];
    let breaking = http_resp_call::Response {
        headers: BREAKING.into(),
        ..Default::default()
    };
    let informational = http_resp_call::Response {
        status: 101,
        ..Default::default()
    };
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    let strict = runner
        .gateway()
        .routes(after(&upstream, "any", json!({})))
        .start();
    let lenient = json!({"allow_degradation": true});
    let lenient = runner
        .gateway()
        .routes(after_with(&upstream, "any", json!({}), lenient))
        .start();
    for (answer, kind) in [
        (Answer::new().close(), "closed"),
        (Answer::error(Code::ServiceUnavailable), "refused"),
        (Answer::token(1), "malformed"),
        (
            Answer::message(&http_req_call::Response::default()),
            "malformed",
        ),
        (changed(breaking), "malformed"),
        (changed(informational), "malformed"),
        (Answer::new().ask(Info::RespBody).close(), "closed"),
    ] {
        runner.always(RpcType::HttpRespCall, answer);
        let failed = strict.get("/hello").send();
        let expected = format!("503 Service Unavailable: ext-plugin-post-resp: {kind}");
        assert_eq!((failed.status, error_msg(&failed)), (503, expected));
        for path in ["/hello", "/chunked"] {
            let passed = lenient.get(path).send();
            assert_eq!(
                (passed.status, passed.text()),
                (200, "hello world\n"),
                "{kind}"
            );
        }
    }
    runner.always(RpcType::HttpRespCall, Answer::sane());
    assert_eq!(strict.get("/hello").send().text(), "hello world\n");
}

#[test]
fn what_the_gateway_answers_itself_is_no_upstreams_response() {
    let silent = Upstream::raw(|connection| {
        connection.read_request();
        connection.wait_closed();
    });
    let runner = Scripted::start();
    let call = || external([plugin("any", json!({}))]);
    let plugins = |names: &[&str]| {
        let plugins = names.iter().map(|name| ((*name).to_owned(), call()));
        json!({"plugins": plugins.collect::<serde_json::Map<_, _>>()})
    };
    let to = || with(nodes(&[&silent]), timeout(0.2));
    let gateway = runner
        .gateway()
        .routes(routes([
            with(route("/silent", to()), plugins(&["ext-plugin-post-resp"])),
            with(
                route("/*", to()),
                plugins(&["ext-plugin-pre-req", "ext-plugin-post-resp"]),
            ),
        ]))
        .start();
    runner.always(
        RpcType::HttpReqCall,
        Answer::new().reply_with(|call| answer(call, Action::Stop(Stop::default()))),
    );
    assert_eq!(gateway.get("/stopped").send().status, 200);
    assert_eq!(gateway.get("/silent").send().status, 504);
    assert_eq!(runner.received_of(RpcType::HttpRespCall), []);
}

#[test]
fn all_three_phases_of_a_route_have_their_say() {
    let upstream = Upstream::echo();
    let set = |name: &str| external([plugin("header-rewrite", json!({"headers": {name: "1"}}))]);
    let plugins = json!({"plugins": {
        "ext-plugin-pre-req": set("X-Pre"),
        "ext-plugin-post-req": set("X-Post"),
        "ext-plugin-post-resp": set("X-Resp"),
    }});
    let gateway = demo_runner()
        .routes(routes([with(route("/*", nodes(&[&upstream])), plugins)]))
        .start();
    let response = gateway.get("/hello").send();
    let seen = upstream.last();
    assert_eq!(
        (seen.header("x-pre"), seen.header("x-post")),
        (Some("1"), Some("1"))
    );
    assert_eq!(
        (response.header("x-resp"), response.text()),
        (Some("1"), "hello world\n")
    );
}
