//! How much of a body plugins get to see, and that it reaches the other side
//! whole in any case.

use std::time::Duration;

use outrigger_a6::extra_info::{self, Info};
use outrigger_a6::http_req_call::{Action, Rewrite};
use outrigger_a6::{RpcType, http_resp_call};
use outrigger_harness::{Gateway, Upstream};
use outrigger_testkit::{Answer, frame};
use serde_json::{Value, json};

use crate::policies::assert_failed;
use crate::runners::{Scripted, answer};
use crate::support::{
    Latch, STREAMING, external, gateway, nodes, peak_memory, plugin, route, routes, with,
};

/// A runner, and a gateway that sends every request through this plugin, with
/// this added to its configuration.
fn through(upstream: &Upstream, name: &str, more: Value) -> (Scripted, Gateway) {
    through_with(upstream, name, more, json!({}))
}

fn through_with(
    upstream: &Upstream,
    name: &str,
    more: Value,
    config: Value,
) -> (Scripted, Gateway) {
    let runner = Scripted::start();
    let call = with(external([plugin("any", json!({}))]), more);
    let route = with(
        route("/*", nodes(&[upstream])),
        json!({"plugins": {name: call}}),
    );
    let config = with(
        json!({"ext-plugin": {"path_for_test": runner.path()}}),
        config,
    );
    let gateway = gateway().config(config).routes(routes([route])).start();
    (runner, gateway)
}

/// Asks for a body, and then whether that was all of it.
fn asking(info: Info<'_>) -> Answer {
    Answer::new()
        .ask(info)
        .ask(Info::Var(b"ext_body_truncated"))
}

/// What the runner's questions were answered with, and forgets them.
fn answers(runner: &Scripted, from: usize) -> Vec<Option<Vec<u8>>> {
    let answers = runner.received_of(RpcType::ExtraInfo);
    let answers = answers[from..].iter().map(|answer| {
        let answer: extra_info::Response<'_> = answer.decode().unwrap();
        answer.result.map(<[u8]>::to_vec)
    });
    answers.collect()
}

fn text(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

const PARTS: [&str; 3] = ["12345", "67890", "x"];

/// Sends a body of these parts, once with its length and once in chunks, and
/// returns the two statuses.
fn post(gateway: &Gateway, parts: &[&str]) -> [u16; 2] {
    let whole = gateway.post("/echo").body(parts.concat()).send();
    let chunked = gateway.post("/echo").chunked(parts).send();
    for response in [&whole, &chunked] {
        if response.status == 200 {
            assert_eq!(response.text(), parts.concat(), "what the upstream got");
        }
    }
    [whole.status, chunked.status]
}

#[test]
fn a_request_body_over_the_limit_is_rejected_where_it_is_asked_for() {
    let upstream = Upstream::echo();
    let (runner, gateway) = through(&upstream, "ext-plugin-pre-req", json!({"max_body": 10}));
    assert_eq!(post(&gateway, &PARTS), [200, 200], "nobody asked");
    runner.always(RpcType::HttpReqCall, asking(Info::ReqBody).reply());
    assert_eq!(post(&gateway, &PARTS), [413, 413]);
    assert_eq!(post(&gateway, &PARTS[..2]), [200, 200]);
}

#[test]
fn a_call_that_asks_for_too_long_a_body_may_be_skipped() {
    let upstream = Upstream::echo();
    let skip = json!({"max_body": 10, "on_oversize": "skip"});
    let (runner, gateway) = through(&upstream, "ext-plugin-pre-req", skip);
    let stop = || {
        Action::Stop(outrigger_a6::http_req_call::Stop {
            status: 418,
            ..Default::default()
        })
    };
    let asked = asking(Info::ReqBody).reply_with(move |call| answer(call, stop()));
    runner.always(RpcType::HttpReqCall, asked);
    assert_eq!(post(&gateway, &PARTS), [200, 200]);
    assert_eq!(post(&gateway, &PARTS[..2]), [418, 418]);
    assert_eq!(
        gateway.log().containing("a call to the runner failed"),
        Vec::<String>::new()
    );
}

#[test]
fn a_body_may_be_shown_in_part_and_is_forwarded_whole() {
    let upstream = Upstream::echo();
    let truncate = json!({"max_body": 7, "on_oversize": "truncate"});
    let (runner, gateway) = through(&upstream, "ext-plugin-pre-req", truncate);
    // Some runners send back a body that a plugin has read.
    let echo: &'static [u8] = b"1234567";
    let sent_back = Rewrite {
        body: Some(echo),
        ..Rewrite::default()
    };
    for rewrite in [Rewrite::default(), sent_back] {
        let from = runner.received_of(RpcType::ExtraInfo).len();
        let asked = asking(Info::ReqBody).ask(Info::ReqBody);
        let asked = asked.reply_with(move |call| answer(call, Action::Rewrite(rewrite)));
        runner.always(RpcType::HttpReqCall, asked);
        assert_eq!(post(&gateway, &PARTS), [200, 200]);
        let told = [text("1234567"), text("1"), text("1234567")];
        assert_eq!(answers(&runner, from), [told.clone(), told].concat());
    }
    let from = runner.received_of(RpcType::ExtraInfo).len();
    runner.always(RpcType::HttpReqCall, asking(Info::ReqBody).reply());
    assert_eq!(post(&gateway, &PARTS[..1]), [200, 200]);
    assert_eq!(
        answers(&runner, from),
        [text("12345"), None, text("12345"), None]
    );

    let rewrite = Rewrite {
        body: Some(b"another"),
        ..Rewrite::default()
    };
    let rewriting =
        asking(Info::ReqBody).reply_with(move |call| answer(call, Action::Rewrite(rewrite)));
    runner.always(RpcType::HttpReqCall, rewriting);
    let response = gateway.post("/echo").chunked(PARTS).send();
    assert_eq!(response.text(), "another");
}

#[test]
fn a_response_body_over_the_limit_is_a_failed_call() {
    let upstream = Upstream::echo();
    let (runner, gateway) = through(&upstream, "ext-plugin-post-resp", json!({"max_body": 11}));
    runner.always(RpcType::HttpRespCall, asking(Info::RespBody).reply());
    for path in ["/hello", "/chunked"] {
        assert_failed(
            &gateway.get(path).send(),
            "ext-plugin-post-resp",
            "too-large",
        );
    }
    assert_eq!(gateway.get("/multi").send().text(), "multi\n");
    let lenient = json!({"max_body": 11, "allow_degradation": true});
    let (runner, gateway) = through(&upstream, "ext-plugin-post-resp", lenient);
    runner.always(RpcType::HttpRespCall, asking(Info::RespBody).reply());
    for path in ["/hello", "/chunked"] {
        assert_eq!(gateway.get(path).send().text(), "hello world\n", "{path}");
    }
}

#[test]
fn a_response_that_is_too_long_may_be_skipped_or_shown_in_part() {
    let upstream = Upstream::echo();
    for (policy, told) in [
        ("skip", &[][..]),
        (
            "truncate",
            &[text("hello"), text("1"), text("hello"), text("1")],
        ),
    ] {
        let more = json!({"max_body": 5, "on_oversize": policy});
        let (runner, gateway) = through(&upstream, "ext-plugin-post-resp", more);
        let sent_back = Answer::new()
            .ask(Info::RespBody)
            .ask(Info::Var(b"ext_body_truncated"));
        let sent_back = sent_back.reply_with(|call| {
            let call: http_resp_call::Request<'_> = call.decode().unwrap();
            frame(&http_resp_call::Response {
                id: call.id,
                status: 203,
                body: Some(b"hello"),
                ..http_resp_call::Response::default()
            })
        });
        runner.always(RpcType::HttpRespCall, sent_back);
        let status = if policy == "skip" { 200 } else { 203 };
        for path in ["/hello", "/chunked"] {
            let response = gateway.get(path).send();
            assert_eq!(
                (response.status, response.text()),
                (status, "hello world\n"),
                "{path}"
            );
        }
        assert_eq!(answers(&runner, 0), told);
    }
}

#[test]
fn a_request_body_that_streamed_can_be_asked_for_in_the_response_phase() {
    let upstream = Upstream::echo();
    let (runner, gateway) = through(&upstream, "ext-plugin-post-resp", json!({}));
    let asked = asking(Info::ReqBody)
        .ask(Info::Var(b"request_body"))
        .reply();
    runner.always(RpcType::HttpRespCall, asked);
    assert_eq!(post(&gateway, &PARTS), [200, 200]);
    let told = [text("1234567890x"), None, text("1234567890x")];
    assert_eq!(answers(&runner, 0), [told.clone(), told].concat());
    let large = "o".repeat(3 << 20);
    let from = runner.received_of(RpcType::ExtraInfo).len();
    assert_eq!(gateway.post("/echo").chunked([&large]).send().text(), large);
    assert!(answers(&runner, from)[0] == Some(large.into_bytes()));
    let from = runner.received_of(RpcType::ExtraInfo).len();
    gateway.get("/hello").send();
    assert_eq!(answers(&runner, from), [None, None, None]);
}

#[test]
fn a_request_body_is_kept_up_to_the_limit_and_where_it_is_wanted() {
    let upstream = Upstream::echo();
    for (more, told) in [
        (json!({"max_body": 7}), [None, None]),
        (
            json!({"max_body": 7, "on_oversize": "truncate"}),
            [text("1234567"), text("1")],
        ),
        (json!({"keep_request_body": false}), [None, None]),
    ] {
        let (runner, gateway) = through(&upstream, "ext-plugin-post-resp", more.clone());
        runner.always(RpcType::HttpRespCall, asking(Info::ReqBody).reply());
        assert_eq!(post(&gateway, &PARTS), [200, 200]);
        assert_eq!(answers(&runner, 0), [told.clone(), told].concat(), "{more}");
    }
}

#[test]
fn bodies_in_memory_are_limited_in_all() {
    const LENGTH: usize = 1 << 20;
    let upstream = Upstream::echo();
    let config = json!({"outrigger": {"body_memory": "1500k"}});
    let (runner, gateway) = through_with(&upstream, "ext-plugin-pre-req", json!({}), config);
    runner.always(
        RpcType::HttpReqCall,
        Answer::new().ask(Info::ReqBody).reply(),
    );
    let body = "b".repeat(LENGTH);
    assert_eq!(
        gateway.post("/echo").body(body.as_str()).send().text(),
        body
    );
    let gate = outrigger_testkit::Gate::new();
    let holding = Answer::new().ask(Info::ReqBody).wait_for(&gate).reply();
    runner.next(RpcType::HttpReqCall, holding);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| {
            gateway
                .post("/echo")
                .body(body.as_str())
                .send()
                .text()
                .len()
        });
        outrigger_harness::eventually("the runner was told the body", || {
            runner.received_of(RpcType::ExtraInfo).len() == 2
        });
        for _ in 0..2 {
            let refused = gateway.post("/echo").body(body.as_str()).send();
            assert_failed(&refused, "ext-plugin-pre-req", "overloaded");
        }
        assert_eq!(gateway.post("/echo").body("short").send().text(), "short");
        gate.open();
        assert_eq!(held.join().unwrap(), LENGTH);
    });
    outrigger_harness::eventually("the memory is free again", || {
        gateway.post("/echo").body(body.as_str()).send().status == 200
    });
}

#[test]
fn what_a_plugin_makes_counts_as_well() {
    let upstream = Upstream::echo();
    let config = json!({"outrigger": {"body_memory": "100k"}});
    let (runner, gateway) = through_with(&upstream, "ext-plugin-pre-req", json!({}), config);
    let large: &'static [u8] = vec![b'y'; 101 << 10].leak();
    let rewrite = Rewrite {
        body: Some(large),
        ..Rewrite::default()
    };
    runner.always(
        RpcType::HttpReqCall,
        Answer::new().reply_with(move |call| answer(call, Action::Rewrite(rewrite))),
    );
    assert_failed(&gateway.get("/").send(), "ext-plugin-pre-req", "overloaded");
}

#[test]
fn a_body_that_is_shown_in_part_streams_on_after_that() {
    const LENGTH: usize = 64 << 20;
    let upstream = Upstream::echo();
    let truncate = json!({"max_body": 1000, "on_oversize": "truncate"});
    let (runner, gateway) = through(&upstream, "ext-plugin-post-resp", truncate);
    runner.always(RpcType::HttpRespCall, asking(Info::RespBody).reply());
    gateway.get("/big/2000").send();
    let before = peak_memory(gateway.process());
    let response = gateway.get(&format!("/big/{LENGTH}")).send();
    assert_eq!(response.body.len(), LENGTH);
    let grown = peak_memory(gateway.process()).saturating_sub(before);
    assert!(grown < STREAMING, "{grown} bytes more");
}

#[test]
fn a_response_that_no_plugin_asks_for_is_not_held_back() {
    let rest = std::sync::Arc::new(Latch::default());
    let upstream = Upstream::raw({
        let rest = std::sync::Arc::clone(&rest);
        move |connection| {
            connection.read_request();
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
            rest.wait();
            connection.write(b"67890");
        }
    });
    let (_runner, gateway) = through(&upstream, "ext-plugin-post-resp", json!({}));
    let mut client = gateway.client().connection();
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut received = Vec::new();
    while !received.ends_with(b"12345") {
        received.extend(client.read_exactly(1));
    }
    rest.open();
    while !received.ends_with(b"67890") {
        received.extend(client.read_exactly(1));
    }
}

#[test]
fn a_client_that_takes_its_time_with_its_body_does_not_take_the_runners() {
    const LIMIT: u64 = 300;
    let upstream = Upstream::echo();
    let strict = json!({"timeout": LIMIT});
    let (runner, gateway) = through(&upstream, "ext-plugin-pre-req", strict);
    assert_eq!(post(&gateway, &PARTS), [200, 200]);
    runner.always(RpcType::HttpReqCall, asking(Info::ReqBody).reply());
    let calls = runner.received_of(RpcType::HttpReqCall).len();
    let mut client = gateway.client().connection();
    client.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    outrigger_harness::eventually("the runner is called", || {
        runner.received_of(RpcType::HttpReqCall).len() > calls
    });
    std::thread::sleep(Duration::from_millis(2 * LIMIT));
    client.write(b"67890");
    assert_eq!(client.read_response("POST").text(), "1234567890");
    assert_eq!(answers(&runner, 0), [text("1234567890"), None]);
}
