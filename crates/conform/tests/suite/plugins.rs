//! Runners whose plugins do not do what they are said to do, and such as break
//! the rules about saying it.

use std::time::Duration;

use outrigger_a6::error::Code;
use outrigger_a6::http_req_call::{Action, Response, Rewrite, Stop};
use outrigger_a6::{Entries, Entry, RpcType, http_resp_call};
use outrigger_conform::Target;
use outrigger_testkit::{Answer, FakeRunner, OwnedFrame};

use crate::support::{
    NONE, breaks_with, expect, is_mute, patient, profile, request, try_rule, unchanged, varies,
};

/// Answers the request.
pub(crate) fn stopping() -> Answer {
    acting(Action::Stop(Stop {
        status: 403,
        headers: Entries::default(),
        body: b"no",
    }))
}

/// Changes the path.
pub(crate) fn rewriting() -> Answer {
    acting(Action::Rewrite(Rewrite {
        path: Some(b"/another"),
        ..Default::default()
    }))
}

fn acting(action: Action<'_>) -> Answer {
    Answer::message(&Response {
        id: 7,
        action: Some(action),
    })
}

fn rewriting_headers(headers: &[Entry<'_>]) -> Answer {
    acting(Action::Rewrite(Rewrite {
        headers: Entries::from(headers),
        ..Default::default()
    }))
}

fn header<'a>(name: &'a str, value: &'a str) -> Entry<'a> {
    Entry {
        name: name.as_bytes(),
        value: Some(value.as_bytes()),
    }
}

fn fake(answer: Answer) -> FakeRunner {
    let runner = FakeRunner::start().unwrap();
    runner.always(RpcType::HttpReqCall, answer);
    runner
}

/// A runner whose plugins do nothing.
fn idle() -> FakeRunner {
    FakeRunner::start().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_the_one_that_is_expected() {
    breaks_with(
        "stop",
        "stop",
        idle().path(),
        "it does not answer the request",
    )
    .await;
    let runner = fake(stopping());
    for (expect, seen) in [
        (r#"{"status": 401}"#, "status: expected 401, got 403"),
        (r#"{"body": "yes"}"#, r#"body: expected "yes", got "no""#),
        (r#"{"headers": {"x": "1"}}"#, "headers: expected"),
    ] {
        breaks_with("stop", &format!("stop {expect}"), runner.path(), seen).await;
    }
    let right = profile(r#"stop {"status": 403, "body": "no"}"#);
    expect("stop", runner.path(), &right, patient(), ("right", "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_chain() {
    let both = "plugins: {stop: {conf: [{name: a}]}, rewrite-headers: {conf: [{name: b}]}}";
    let goes_on = fake(rewriting());
    let seen = ("wrong", "it does not answer the request: Some(Rewrite");
    expect("stop-ends-chain", goes_on.path(), both, patient(), seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_changes_something() {
    for (rule, behaviour) in [
        ("rewrite-path", "rewrite-path"),
        ("rewrite-headers", "rewrite-headers"),
        ("rewrite-args", "rewrite-args"),
        ("rewrite-body", "rewrite-body"),
        ("rewrite-response-headers", "rewrite-response-headers"),
        ("rewrite-only", "rewrite-headers"),
        ("chain-order", r#"chain {"headers": {"x": "1"}}"#),
    ] {
        breaks_with(rule, behaviour, idle().path(), "it changes nothing").await;
    }
    let other = fake(rewriting_headers(&[header("x-new", "1")]));
    for (rule, seen) in [
        ("rewrite-path", "it does not change the path"),
        ("rewrite-args", "it changes no arguments"),
        ("rewrite-body", "it does not change the body"),
        ("rewrite-response-headers", "it changes no response headers"),
    ] {
        breaks_with(rule, rule, other.path(), seen).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_changes_what_is_expected() {
    let runner = fake(rewriting());
    let another = r#"rewrite-path {"path": "/the/other"}"#;
    let seen = r#"path: expected "/the/other", got "/another""#;
    breaks_with("rewrite-path", another, runner.path(), seen).await;

    let runner = fake(rewriting_headers(&[header("X-New", "1")]));
    for (expect, seen) in [
        (r#"{"x-new": "2"}"#, r#"expected "x-new": Some("2")"#),
        (r#"{"x-new": null}"#, r#"expected "x-new": None"#),
        (r#"{"x-old": null}"#, r#"expected "x-old": None"#),
    ] {
        let behaviour = format!(r#"rewrite-headers {{"headers": {expect}}}"#);
        breaks_with("rewrite-headers", &behaviour, runner.path(), seen).await;
    }
    let right = profile(r#"rewrite-headers {"headers": {"x-new": "1"}}"#);
    expect(
        "rewrite-headers",
        runner.path(),
        &right,
        patient(),
        ("right", ""),
    )
    .await;

    let twice = fake(rewriting_headers(&[
        header("x-last", "b"),
        header("x-last", "a"),
    ]));
    let chain = r#"chain {"headers": {"x-last": "b"}}"#;
    breaks_with(
        "chain-order",
        chain,
        twice.path(),
        r#"expected "x-last": Some("b")"#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_leaves_the_rest_alone() {
    let (rule, behaviour) = ("rewrite-only", "rewrite-headers");
    let untouched = "x-conform-untouched";
    let runner = fake(rewriting_headers(&[header(untouched, "changed")]));
    breaks_with(
        rule,
        behaviour,
        runner.path(),
        "a header that nobody touched",
    )
    .await;
    breaks_with(
        rule,
        behaviour,
        fake(rewriting()).path(),
        "it changes the path",
    )
    .await;
    let args = [header("new", "1")];
    let runner = fake(acting(Action::Rewrite(Rewrite {
        args: Entries::from(&args),
        ..Default::default()
    })));
    breaks_with(
        rule,
        behaviour,
        runner.path(),
        "arguments that nobody touched",
    )
    .await;
    let runner = fake(acting(Action::Rewrite(Rewrite {
        body: Some(b""),
        ..Default::default()
    })));
    breaks_with(rule, behaviour, runner.path(), "it changes the body").await;
    let runner = fake(rewriting_headers(&[
        header("x-new", "1"),
        header(untouched, "as it was"),
    ]));
    varies(
        rule,
        &profile(behaviour),
        runner.path(),
        "restates what nobody touched",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told() {
    let (rule, behaviour) = ("plugin-failure", "fail");
    breaks_with(rule, behaviour, idle().path(), "as if nothing had failed").await;
    let lost = fake(Answer::error(Code::ConfTokenNotFound));
    breaks_with(rule, behaviour, lost.path(), "so a host repeats the call").await;
    is_mute(rule, &profile(behaviour), fake(Answer::new()).path()).await;
    let hangs_up = fake(Answer::new().close());
    varies(
        rule,
        &profile(behaviour),
        hangs_up.path(),
        "closes the connection",
    )
    .await;
    let vague = fake(Answer::error(Code::BadRequest));
    varies(
        rule,
        &profile(behaviour),
        vague.path(),
        "it answers BAD_REQUEST",
    )
    .await;
}

/// The token that a fake gives to the second configuration that it is sent: the
/// first one is to see whether it is well.
const SECOND: u32 = 2;

/// Long enough to be seen, and for no machine to be quicker without waiting.
const WAIT: Duration = Duration::from_millis(100);

/// A runner whose plugin holds everything up while it waits.
fn serial() -> FakeRunner {
    let (send, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let blocks = |received: &OwnedFrame| {
                if request(received).conf_token.0 == SECOND {
                    std::thread::sleep(WAIT);
                }
                unchanged(received)
            };
            // The fake belongs to this thread's runtime, the handle to the test.
            send.send(fake(Answer::new().reply_with(blocks))).unwrap();
            // Ends with the test program.
            std::future::pending::<()>().await;
        });
    });
    started.recv().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_do_not_wait_for_each_other() {
    let runner = serial();
    breaks_with(
        "side-by-side",
        "wait",
        runner.path(),
        "had to wait until this one",
    )
    .await;
    let runner = serial();
    breaks_with(
        "waiting-calls",
        "wait",
        runner.path(),
        "one after the other",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_does_not_wait_shows_nothing() {
    for rule in ["side-by-side", "waiting-calls"] {
        let runner = idle();
        let target = Target::Socket(runner.path().to_owned());
        let report = try_rule(rule, target, &profile("wait"), patient()).await;
        let verdict = report.played()[0].verdict();
        // Right on a machine so slow that an answer takes as long as a wait.
        let seen = verdict.seen();
        assert!(
            seen.is_empty() || seen.contains("which is less than"),
            "{verdict:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_changed_as_expected() {
    let (rule, behaviour) = ("change-response", "change-response");
    breaks_with(rule, behaviour, idle().path(), "it changes nothing").await;
    let runner = FakeRunner::start().unwrap();
    runner.always(
        RpcType::HttpRespCall,
        Answer::message(&http_resp_call::Response {
            id: 7,
            status: 203,
            headers: Entries::default(),
            body: Some(b"new"),
        }),
    );
    for (expect, seen) in [
        (r#"{"status": 500}"#, "status: expected 500, got 203"),
        (
            r#"{"body": "other"}"#,
            r#"body: expected "other", got "new""#,
        ),
        (r#"{"headers": {"x": null}}"#, "headers: expected"),
    ] {
        breaks_with(rule, &format!("{behaviour} {expect}"), runner.path(), seen).await;
    }
    let right = profile(r#"change-response {"status": 203, "body": "new"}"#);
    expect(rule, runner.path(), &right, patient(), ("right", "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_plugin_is_not_tested_without() {
    let runner = idle();
    let seen = (
        "not tested",
        "needs a plugin that answers the request (`stop`)",
    );
    expect("stop", runner.path(), NONE, patient(), seen).await;
    let seen = (
        "not tested",
        "needs a command that starts the runner (--cmd)",
    );
    expect("sigterm", runner.path(), NONE, patient(), seen).await;
}
