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
    let gateway = runner.gateway().routes(routes).start();
    (runner, gateway)
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
        let (runner, gateway) = with_policy(&upstream, json!({"timeout": {part: 100}}));
        runner.always(silent, Answer::new().silence());
        let begun = Instant::now();
        assert_failed(&gateway.get("/pre").send(), "ext-plugin-pre-req", "timeout");
        assert!(begun.elapsed() < soon, "{part}: {:?}", begun.elapsed());
    }
}
