//! What plugins see of a response, and what becomes of their changes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use outrigger_runner::Runner;
use outrigger_testkit::{Asked, FakeHost};
use serde_json::json;
use support::{OnResponse, on_response};

#[tokio::test]
async fn everything_a_host_sends_can_be_read() {
    let mut host = on_response(|response| {
        Box::pin(async move {
            assert_eq!(response.status(), 404);
            assert_eq!(
                response.headers().get_str("Content-Type"),
                Some("text/plain")
            );
            assert_eq!(
                response.var_str("request_uri").await?.as_deref(),
                Some("/x?y")
            );
            assert_eq!(&response.body().await?[..], b"not here");
            assert_eq!(&response.body().await?[..], b"not here");
            Ok(())
        })
    });
    let call = host
        .response(404)
        .header("content-type", "text/plain")
        .var("request_uri", "/x?y")
        .body("not here");
    let outcome = call.send().await;
    assert_eq!(
        outcome.asked,
        [Asked::Var("request_uri".to_owned()), Asked::ResponseBody]
    );
    outcome.expect_unchanged();
}

#[tokio::test]
async fn changes_are_sent_and_nothing_else() {
    let mut host = on_response(|response| {
        Box::pin(async move {
            response.set_status(201);
            response.headers_mut().set("x-new", "1");
            response.headers_mut().remove("server");
            response.headers_mut().add("set-cookie", "b=2");
            response.set_body("new");
            Ok(())
        })
    });
    let call = host
        .response(200)
        .header("server", "x")
        .header("set-cookie", "a=1")
        .header("content-type", "text/plain");
    let change = call.send().await.expect_answer();
    assert_eq!(change.status, Some(201));
    assert_eq!(
        change.headers,
        [
            ("x-new", Some("1")),
            ("server", None),
            ("set-cookie", Some("a=1")),
            ("set-cookie", Some("b=2"))
        ]
    );
    assert_eq!(change.body.as_deref(), Some(&b"new"[..]));
}

#[tokio::test]
async fn what_is_set_to_what_it_was_is_no_change() {
    let mut host = on_response(|response| {
        Box::pin(async move {
            response.set_status(200);
            response.headers_mut().set("a", "1");
            let body = response.body().await?;
            response.set_body(body);
            Ok(())
        })
    });
    host.response(200)
        .header("a", "1")
        .body("x")
        .send()
        .await
        .expect_unchanged();
}

#[tokio::test]
async fn all_plugins_run_and_each_sees_what_the_ones_before_it_changed() {
    let first = OnResponse::new("first", |response| {
        Box::pin(async move {
            response.set_status(500);
            response.headers_mut().set("x", "1");
            response.set_body("first");
            Ok(())
        })
    });
    let second = OnResponse::new("second", |response| {
        Box::pin(async move {
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers().get_str("x"), Some("1"));
            assert_eq!(&response.body().await?[..], b"first");
            response.set_body("second");
            Ok(())
        })
    });
    let runner = Runner::new().plugin(first).plugin(second);
    let host = FakeHost::new(runner).prepare("first", json!({}));
    let change = host
        .prepare("second", json!({}))
        .response(200)
        .send()
        .await
        .expect_answer();
    assert_eq!(change.status, Some(500));
    assert_eq!(change.body.as_deref(), Some(&b"second"[..]));
}

/// A host whose runner names all headers, with a plugin that sets one, removes
/// one, and replaces the body where it is asked to.
fn host_of_all_headers() -> FakeHost {
    let plugin = OnResponse::new("test", |response| {
        Box::pin(async move {
            response.headers_mut().set("x-new", "1");
            response.headers_mut().remove("server");
            if response.headers().contains("replace") {
                response.set_body("new");
                response.headers_mut().set("ETag", "\"new\"");
            }
            Ok(())
        })
    });
    let runner = Runner::new().plugin(plugin).send_all_response_headers();
    FakeHost::new(runner).prepare("test", json!({}))
}

#[tokio::test]
async fn all_headers_are_named_for_a_host_that_drops_the_others() {
    let mut host = host_of_all_headers();
    let call = host
        .response(200)
        .header("Content-Type", "text/plain")
        .header("server", "x")
        .header("content-length", "5")
        .header("Connection", "close")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2")
        .header("content-encoding", "gzip");
    let change = call.send().await.expect_answer();
    assert_eq!(
        change.headers,
        [
            ("Content-Type", Some("text/plain")),
            ("set-cookie", Some("a=1")),
            ("set-cookie", Some("b=2")),
            ("content-encoding", Some("gzip")),
            ("x-new", Some("1")),
            ("server", None)
        ]
    );
}

#[tokio::test]
async fn headers_of_a_body_that_is_gone_are_not_named_unless_set() {
    let mut host = host_of_all_headers();
    let call = host
        .response(200)
        .header("replace", "1")
        .header("content-encoding", "gzip")
        .header("etag", "\"old\"");
    let change = call.send().await.expect_answer();
    assert_eq!(
        change.headers,
        [
            ("replace", Some("1")),
            ("ETag", Some("\"new\"")),
            ("x-new", Some("1"))
        ]
    );
}
