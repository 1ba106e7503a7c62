//! Each plugin as a route meets it, and the frames of a real gateway.

use std::time::Duration;

use outrigger_a6::error::Code;
use outrigger_a6::{ConfToken, http_req_call, prepare_conf};
use outrigger_testkit::{Asked, FakeHost, FrameStream, RequestVerdict};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::runner;

fn route(plugin: &str, conf: Value) -> FakeHost {
    FakeHost::new(runner(false)).prepare(plugin, conf)
}

/// Whether the runner refuses this configuration.
async fn refuses(plugin: &str, conf: Value) -> bool {
    match route(plugin, conf).token().await {
        Ok(_) => false,
        Err(failure) => failure.code() == Some(Code::BadRequest),
    }
}

#[tokio::test]
async fn say_answers() {
    let mut route = route("say", json!({"body": "hello from runner\n"}));
    let answer = route.request("GET", "/say").send().await.expect_stop();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "hello from runner\n")
    );
    assert_eq!(answer.headers, [("X-Resp-A6-Runner", Some("Rust"))]);
}

#[tokio::test]
async fn say_with_nothing_to_say_lets_pass() {
    for conf in [json!({}), json!({"body": ""})] {
        route("say", conf)
            .request("GET", "/")
            .send()
            .await
            .expect_unchanged();
    }
    assert!(refuses("say", json!({"body": 1})).await);
}

#[tokio::test]
async fn header_rewrite_sets_headers_in_either_phase() {
    let mut route = route(
        "header-rewrite",
        json!({"headers": {"X-A": "new", "X-B": "b"}}),
    );
    let call = route
        .request("GET", "/")
        .header("x-a", "1")
        .header("x-a", "2")
        .header("x-c", "3");
    let rewrite = call.send().await.expect_rewrite();
    assert_eq!(rewrite.headers, [("X-A", Some("new")), ("X-B", Some("b"))]);
    assert!(rewrite.response_headers.is_empty() && rewrite.body.is_none());
    let change = route
        .response(200)
        .header("X-B", "b")
        .send()
        .await
        .expect_answer();
    assert_eq!(change.headers, [("X-A", Some("new"))]);
    assert!(refuses("header-rewrite", json!({})).await);
}

#[tokio::test]
async fn fault_injection_hits_all_or_none_or_some() {
    let fault =
        |percentage: Value| json!({"http_status": 418, "body": "tea\n", "percentage": percentage});
    let mut all = route(
        "fault-injection",
        json!({"http_status": 418, "body": "tea\n"}),
    );
    let answer = all.request("GET", "/").send().await.expect_stop();
    assert_eq!((answer.status, answer.text().as_str()), (418, "tea\n"));
    let mut none = route("fault-injection", fault(json!(0)));
    let mut half = route("fault-injection", fault(json!(50)));
    let mut hits = 0;
    for _ in 0..200 {
        none.request("GET", "/").send().await.expect_unchanged();
        let verdict = half.request("GET", "/").send().await.expect_answer();
        hits += u32::from(matches!(verdict, RequestVerdict::Stopped(_)));
    }
    // Outside of this once in 10^17 runs.
    assert!((40..=160).contains(&hits), "{hits} of 200");
}

#[tokio::test]
async fn fault_injection_refuses_what_makes_no_sense() {
    for conf in [
        json!({}),
        json!({"http_status": 100}),
        json!({"http_status": 500, "percentage": 101}),
        json!({"http_status": 500, "percentage": -1}),
    ] {
        assert!(refuses("fault-injection", conf.clone()).await, "{conf}");
    }
}

#[tokio::test(start_paused = true)]
async fn limit_req_makes_requests_beyond_the_burst_wait_for_their_turn() {
    let mut route = route("limit-req", json!({"rate": 2, "burst": 3}));
    route.token().await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..6 {
        let start = Instant::now();
        route.request("GET", "/").send().await.expect_unchanged();
        waits.push(start.elapsed().as_millis() / 10 * 10);
    }
    assert_eq!(waits, [0, 0, 0, 500, 500, 500]);
    tokio::time::advance(Duration::from_secs(60)).await;
    let start = Instant::now();
    for _ in 0..3 {
        route.request("GET", "/").send().await.expect_unchanged();
    }
    assert!(
        start.elapsed() < Duration::from_millis(10),
        "the bucket is full again, not fuller"
    );
}

#[tokio::test(start_paused = true)]
async fn limit_req_refuses_who_would_wait_too_long() {
    let mut first = route("limit-req", json!({"rate": 0.1, "burst": 1}));
    first.token().await.unwrap();
    let start = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let mut host = first.another();
        calls.spawn(async move {
            let verdict = host.request("GET", "/").send().await.expect_answer();
            (start.elapsed().as_secs(), verdict)
        });
    }
    let mut ended = calls.join_all().await;
    ended.sort_by_key(|(after, _)| *after);
    let refused: Vec<u64> = ended
        .iter()
        .filter(
            |(_, verdict)| matches!(verdict, RequestVerdict::Stopped(stop) if stop.status == 503),
        )
        .map(|(after, _)| *after)
        .collect();
    let passed: Vec<u64> = ended
        .iter()
        .filter(|(_, verdict)| *verdict == RequestVerdict::Unchanged)
        .map(|(after, _)| *after)
        .collect();
    assert_eq!((passed, refused), (vec![0, 10, 20, 30], vec![0, 0]));
}

#[tokio::test]
async fn limit_req_refuses_what_makes_no_sense() {
    for conf in [
        json!({"rate": 0, "burst": 1}),
        json!({"rate": -1, "burst": 1}),
        json!({"rate": 1e-300, "burst": 1}),
        json!({"rate": 1, "burst": 0}),
        json!({"rate": 1}),
    ] {
        assert!(refuses("limit-req", conf.clone()).await, "{conf}");
    }
}

#[tokio::test]
async fn request_body_rewrite_replaces_the_body() {
    let mut rewriting = route("request-body-rewrite", json!({"new_body": "new"}));
    let outcome = rewriting.request("POST", "/").body("old").send().await;
    assert!(outcome.asked.is_empty(), "the old one is not needed");
    assert_eq!(outcome.expect_rewrite().body.as_deref(), Some(&b"new"[..]));
    let mut idle = route("request-body-rewrite", json!({"new_body": ""}));
    idle.request("POST", "/")
        .body("old")
        .send()
        .await
        .expect_unchanged();
}

#[tokio::test]
async fn response_rewrite_replaces_status_headers_and_body() {
    let conf = json!({"status": 203, "headers": {"X-New": "1"}, "body": "new"});
    let mut rewriting = route("response-rewrite", conf);
    let outcome = rewriting.response(200).body("old").send().await;
    assert!(outcome.asked.is_empty(), "the old body is not needed");
    let change = outcome.expect_answer();
    assert_eq!(change.status, Some(203));
    assert_eq!(
        change.headers,
        [("X-Resp-A6-Runner", Some("Rust")), ("X-New", Some("1"))]
    );
    assert_eq!(change.body.as_deref(), Some(&b"new"[..]));
}

#[tokio::test]
async fn response_rewrite_leaves_what_it_is_not_told_to_change() {
    for conf in [json!({}), json!({"status": 0, "body": ""})] {
        let change = route("response-rewrite", conf)
            .response(200)
            .send()
            .await
            .expect_answer();
        assert_eq!((change.status, change.body), (None, None));
        assert_eq!(change.headers, [("X-Resp-A6-Runner", Some("Rust"))]);
    }
}

/// What filters make of a body.
async fn filtered(filters: Value, body: &str) -> Option<String> {
    // With filters the `body` counts for nothing.
    let mut rewriting = route("response-rewrite", json!({"filters": filters, "body": "x"}));
    let outcome = rewriting.response(200).body(body).send().await;
    assert_eq!(outcome.asked, [Asked::ResponseBody]);
    let body = outcome.expect_answer().body;
    body.map(|body| String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn response_rewrite_filters_the_body() {
    let filter = |regex: &str, scope: &str, replace: &str| json!({"regex": regex, "scope": scope, "replace": replace});
    let once = json!([filter("[0-9]+", "once", "N")]);
    assert_eq!(
        filtered(once, "a 1 b 22 c 1").await.as_deref(),
        Some("a N b 22 c 1")
    );
    let global = json!([filter("[0-9]+", "global", "N")]);
    assert_eq!(
        filtered(global, "a 1 b 22 c 1").await.as_deref(),
        Some("a N b N c N")
    );
    let both = json!([filter("a", "once", "b"), filter("b", "global", "$0c")]);
    assert_eq!(filtered(both, "ab").await.as_deref(), Some("$0c$0c"));
    let default_scope = json!([{"regex": "a", "replace": "b"}]);
    assert_eq!(filtered(default_scope, "aa").await.as_deref(), Some("ba"));
    let missing = json!([filter("z", "global", "b")]);
    assert_eq!(filtered(missing, "aa").await, None);
}

#[tokio::test]
async fn response_rewrite_refuses_what_makes_no_sense() {
    for conf in [
        json!({"status": 99}),
        json!({"status": 1000}),
        json!({"filters": [{"regex": "("}]}),
        json!({"filters": [{"regex": "a", "scope": "twice"}]}),
        json!({"headers": {"a": 1}}),
    ] {
        assert!(refuses("response-rewrite", conf.clone()).await, "{conf}");
    }
}

#[tokio::test(start_paused = true)]
async fn wait_waits() {
    let mut route = route("wait", json!({"ms": 1500}));
    let start = Instant::now();
    route.request("GET", "/").send().await.expect_unchanged();
    assert_eq!(start.elapsed().as_millis() / 10, 150);
}

/// What a real APISIX sent to a real Go runner, and what that one answered.
macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../../a6/tests/golden/go-", $name, ".bin"))
    };
}

#[tokio::test]
async fn a_real_gateway_gets_what_the_go_runner_answered() {
    let service = runner(false).into_service().unwrap();
    let (ours, theirs) = tokio::io::duplex(4096);
    tokio::spawn(async move { service.serve_connection(theirs).await });
    let mut gateway = FrameStream::new(ours);

    gateway
        .send_bytes(golden!("01-host-prepare-conf"))
        .await
        .unwrap();
    let reply = gateway.receive().await.unwrap().unwrap();
    let ConfToken(token) = reply.decode::<prepare_conf::Response>().unwrap().conf_token;

    // The captured call has the Go runner's token, which was 1.
    let captured = golden!("03-host-http-req-call");
    let mut call: http_req_call::Request<'_> =
        outrigger_a6::Decode::decode(&captured[4..]).unwrap();
    assert_eq!(call.conf_token, ConfToken(1));
    call.conf_token = ConfToken(token);
    gateway.send(&call).await.unwrap();

    let reply = gateway.receive().await.unwrap().unwrap();
    let ours = RequestVerdict::from(reply.decode::<http_req_call::Response<'_>>().unwrap());
    let go: http_req_call::Response<'_> =
        outrigger_a6::Decode::decode(&golden!("04-runner-http-req-call")[4..]).unwrap();
    let RequestVerdict::Stopped(mut go) = RequestVerdict::from(go) else {
        panic!("{go:?}")
    };
    assert_eq!(go.headers, [("X-Resp-A6-Runner", Some("Go"))]);
    go.headers = [("X-Resp-A6-Runner", Some("Rust"))].into_iter().collect();
    assert_eq!(ours, RequestVerdict::Stopped(go));
}
