//! What plugins keep for a request, from one call to the next.

use outrigger_a6::extra_info::{self, Info};
use outrigger_a6::http_req_call::{Action, Rewrite, Stop};
use outrigger_a6::{Entry, RpcType, http_req_call, http_resp_call};
use outrigger_harness::{Gateway, Header, Upstream};
use outrigger_testkit::{Answer, Fields, frame};
use serde_json::json;

use crate::policies::assert_failed;
use crate::runners::{Scripted, decision, demo_runner, entry, gone};
use crate::support::{external, nodes, plugin, route, routes, with};

/// A runner that is called in all phases.
fn all_phases(upstream: &Upstream) -> (Scripted, Gateway) {
    let runner = Scripted::start();
    let call = external([plugin("any", json!({}))]);
    let plugins = json!({"plugins": {
        "ext-plugin-pre-req": call,
        "ext-plugin-post-req": call,
        "ext-plugin-post-resp": call,
    }});
    let route = with(route("/*", nodes(&[upstream])), plugins);
    let gateway = runner.gateway().routes(routes([route])).start();
    (runner, gateway)
}

fn keeping(headers: &'static [Entry<'static>]) -> Answer {
    decision(Action::Rewrite(Rewrite {
        headers: headers.into(),
        ..Rewrite::default()
    }))
}

fn answers(runner: &Scripted) -> Vec<Option<Vec<u8>>> {
    let answers = runner.received_of(RpcType::ExtraInfo);
    let answers = answers.iter().map(|answer| {
        let answer: extra_info::Response<'_> = answer.decode().unwrap();
        answer.result.map(<[u8]>::to_vec)
    });
    answers.collect()
}

#[test]
fn a_value_is_there_in_all_later_calls_of_its_request_and_nowhere_else() {
    const KEPT: &[Entry<'_>] = &[entry("X-Outrigger-Ctx-User-Id", b"\xff7")];
    let upstream = Upstream::echo();
    let (runner, gateway) = all_phases(&upstream);
    let ask = || {
        Answer::new()
            .ask(Info::Var(b"ctx_user_id"))
            .ask(Info::Var(b"ctx_User-Id"))
    };
    runner
        .next(RpcType::HttpReqCall, keeping(KEPT))
        .next(RpcType::HttpReqCall, ask().reply());
    runner.always(RpcType::HttpRespCall, ask().reply());
    let response = gateway.get("/hello").send();
    let value = Some(b"\xff7".to_vec());
    assert_eq!(answers(&runner), vec![value; 4]);
    let leaked = |name: &str| name.to_ascii_lowercase().starts_with("x-outrigger");
    assert!(
        !upstream
            .last()
            .headers
            .iter()
            .any(|header| leaked(header.name()))
    );
    assert!(!response.headers.iter().any(|header| leaked(header.name())));
    gateway.get("/hello").send();
    assert_eq!(answers(&runner)[4..], [None, None], "another request");
}

#[test]
fn a_value_can_be_replaced_and_removed_and_set_with_the_response_headers() {
    const FIRST: &[Entry<'_>] = &[
        entry("x-outrigger-ctx-a", b"1"),
        entry("x-outrigger-ctx-b", b"1"),
    ];
    const SECOND: &[Entry<'_>] = &[entry("x-outrigger-ctx-a", b"2"), gone("x-outrigger-ctx-b")];
    const RESPONSE: &[Entry<'_>] = &[entry("x-outrigger-ctx-c", b"3"), entry("x-d", b"4")];
    let upstream = Upstream::echo();
    let (runner, gateway) = all_phases(&upstream);
    let second = Rewrite {
        headers: SECOND.into(),
        resp_headers: RESPONSE.into(),
        ..Rewrite::default()
    };
    runner
        .next(RpcType::HttpReqCall, keeping(FIRST))
        .next(RpcType::HttpReqCall, decision(Action::Rewrite(second)));
    let ask = Answer::new()
        .ask(Info::Var(b"ctx_a"))
        .ask(Info::Var(b"ctx_b"))
        .ask(Info::Var(b"ctx_c"));
    runner.always(RpcType::HttpRespCall, ask.reply());
    let response = gateway.get("/hello").send();
    let expected = [Some(b"2".to_vec()), None, Some(b"3".to_vec())];
    assert_eq!(answers(&runner), expected);
    assert_eq!(response.header("x-outrigger-ctx-c"), None);
    assert_eq!(response.header("x-d"), Some("4"));
}

#[test]
fn nobody_else_can_set_a_value() {
    let upstream = Upstream::echo();
    let (runner, gateway) = all_phases(&upstream);
    // A runner that sends back every header that it got.
    let mirror = Answer::new().reply_with(|call| {
        let call: http_req_call::Request<'_> = call.decode().unwrap();
        frame(&http_req_call::Response {
            id: call.id,
            action: Some(Action::Rewrite(Rewrite {
                headers: call.headers,
                ..Rewrite::default()
            })),
        })
    });
    runner.always(RpcType::HttpReqCall, mirror);
    let ask = Answer::new().ask(Info::Var(b"ctx_admin"));
    let mirror = ask.reply_with(|call| {
        let call: http_resp_call::Request<'_> = call.decode().unwrap();
        frame(&http_resp_call::Response {
            id: call.id,
            headers: call.headers,
            ..http_resp_call::Response::default()
        })
    });
    runner.always(RpcType::HttpRespCall, mirror);
    let request = gateway.get("/hello").header("X-Outrigger-Ctx-Admin", "1");
    let response = request.header("resp-X-Outrigger-Ctx-Admin", "1").send();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-outrigger-ctx-admin"), None);
    assert_eq!(upstream.last().header("x-outrigger-ctx-admin"), None);
    assert_eq!(answers(&runner), [None]);
    let calls = runner.received_of(RpcType::HttpReqCall);
    let call: http_req_call::Request<'_> = calls[0].decode().unwrap();
    assert_eq!(
        Fields::from(call.headers).get("x-outrigger-ctx-admin"),
        None
    );
}

#[test]
fn an_answer_to_the_client_shows_no_values() {
    const KEPT: &[Entry<'_>] = &[entry("X-Outrigger-Ctx-A", b"1"), entry("X-B", b"2")];
    let upstream = Upstream::echo();
    let (runner, gateway) = all_phases(&upstream);
    let stop = Stop {
        headers: KEPT.into(),
        ..Stop::default()
    };
    runner.always(RpcType::HttpReqCall, decision(Action::Stop(stop)));
    let response = gateway.get("/").send();
    assert_eq!(response.header("x-outrigger-ctx-a"), None);
    assert_eq!(response.header("x-b"), Some("2"));
}

#[test]
fn more_than_a_context_holds_is_a_failed_call() {
    let upstream = Upstream::echo();
    let (runner, gateway) = all_phases(&upstream);
    let large: &'static [u8] = vec![b'x'; 16 << 10].leak();
    let headers: &'static [Entry<'static>] =
        vec![entry("x-outrigger-ctx-a", large), entry("x-b", b"1")].leak();
    runner.always(RpcType::HttpReqCall, keeping(headers));
    assert_failed(&gateway.get("/").send(), "ext-plugin-pre-req", "malformed");
}

#[test]
fn the_request_id_is_the_same_in_all_phases() {
    let upstream = Upstream::echo();
    let (runner, gateway) = all_phases(&upstream);
    let ask = Answer::new().ask(Info::Var(b"request_id")).reply();
    runner.always(RpcType::HttpReqCall, ask.clone());
    runner.always(RpcType::HttpRespCall, ask);
    gateway.get("/hello").send();
    gateway.get("/hello").send();
    let ids: Vec<_> = answers(&runner).into_iter().flatten().collect();
    assert_eq!(ids.len(), 6);
    assert!(ids[..3].iter().all(|id| *id == ids[0] && id.len() == 32));
    assert!(ids[3..].iter().all(|id| *id == ids[3] && *id != ids[0]));
}

#[test]
fn a_plugin_carries_something_from_the_request_to_the_response() {
    let upstream = Upstream::echo();
    let call = external([plugin("stopwatch", json!({}))]);
    let both = json!({"ext-plugin-pre-req": call, "ext-plugin-post-resp": call});
    let to =
        |uri: &str, plugins| with(route(uri, nodes(&[&upstream])), json!({"plugins": plugins}));
    let gateway = demo_runner()
        .routes(routes([
            to("/slow/*", both),
            to("/*", json!({"ext-plugin-post-resp": call})),
        ]))
        .start();
    let took = gateway.get("/slow/20").send();
    let took = took
        .header("x-took")
        .and_then(|took| took.strip_suffix(" ms"));
    let took: f64 = took.unwrap().parse().unwrap();
    assert!(took >= 20.0, "{took}");
    assert_eq!(gateway.get("/hello").send().header("x-took"), None);
    let slow = &upstream.requests()[0];
    let leaked = |header: &Header| {
        header
            .name()
            .to_ascii_lowercase()
            .starts_with("x-outrigger")
    };
    assert!(!slow.headers.iter().any(leaked), "{slow:?}");
}
