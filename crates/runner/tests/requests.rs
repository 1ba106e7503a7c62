//! What plugins see of a request, and what becomes of their changes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::net::IpAddr;

use futures_util::FutureExt;
use outrigger_runner::{Method, Request, Runner};
use outrigger_testkit::{Asked, FakeHost, RequestVerdict};
use serde_json::json;
use support::{OnRequest, on_request};

#[tokio::test]
async fn everything_a_host_sends_can_be_read() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            assert_eq!(request.method(), Method::Propfind);
            assert_eq!(request.path_str(), Some("/a b"));
            assert_eq!(request.source_ip(), Some("10.1.2.3".parse::<IpAddr>()?));
            assert_eq!(request.headers().get_str("Host"), Some("a.test"));
            assert_eq!(request.headers().get("x-raw"), Some(&b"\xff\x80"[..]));
            let multi: Vec<_> = request.headers().get_all("x-multi").collect();
            assert_eq!(multi, [b"one", b"two"]);
            let args: Vec<_> = request.args().iter().collect();
            assert_eq!(args[0], (&b"x"[..], Some(&b"1"[..])));
            assert_eq!(args[1], (&b"flag"[..], None));
            Ok(())
        })
    });
    let call = host
        .request("PROPFIND", "/a b")
        .source_ip("10.1.2.3".parse().unwrap())
        .header("host", "a.test")
        .header("x-multi", "one")
        .header("x-raw", b"\xff\x80")
        .header("x-multi", "two")
        .arg("x", "1")
        .flag("flag");
    call.send().await.expect_unchanged();
}

#[tokio::test]
async fn an_ipv6_address_is_one_and_a_client_may_have_none() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            let shown = request
                .source_ip()
                .map_or("none".to_owned(), |ip| ip.to_string());
            request.stop(200).body(shown);
            Ok(())
        })
    });
    let call = host
        .request("GET", "/")
        .source_ip("2001:db8::1".parse().unwrap());
    assert_eq!(call.send().await.expect_stop().text(), "2001:db8::1");
    let call = host.request("GET", "/").source_ip_bytes(&[]);
    assert_eq!(call.send().await.expect_stop().text(), "none");
}

#[tokio::test]
async fn an_answer_has_status_headers_and_body() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            let answer = request.stop(403).header("x-reason", "blocked");
            answer
                .header("set-cookie", "a=1")
                .header("Set-Cookie", "b=2")
                .body("no\n");
            Ok(())
        })
    });
    let answer = host.request("GET", "/").send().await.expect_stop();
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.headers,
        [
            ("x-reason", Some("blocked")),
            ("set-cookie", Some("a=1")),
            ("Set-Cookie", Some("b=2"))
        ]
    );
    assert_eq!(answer.text(), "no\n");
}

#[tokio::test]
async fn changes_are_sent_and_nothing_else() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            request.set_path("/new path?");
            request.headers_mut().set("X-New", "1");
            request.headers_mut().remove("x-old");
            request.headers_mut().add("x-multi", "two");
            request.args_mut().set("a", "b=&c");
            request.args_mut().remove("gone");
            request.response_headers_mut().set("x-from-runner", "yes");
            request.set_body("new body");
            Ok(())
        })
    });
    let call = host
        .request("GET", "/old")
        .header("x-old", "1")
        .header("x-multi", "one")
        .header("x-same", "1")
        .arg("gone", "1");
    let rewrite = call.send().await.expect_rewrite();
    assert_eq!(rewrite.path.as_deref(), Some(&b"/new path?"[..]));
    assert_eq!(
        rewrite.headers,
        [
            ("X-New", Some("1")),
            ("x-old", None),
            ("x-multi", Some("one")),
            ("x-multi", Some("two"))
        ]
    );
    assert_eq!(rewrite.args, [("a", Some("b=&c")), ("gone", None)]);
    assert_eq!(rewrite.response_headers, [("x-from-runner", Some("yes"))]);
    assert_eq!(rewrite.body.as_deref(), Some(&b"new body"[..]));
}

#[tokio::test]
async fn what_is_set_to_what_it_was_is_no_change() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            let path = request.path().to_vec();
            request.set_path(path);
            request.headers_mut().set("host", "a.test");
            request.args_mut().remove("absent");
            let body = request.body().await?;
            request.set_body(body);
            Ok(())
        })
    });
    let call = host
        .request("POST", "/x")
        .header("host", "a.test")
        .body("body");
    call.send().await.expect_unchanged();
}

#[tokio::test]
async fn a_body_can_be_emptied() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            request.set_body("");
            Ok(())
        })
    });
    let rewrite = host
        .request("POST", "/")
        .body("old")
        .send()
        .await
        .expect_rewrite();
    assert_eq!(rewrite.body.as_deref(), Some(&b""[..]));
}

#[tokio::test]
async fn variables_are_asked_once_and_only_when_wanted() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            for _ in 0..2 {
                assert_eq!(request.var_str("route_id").await?.as_deref(), Some("7"));
                assert_eq!(request.var("empty").await?.as_deref(), Some(&b""[..]));
                assert_eq!(request.var("unset").await?, None);
                assert_eq!(request.var("raw").await?.as_deref(), Some(&b"\xff"[..]));
                assert_eq!(request.var_str("raw").await?, None);
            }
            Ok(())
        })
    });
    let call = host
        .request("GET", "/")
        .var("route_id", "7")
        .var("empty", "")
        .var("raw", b"\xff");
    let outcome = call.send().await;
    let asked = ["route_id", "empty", "unset", "raw"].map(|name| Asked::Var(name.to_owned()));
    assert_eq!(outcome.asked, asked);
    outcome.expect_unchanged();
}

#[tokio::test]
async fn the_body_is_asked_once_and_may_be_missing() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            let length = request.body().await?.len();
            assert_eq!(request.body().await?.len(), length);
            request.stop(200).body(length.to_string());
            Ok(())
        })
    });
    let big = vec![b'x'; 9_000_000];
    let outcome = host.request("POST", "/").body(&big).send().await;
    assert_eq!(outcome.asked, [Asked::RequestBody]);
    assert_eq!(outcome.expect_stop().text(), "9000000");
    assert_eq!(
        host.request("GET", "/").send().await.expect_stop().text(),
        "0"
    );
}

/// Asks for the body and gives up: before the question is sent, or after.
async fn ask_and_give_up(request: &mut Request, after_sending: bool) {
    if after_sending {
        tokio::select! {
            biased;
            _ = request.body() => panic!("no answer can be there yet"),
            () = tokio::task::yield_now() => {}
        }
    } else {
        assert!(
            request.body().now_or_never().is_none(),
            "no answer can be there yet"
        );
    }
}

#[tokio::test]
async fn a_plugin_that_gives_up_waiting_keeps_the_connection_in_step() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            for after_sending in [true, false] {
                ask_and_give_up(request, after_sending).await;
            }
            let n = request.var_str("n").await?;
            request.stop(200).body(n.unwrap_or_default());
            Ok(())
        })
    });
    for n in ["1", "2", "3"] {
        let outcome = host
            .request("POST", "/")
            .body("late")
            .var("n", n)
            .send()
            .await;
        assert_eq!(
            outcome.asked,
            [
                Asked::RequestBody,
                Asked::RequestBody,
                Asked::Var("n".to_owned())
            ]
        );
        assert_eq!(outcome.expect_stop().text(), n);
    }
}

#[tokio::test]
async fn a_call_may_end_while_its_question_is_open() {
    let mut host = on_request(|request| {
        Box::pin(async move {
            ask_and_give_up(request, request.path() == b"/sent").await;
            Ok(())
        })
    });
    for _ in 0..3 {
        let sent = host.request("POST", "/sent").body("late").send().await;
        assert_eq!(sent.asked, [Asked::RequestBody]);
        sent.expect_unchanged();
        let unsent = host.request("POST", "/unsent").body("late").send().await;
        assert_eq!(unsent.asked, []);
        unsent.expect_unchanged();
    }
}

/// Two plugins in one route: `first`, then `second`.
fn chain(runner: Runner) -> FakeHost {
    FakeHost::new(runner)
        .prepare("first", json!({}))
        .prepare("second", json!({}))
}

#[tokio::test]
async fn each_plugin_sees_what_the_ones_before_it_changed() {
    let second = OnRequest::new("second", |request| {
        Box::pin(async move {
            assert_eq!(request.path(), b"/first");
            assert_eq!(request.headers().get_str("x-first"), Some("1"));
            assert!(!request.headers().contains("x-gone"));
            assert_eq!(request.args().get_str("a"), Some("1"));
            assert_eq!(&request.body().await?[..], b"first");
            assert_eq!(request.response_headers().get_str("x-r"), Some("1"));
            request.headers_mut().set("x-first", "2");
            request.response_headers_mut().add("x-r", "2");
            Ok(())
        })
    });
    let first = OnRequest::new("first", |request| {
        Box::pin(async move {
            request.set_path("/first");
            request.headers_mut().set("x-first", "1");
            request.headers_mut().remove("x-gone");
            request.args_mut().set("a", "1");
            request.set_body("first");
            request.response_headers_mut().set("x-r", "1");
            Ok(())
        })
    });
    // The order is the configuration's, not that of registration.
    let mut host = chain(Runner::new().plugin(second).plugin(first));
    let outcome = host.request("GET", "/").header("x-gone", "1").send().await;
    assert!(
        outcome.asked.is_empty(),
        "a body that was replaced is not asked for"
    );
    let rewrite = outcome.expect_rewrite();
    assert_eq!(rewrite.headers, [("x-first", Some("2")), ("x-gone", None)]);
    assert_eq!(
        rewrite.response_headers,
        [("x-r", Some("1")), ("x-r", Some("2"))]
    );
}

#[tokio::test]
async fn what_one_plugin_asked_the_next_one_knows() {
    let reader = |name| {
        OnRequest::new(name, |request| {
            Box::pin(async move {
                assert_eq!(request.var_str("a").await?.as_deref(), Some("1"));
                assert_eq!(&request.body().await?[..], b"body");
                Ok(())
            })
        })
    };
    let mut host = chain(
        Runner::new()
            .plugin(reader("first"))
            .plugin(reader("second")),
    );
    let outcome = host
        .request("GET", "/")
        .var("a", "1")
        .body("body")
        .send()
        .await;
    assert_eq!(outcome.asked.len(), 2);
    outcome.expect_unchanged();
}

#[tokio::test]
async fn an_answer_ends_the_chain_and_outweighs_changes() {
    let first = OnRequest::new("first", |request| {
        Box::pin(async move {
            request.set_path("/changed");
            request.stop(201);
            Ok(())
        })
    });
    let second = OnRequest::new("second", |_| Box::pin(async { panic!("not to be run") }));
    let mut host = chain(Runner::new().plugin(first).plugin(second));
    let answer = host.request("GET", "/").send().await.expect_stop();
    assert_eq!((answer.status, answer.body.len()), (201, 0));
}

#[tokio::test]
async fn a_route_without_plugins_changes_nothing() {
    let mut host = FakeHost::new(Runner::new());
    let verdict = host.request("GET", "/").send().await.expect_answer();
    assert_eq!(verdict, RequestVerdict::Unchanged);
}

#[tokio::test]
async fn a_plugin_for_the_other_phase_changes_nothing() {
    let mut host = on_request(|_| Box::pin(async { panic!("not a request") }));
    host.response(200).send().await.expect_unchanged();
}
