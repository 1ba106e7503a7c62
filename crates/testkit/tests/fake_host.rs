//! The fake host tells what a runner did, right or wrong.
//!
//! That it works with the SDK is shown by the SDK's own tests, which use it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use outrigger_a6::error::Code;
use outrigger_a6::extra_info::Info;
use outrigger_a6::http_req_call::{self, Action, Rewrite, Stop};
use outrigger_a6::{Entry, Method, RpcType, http_resp_call, prepare_conf};
use outrigger_testkit::{Answer, Asked, Failure, FakeHost, FakeRunner, RequestVerdict};
use serde_json::json;

fn host(runner: &FakeRunner) -> FakeHost {
    FakeHost::at(runner.path()).prepare("say", json!({"body": "hi"}))
}

/// What a host finds wrong where request calls are answered like this.
async fn failure(answer: Answer) -> Failure {
    let runner = FakeRunner::start().unwrap();
    runner.next(RpcType::HttpReqCall, answer);
    let mut host = host(&runner);
    let failure = host.request("GET", "/").send().await.expect_failure();
    // The next call starts afresh.
    host.request("GET", "/").send().await.expect_unchanged();
    failure
}

#[tokio::test]
async fn everything_a_test_says_is_sent() {
    let runner = FakeRunner::start().unwrap();
    let mut host = host(&runner).prepare_raw("bare", None).key("route#7");
    let call = host
        .request("DELETE", "/a b")
        .header("x", "1")
        .header("x", b"\xff")
        .arg("q", "a b")
        .flag("f")
        .source_ip("::1".parse().unwrap());
    call.send().await.expect_unchanged();

    let prepared = runner.received_of(RpcType::PrepareConf);
    let prepared: prepare_conf::Request<'_> = prepared[0].decode().unwrap();
    assert_eq!(prepared.key, b"route#7");
    let conf = [
        Entry {
            name: b"say",
            value: Some(br#"{"body":"hi"}"#),
        },
        Entry {
            name: b"bare",
            value: None,
        },
    ];
    assert_eq!(prepared.conf, (&conf).into());

    let call = runner.received_of(RpcType::HttpReqCall);
    let call: http_req_call::Request<'_> = call[0].decode().unwrap();
    assert_ne!(call.id, 0, "some runners refuse it");
    assert_eq!(
        (call.method, call.path, call.conf_token.0),
        (Method::Delete, &b"/a b"[..], 1)
    );
    assert_eq!(call.src_ip, std::net::Ipv6Addr::LOCALHOST.octets());
    let headers = [
        Entry {
            name: b"x",
            value: Some(b"1"),
        },
        Entry {
            name: b"x",
            value: Some(b"\xff"),
        },
    ];
    assert_eq!(call.headers, (&headers).into());
    let args = [
        Entry {
            name: b"q",
            value: Some(b"a b"),
        },
        Entry {
            name: b"f",
            value: None,
        },
    ];
    assert_eq!(call.args, (&args).into());
}

#[tokio::test]
async fn the_configuration_is_prepared_once_and_shared() {
    let runner = FakeRunner::start().unwrap();
    let mut first = host(&runner);
    first.request("GET", "/").send().await.expect_unchanged();
    first.request("GET", "/").send().await.expect_unchanged();
    first
        .another()
        .request("GET", "/")
        .send()
        .await
        .expect_unchanged();
    assert_eq!(runner.received_of(RpcType::PrepareConf).len(), 1);
    assert_eq!(runner.history().connections, 2);
}

#[tokio::test]
async fn verdicts_are_told_in_full() {
    let runner = FakeRunner::start().unwrap();
    let headers = [
        Entry {
            name: b"a",
            value: Some(b"1"),
        },
        Entry {
            name: b"b",
            value: None,
        },
    ];
    let stop = Stop {
        status: 403,
        headers: (&headers[..1]).into(),
        body: b"no",
    };
    let rewrite = Rewrite {
        path: Some(b"/new"),
        headers: (&headers).into(),
        args: (&headers).into(),
        resp_headers: (&headers).into(),
        body: Some(b""),
    };
    for action in [Action::Stop(stop), Action::Rewrite(rewrite)] {
        let reply = http_req_call::Response {
            id: 1,
            action: Some(action),
        };
        runner.next(RpcType::HttpReqCall, Answer::message(&reply));
    }
    let stopped = host(&runner).request("GET", "/").send().await.expect_stop();
    assert_eq!((stopped.status, stopped.text().as_str()), (403, "no"));
    assert_eq!(stopped.headers, [("a", Some("1"))]);
    assert_eq!(stopped.headers.get("A"), Some("1"));
    let rewritten = host(&runner)
        .request("GET", "/")
        .send()
        .await
        .expect_rewrite();
    assert_eq!(rewritten.path.as_deref(), Some(&b"/new"[..]));
    for fields in [
        &rewritten.headers,
        &rewritten.args,
        &rewritten.response_headers,
    ] {
        assert_eq!(*fields, [("a", Some("1")), ("b", None)]);
        assert!(fields.deletes("B") && !fields.deletes("a"));
    }
    assert_eq!(rewritten.body.as_deref(), Some(&b""[..]));
}

#[tokio::test]
async fn a_changed_response_is_told_in_full() {
    let runner = FakeRunner::start().unwrap();
    let headers = [Entry {
        name: b"a",
        value: None,
    }];
    let (headers, body) = ((&headers).into(), Some(&b"x"[..]));
    let reply = http_resp_call::Response {
        id: 1,
        status: 404,
        headers,
        body,
    };
    runner.next(RpcType::HttpRespCall, Answer::message(&reply));
    let mut host = host(&runner);
    let change = host.response(200).send().await.expect_answer();
    assert_eq!(
        (change.status, change.body.as_deref()),
        (Some(404), Some(&b"x"[..]))
    );
    assert_eq!(change.headers, [("a", None)]);
    host.response(200).send().await.expect_unchanged();
}

#[tokio::test]
async fn questions_are_answered_and_told() {
    let runner = FakeRunner::start().unwrap();
    let asks = Answer::new()
        .ask(Info::Var(b"a"))
        .ask(Info::Var(b"b"))
        .ask(Info::ReqBody);
    runner.next(RpcType::HttpReqCall, asks.ask(Info::RespBody).reply());
    let mut host = host(&runner);
    let outcome = host
        .request("GET", "/")
        .var("a", "1")
        .body("body")
        .send()
        .await;
    let var = |name: &str| Asked::Var(name.to_owned());
    assert_eq!(
        outcome.asked,
        [var("a"), var("b"), Asked::RequestBody, Asked::ResponseBody]
    );
    outcome.expect_unchanged();
    let answers = runner.received_of(RpcType::ExtraInfo);
    let answers: Vec<_> = answers
        .iter()
        .map(|frame| {
            frame
                .decode::<outrigger_a6::extra_info::Response<'_>>()
                .unwrap()
                .result
        })
        .collect();
    assert_eq!(answers, [Some(&b"1"[..]), None, Some(b"body"), None]);
}

#[tokio::test]
async fn errors_of_a_runner_are_told_apart_by_where_they_came() {
    let call = failure(Answer::error(Code::ServiceUnavailable)).await;
    assert!(
        matches!(call, Failure::Call(Code::ServiceUnavailable)),
        "{call}"
    );
    let runner = FakeRunner::start().unwrap();
    runner.next(RpcType::PrepareConf, Answer::error(Code::BadRequest));
    let conf = host(&runner)
        .request("GET", "/")
        .send()
        .await
        .expect_failure();
    assert!(matches!(conf, Failure::Conf(Code::BadRequest)), "{conf}");
}

#[tokio::test]
async fn a_runner_that_breaks_the_protocol_is_found_out() {
    for answer in [
        Answer::new().send_bytes(*b"rubbish"),
        Answer::new().send_bytes([2, 0, 0, 9, 1]).close(),
        Answer::new().send_bytes([2, 0, 0, 1, 1]),
        Answer::token(1),
        Answer::message(&http_req_call::Response {
            id: 99,
            action: None,
        }),
    ] {
        let shown = format!("{answer:?}");
        let failure = failure(answer).await;
        assert!(
            matches!(failure, Failure::Protocol(_)),
            "{shown}: {failure}"
        );
    }
}

#[tokio::test]
async fn a_runner_that_hangs_up_is_found_out() {
    let failure = failure(Answer::new().close()).await;
    assert!(matches!(failure, Failure::HungUp), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_runner_is_not_waited_for_forever() {
    let failure = failure(Answer::new().silence()).await;
    assert!(matches!(failure, Failure::TimedOut), "{failure}");
}

#[tokio::test]
async fn a_runner_that_is_not_there_is_a_failure_not_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = FakeHost::at(folder.path().join("nobody.sock"));
    let failure = host.request("GET", "/").send().await.expect_failure();
    assert!(matches!(failure, Failure::Io(_)), "{failure}");
}

#[tokio::test]
#[should_panic(expected = "plugins did not answer the request: Unchanged")]
async fn an_expectation_that_is_not_met_says_what_was_instead() {
    let runner = FakeRunner::start().unwrap();
    let outcome = host(&runner).request("GET", "/").send().await;
    assert!(matches!(outcome.result, Ok(RequestVerdict::Unchanged)));
    outcome.expect_stop();
}

#[tokio::test]
#[should_panic(expected = "the protocol has no method \"CONNECT\"")]
async fn a_method_that_the_protocol_lacks_fails_the_test() {
    let _ = FakeHost::at("nowhere").request("CONNECT", "/");
}
