//! Plugins that are told of requests that are over.

use outrigger_a6::error::Code;
use outrigger_a6::extra_info::{self, Info};
use outrigger_a6::http_req_call::{Action, Rewrite, Stop};
use outrigger_a6::{Entry, RpcType, http_resp_call};
use outrigger_harness::{Gateway, Upstream, eventually};
use outrigger_testkit::{Answer, Fields, frame};
use serde_json::{Value, json};

use crate::runners::{Scripted, decision, entry};
use crate::support::{external, nodes, plugin, route, routes, with};

/// A runner, and a gateway that tells it of every request, `more` being added
/// to the plugin's configuration and `others` to the route's plugins.
fn telling(upstream: &Upstream, more: Value, others: Value) -> (Scripted, Gateway) {
    let runner = Scripted::start();
    let call = with(external([plugin("any", json!({}))]), more);
    let plugins = with(others, json!({"ext-plugin-log": call}));
    let route = with(
        route("/*", nodes(&[upstream])),
        json!({ "plugins": plugins }),
    );
    let gateway = runner.gateway().routes(routes([route])).start();
    (runner, gateway)
}

/// Waits for so many calls, and returns status and headers of each.
fn told(runner: &Scripted, count: usize) -> Vec<(u16, Fields)> {
    eventually("the runner was told", || {
        runner.received_of(RpcType::HttpRespCall).len() >= count
    });
    let calls = runner.received_of(RpcType::HttpRespCall);
    let told = calls.iter().map(|call| {
        let call: http_resp_call::Request<'_> = call.decode().unwrap();
        (call.status, Fields::from(call.headers))
    });
    told.collect()
}

fn answers(runner: &Scripted, count: usize) -> Vec<Option<Vec<u8>>> {
    eventually("the runner's questions were answered", || {
        runner.received_of(RpcType::ExtraInfo).len() >= count
    });
    let answers = runner.received_of(RpcType::ExtraInfo);
    let answers = answers.iter().map(|answer| {
        let answer: extra_info::Response<'_> = answer.decode().unwrap();
        answer.result.map(<[u8]>::to_vec)
    });
    answers.collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

#[test]
fn a_runner_is_told_what_was_sent_whoever_answered() {
    let upstream = Upstream::echo();
    let call = external([plugin("any", json!({}))]);
    let others = json!({"ext-plugin-pre-req": call});
    let (runner, gateway) = telling(&upstream, json!({}), others);
    assert_eq!(gateway.get("/multi").send().status, 200);
    let (status, headers) = &told(&runner, 1)[0];
    assert_eq!(
        (*status, headers.get_all("set-cookie")),
        (200, vec!["a=1", "b=2"])
    );
    assert_eq!(headers.get("content-length"), Some("6"));
    assert_eq!(gateway.get("/status/404").send().status, 404);
    assert_eq!(told(&runner, 2)[1].0, 404);
    let stop = Stop {
        status: 418,
        ..Stop::default()
    };
    runner.next(RpcType::HttpReqCall, decision(Action::Stop(stop)));
    assert_eq!(gateway.get("/").send().status, 418);
    assert_eq!(told(&runner, 3)[2].0, 418);
    runner.next(
        RpcType::HttpReqCall,
        Answer::error(Code::ServiceUnavailable),
    );
    assert_eq!(gateway.get("/").send().status, 503);
    assert_eq!(told(&runner, 4)[3].0, 503);
}

#[test]
fn a_runner_may_ask_about_the_request() {
    const KEPT: &[Entry<'_>] = &[entry("X-Outrigger-Ctx-User", b"7")];
    let upstream = Upstream::echo();
    let call = external([plugin("any", json!({}))]);
    let others = json!({"ext-plugin-pre-req": call});
    let (runner, gateway) = telling(&upstream, json!({}), others);
    let keeping = Rewrite {
        headers: KEPT.into(),
        ..Rewrite::default()
    };
    runner.always(RpcType::HttpReqCall, decision(Action::Rewrite(keeping)));
    let ask = [
        &b"ctx_user"[..],
        b"request_uri",
        b"status",
        b"body_bytes_sent",
        b"arg_q",
    ];
    let ask = ask
        .iter()
        .fold(Answer::new(), |answer, name| answer.ask(Info::Var(name)));
    let ask = ask.ask(Info::ReqBody).ask(Info::RespBody).reply();
    runner.always(RpcType::HttpRespCall, ask);
    let response = gateway.post("/echo?q=1").chunked(["a ", "body"]).send();
    assert_eq!(response.text(), "a body");
    let expected = ["7", "/echo?q=1", "200", "6", "1", "a body"].map(bytes);
    let answers = answers(&runner, 7);
    assert_eq!((&answers[..6], &answers[6]), (&expected[..], &None));
}

#[test]
fn nobody_waits_for_the_runner_and_its_answer_changes_nothing() {
    let upstream = Upstream::echo();
    let (runner, gateway) = telling(&upstream, json!({}), json!({}));
    let changing = Answer::new().reply_with(|call| {
        let call: http_resp_call::Request<'_> = call.decode().unwrap();
        frame(&http_resp_call::Response {
            id: call.id,
            status: 500,
            body: Some(b"changed"),
            ..http_resp_call::Response::default()
        })
    });
    runner
        .next(RpcType::HttpRespCall, Answer::new().silence())
        .next(RpcType::HttpRespCall, changing);
    let mut connection = gateway.client().connection();
    for count in 1..4 {
        let response = connection.get("/hello").send();
        assert_eq!((response.status, response.text()), (200, "hello world\n"));
        told(&runner, count);
    }
}

#[test]
fn a_call_that_fails_is_logged_and_nothing_else() {
    let upstream = Upstream::echo();
    let (runner, gateway) = telling(&upstream, json!({}), json!({}));
    runner.always(
        RpcType::HttpRespCall,
        Answer::error(Code::ServiceUnavailable),
    );
    assert_eq!(gateway.get("/hello").send().text(), "hello world\n");
    let line = gateway.wait_log("a call to the runner failed");
    assert!(
        line.contains("ext-plugin-log") && line.contains("SERVICE_UNAVAILABLE"),
        "{line}"
    );
}

#[test]
fn only_the_requests_that_a_condition_names_are_told() {
    let upstream = Upstream::echo();
    let failed = json!({"when": [["status", ">=", "500"]]});
    let (runner, gateway) = telling(&upstream, failed, json!({}));
    for status in [200, 502, 404, 503] {
        gateway.get(&format!("/status/{status}")).send();
    }
    let mut statuses: Vec<_> = told(&runner, 2).iter().map(|(status, _)| *status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [502, 503]);
}

#[test]
fn a_client_that_leaves_is_told_too() {
    let upstream = Upstream::echo();
    let (runner, gateway) = telling(&upstream, json!({}), json!({}));
    let mut connection = gateway.client().connection();
    connection.write(b"GET /slow/2000 HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.wait_hits(1);
    drop(connection);
    assert_eq!(told(&runner, 1)[0].0, 499);
}

#[test]
fn a_gateway_may_stop_while_runners_are_told() {
    let upstream = Upstream::echo();
    let (runner, gateway) = telling(&upstream, json!({}), json!({}));
    runner.always(RpcType::HttpRespCall, Answer::new().silence());
    for _ in 0..20 {
        assert_eq!(gateway.get("/hello").send().status, 200);
    }
    told(&runner, 20);
    gateway.signal(outrigger_harness::Signal::TERM);
    let exit = gateway.wait_exit();
    assert_eq!(exit.status.code(), Some(0), "{exit:?}");
    let panics = gateway.log().containing("panicked");
    assert_eq!(panics, Vec::<String>::new());
}
