//! What plugins keep for a request: how it gets to the host and back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use outrigger_runner::Runner;
use outrigger_testkit::{Asked, FakeHost};
use serde_json::json;
use support::{OnRequest, on_request, on_response};

#[tokio::test]
async fn a_value_goes_to_the_host_as_a_header_of_the_reserved_name() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            request.set_context("User-Id", "7");
            request.set_context("user_id", "8");
            request.set_context("bytes", b"\xff");
            request.remove_context("gone");
            request.headers_mut().set("x-other", "1");
            Ok(())
        })
    });
    let rewrite = host.request("GET", "/").send().await.expect_rewrite();
    let header = |name: &str| {
        let found = rewrite
            .headers
            .0
            .iter()
            .find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(header("x-outrigger-ctx-user_id"), Some(Some(b"8".to_vec())));
    assert_eq!(
        header("x-outrigger-ctx-bytes"),
        Some(Some(b"\xff".to_vec()))
    );
    assert_eq!(header("x-outrigger-ctx-gone"), Some(None));
    assert_eq!(rewrite.headers.0.len(), 4);
}

#[tokio::test]
async fn a_value_comes_from_the_host_as_a_variable_or_from_the_plugin_before() {
    let runner = Runner::new()
        .plugin(OnRequest::new("first", |request| {
            Box::pin(async move {
                request.set_context("mine", "here");
                request.remove_context("old");
                Ok(())
            })
        }))
        .plugin(OnRequest::new("second", |request| {
            Box::pin(async move {
                let mut answer = String::new();
                for name in ["mine", "old", "Their-Value", "unknown"] {
                    let value = request.context(name).await?;
                    let value = value.unwrap_or_else(|| "none".into());
                    answer += std::str::from_utf8(&value)?;
                    answer += " ";
                }
                request.stop(200).body(answer);
                Ok(())
            })
        }));
    let mut host = FakeHost::new(runner)
        .prepare("first", json!({}))
        .prepare("second", json!({}));
    let call = host
        .request("GET", "/")
        .var("ctx_old", "1")
        .var("ctx_their_value", "there");
    let outcome = call.send().await;
    let asked = ["ctx_their_value", "ctx_unknown"].map(|name| Asked::Var(name.to_owned()));
    assert_eq!(outcome.asked, asked);
    let answer = outcome.expect_stop();
    assert_eq!(answer.text(), "here none there none ");
    let kept = ("x-outrigger-ctx-mine", Some("here"));
    assert_eq!(answer.headers, [kept, ("x-outrigger-ctx-old", None)]);
}

#[tokio::test]
async fn a_response_call_reads_and_sets_values_and_may_ask_for_the_requests_body() {
    let mut host = on_response(|response| {
        Box::pin(async move {
            let started = response.context("started").await?.unwrap_or_default();
            let (request, body) = (response.request_body().await?, response.body().await?);
            response.set_context("seen", [&started[..], &request, &body].concat());
            Ok(())
        })
    });
    let call = host
        .response(200)
        .var("ctx_started", "1")
        .request_body("2")
        .body("3");
    let change = call.send().await.expect_answer();
    assert_eq!(change.headers, [("x-outrigger-ctx-seen", Some("123"))]);
    assert_eq!(change.body, None);
}

#[tokio::test]
async fn a_value_that_no_header_can_have_fails_the_call() {
    for (name, value) in [("", "1"), ("a b", "1"), ("a", "1\n2"), ("a", "\0")] {
        let mut host = on_request(move |request| {
            Box::pin(async move {
                request.set_context(name, value);
                Ok(())
            })
        });
        host.request("GET", "/").send().await.expect_failure();
    }
}
