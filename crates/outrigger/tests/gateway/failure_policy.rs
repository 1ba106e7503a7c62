//! What a route may say of calls that fail: how long to wait, and what to
//! answer then.

use std::time::{Duration, Instant};

use outrigger_a6::RpcType;
use outrigger_a6::error::Code;
use outrigger_harness::{Gateway, Upstream};
use outrigger_testkit::Answer;
use serde_json::{Value, json};

use crate::policies::assert_failed;
use crate::runners::Scripted;
use crate::support::{external, nodes, plugin, route, routes, with};

/// A runner, and a gateway with this policy in all three phases, each on a path.
fn with_policy(upstream: &Upstream, policy: Value) -> (Scripted, Gateway) {
    let runner = Scripted::start();
    let gateway = gateway_of(&runner, upstream, policy);
    (runner, gateway)
}

/// The gateway alone: what it prepares ahead meets a runner that knows what to do.
fn gateway_of(runner: &Scripted, upstream: &Upstream, policy: Value) -> Gateway {
    let call = with(external([plugin("any", json!({}))]), policy);
    let to = |uri: &str, name: &str| {
        with(
            route(uri, nodes(&[upstream])),
            json!({"plugins": {name: call}}),
        )
    };
    let routes = routes([
        to("/pre", "ext-plugin-pre-req"),
        to("/post", "ext-plugin-post-req"),
        to("/resp", "ext-plugin-post-resp"),
    ]);
    runner.gateway().routes(routes).start()
}

fn always(runner: &Scripted, answer: Answer) {
    runner.always(RpcType::HttpReqCall, answer.clone());
    runner.always(RpcType::HttpRespCall, answer);
}

#[test]
fn a_failed_call_names_phase_and_kind_and_nothing_else() {
    let upstream = Upstream::echo();
    let (runner, gateway) = with_policy(&upstream, json!({}));
    always(&runner, Answer::error(Code::ServiceUnavailable));
    for (path, plugin) in [
        ("/pre", "ext-plugin-pre-req"),
        ("/post", "ext-plugin-post-req"),
        ("/resp", "ext-plugin-post-resp"),
    ] {
        assert_failed(&gateway.get(path).send(), plugin, "refused");
    }
}

#[test]
fn a_route_may_answer_failed_calls_in_its_own_words() {
    let upstream = Upstream::echo();
    let on_error = json!({"on_error": {
        "status": 429,
        "body": {"error": "later"},
        "headers": {"Retry-After": "7"},
    }});
    let (runner, gateway) = with_policy(&upstream, on_error);
    for path in ["/pre", "/post", "/resp"] {
        assert_eq!(gateway.get(path).send().status, 200, "{path}");
    }
    always(&runner, Answer::error(Code::ServiceUnavailable));
    for path in ["/pre", "/post", "/resp"] {
        let response = gateway.get(path).send();
        assert_eq!(
            (response.status, response.text()),
            (429, "{\"error\":\"later\"}")
        );
        assert_eq!(response.header("retry-after"), Some("7"));
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.headers.all("content-length"), ["17"]);
    }
    let head = gateway.request("HEAD", "/resp").send();
    assert_eq!((head.status, head.text()), (429, ""));
}

#[test]
fn a_clients_fault_is_answered_as_ever() {
    let upstream = Upstream::echo();
    let policy = json!({"on_error": {"status": 429}, "max_body": 10});
    let (runner, gateway) = with_policy(&upstream, policy);
    let asking = Answer::new().ask(outrigger_a6::extra_info::Info::ReqBody);
    runner.always(RpcType::HttpReqCall, asking.reply());
    assert_eq!(gateway.post("/pre").body("0123456789x").send().status, 413);
}

#[test]
fn each_part_of_a_call_has_a_time_limit() {
    let upstream = Upstream::echo();
    let soon = Duration::from_secs(20);
    for (part, silent) in [
        ("call", RpcType::HttpReqCall),
        ("prepare", RpcType::PrepareConf),
    ] {
        let runner = Scripted::start();
        runner.always(silent, Answer::new().silence());
        let gateway = gateway_of(&runner, &upstream, json!({"timeout": {part: 100}}));
        let begun = Instant::now();
        assert_failed(&gateway.get("/pre").send(), "ext-plugin-pre-req", "timeout");
        assert!(begun.elapsed() < soon, "{part}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_call_whose_connection_dies_is_repeated_unless_the_route_forbids_it() {
    let upstream = Upstream::echo();
    for (policy, repeated) in [(json!({}), true), (json!({"retry": false}), false)] {
        let (runner, gateway) = with_policy(&upstream, policy);
        runner.next(RpcType::HttpReqCall, Answer::new().close());
        runner.next(RpcType::HttpRespCall, Answer::new().close());
        for (path, plugin) in [
            ("/pre", "ext-plugin-pre-req"),
            ("/resp", "ext-plugin-post-resp"),
        ] {
            let response = gateway.get(path).send();
            if repeated {
                assert_eq!(response.status, 200, "{path}: {response:?}");
            } else {
                assert_failed(&response, plugin, "closed");
            }
        }
        let calls = if repeated { 2 } else { 1 };
        assert_eq!(runner.received_of(RpcType::HttpReqCall).len(), calls);
        assert_eq!(runner.received_of(RpcType::HttpRespCall).len(), calls);
    }
}

#[test]
fn a_body_is_told_again_when_its_call_is_repeated() {
    let upstream = Upstream::echo();
    let (runner, gateway) = with_policy(&upstream, json!({}));
    let ask = || Answer::new().ask(outrigger_a6::extra_info::Info::ReqBody);
    runner.next(RpcType::HttpReqCall, ask().close());
    runner.next(RpcType::HttpReqCall, ask().reply());
    let response = gateway.post("/pre").chunked(["whole ", "body"]).send();
    assert_eq!(response.status, 200);
    assert_eq!(upstream.last().body, b"whole body");
    let told = runner.received_of(RpcType::ExtraInfo);
    let told = told.iter().map(|answer| {
        let answer: outrigger_a6::extra_info::Response<'_> = answer.decode().unwrap();
        answer.result.map(<[u8]>::to_vec)
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        vec![Some(b"whole body".to_vec()); 2]
    );
}
