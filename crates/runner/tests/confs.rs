//! Preparing configurations: refusals with their reason in the log, and tokens.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use outrigger_a6::ConfToken;
use outrigger_a6::error::Code;
use outrigger_runner::{Plugin, Request, Result, Runner};
use outrigger_testkit::FakeHost;
use serde_json::json;
use support::Log;

/// Answers with its configuration.
struct Say;

#[derive(serde::Deserialize)]
struct Conf {
    #[serde(default)]
    body: String,
}

impl Plugin for Say {
    type Conf = Conf;

    fn name(&self) -> &str {
        "say"
    }

    async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
        request.stop(200).body(conf.body.clone());
        Ok(())
    }
}

fn host() -> FakeHost {
    FakeHost::new(Runner::new().plugin(Say))
}

async fn said(host: &mut FakeHost) -> String {
    host.request("GET", "/").send().await.expect_stop().text()
}

async fn refused(host: FakeHost) -> (Option<Code>, Vec<String>) {
    let log = Log::new();
    let failure = { host }.token().await.expect_err("refused");
    (failure.code(), log.lines())
}

#[tokio::test]
async fn an_unknown_plugin_is_refused_and_named() {
    let (code, log) = refused(host().prepare("syas", json!({}))).await;
    assert_eq!(code, Some(Code::BadRequest));
    assert_eq!(log.len(), 1, "{log:?}");
    let expected = "configuration refused: there is no plugin syas; this runner has: say";
    assert!(log[0].contains(expected), "{log:?}");
    assert!(log[0].contains("route#1#ext-plugin-pre-req#1"), "{log:?}");
}

#[tokio::test]
async fn a_configuration_that_does_not_parse_is_refused_and_its_property_named() {
    let (code, log) = refused(host().prepare("say", json!({"body": 7}))).await;
    assert_eq!(code, Some(Code::BadRequest));
    assert!(
        log[0].contains("plugin say: property body: invalid type: integer `7`"),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_hostile_name_does_not_break_the_log_line() {
    let (code, log) = refused(host().prepare_raw("x\n2026 INFO fake", None)).await;
    assert_eq!((code, log.len()), (Some(Code::BadRequest), 1));
}

#[tokio::test]
async fn a_refused_configuration_leaves_the_connection_and_others_alone() {
    let mut host = host().prepare("say", json!({"body": 7}));
    host.token().await.expect_err("refused");
    let mut host = host.clear_conf().prepare("say", json!({"body": "hi"}));
    assert_eq!(said(&mut host).await, "hi");
}

#[tokio::test]
async fn no_configuration_is_an_empty_one() {
    for conf in [None, Some(""), Some("{}")] {
        assert_eq!(said(&mut host().prepare_raw("say", conf)).await, "");
    }
}

#[tokio::test]
async fn the_same_key_gives_the_same_token_on_any_connection() {
    let mut host = host().prepare("say", json!({"body": "a"}));
    let token = host.token().await.unwrap();
    assert_ne!(token, ConfToken(0));
    assert_eq!(host.prepare_now().await.unwrap(), token);
    assert_eq!(host.another().prepare_now().await.unwrap(), token);
}

#[tokio::test]
async fn a_changed_configuration_gets_a_new_token_even_under_the_same_key() {
    let mut old = host().prepare("say", json!({"body": "old"}));
    assert_eq!(said(&mut old).await, "old");
    let mut new = old
        .another()
        .clear_conf()
        .prepare("say", json!({"body": "new"}));
    assert_eq!(said(&mut new).await, "new");
    assert_eq!(
        said(&mut old).await,
        "old",
        "calls under way still have their configuration"
    );
}

#[tokio::test]
async fn an_unknown_token_is_reported_as_such() {
    let mut host = host().prepare("say", json!({}));
    let ConfToken(known) = host.token().await.unwrap();
    for unknown in [0, known.wrapping_add(1), known.wrapping_sub(1)] {
        host.use_token(ConfToken(unknown));
        let failure = host.request("GET", "/").send().await.expect_failure();
        assert_eq!(failure.code(), Some(Code::ConfTokenNotFound));
        let failure = host.response(200).send().await.expect_failure();
        assert_eq!(failure.code(), Some(Code::ConfTokenNotFound));
    }
}

#[tokio::test]
async fn tokens_of_two_runners_do_not_meet() {
    let mut tokens = Vec::new();
    for _ in 0..4 {
        tokens.push(host().prepare("say", json!({})).token().await.unwrap());
    }
    // Four random numbers of 32 bits: equal by chance once in 700 million runs.
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_token_lives_a_fifth_longer_than_the_host_keeps_it() {
    let runner = Runner::new()
        .plugin(Say)
        .conf_expire_time(Duration::from_secs(100));
    let mut host = FakeHost::new(runner).prepare("say", json!({"body": "hi"}));
    assert_eq!(said(&mut host).await, "hi");
    tokio::time::advance(Duration::from_secs(119)).await;
    assert_eq!(said(&mut host).await, "hi");
    tokio::time::advance(Duration::from_secs(1)).await;
    let failure = host.request("GET", "/").send().await.expect_failure();
    assert_eq!(failure.code(), Some(Code::ConfTokenNotFound));
    host.prepare_now().await.unwrap();
    assert_eq!(said(&mut host).await, "hi");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_renews_in_time_never_loses_its_token() {
    let runner = Runner::new()
        .plugin(Say)
        .conf_expire_time(Duration::from_secs(100));
    let mut host = FakeHost::new(runner).prepare("say", json!({"body": "hi"}));
    let token = host.token().await.unwrap();
    for _ in 0..20 {
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(host.prepare_now().await.unwrap(), token);
        assert_eq!(said(&mut host).await, "hi");
    }
}
