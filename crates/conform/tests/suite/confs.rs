//! Runners that break the rules about configurations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use outrigger_a6::error::{self, Code};
use outrigger_a6::{RpcType, http_req_call, http_resp_call};
use outrigger_testkit::{Answer, FakeRunner, frame};

use crate::support::{
    NONE, breaks, breaks_with, profile, reply, request, token, unchanged, varies,
};

/// A fake that answers frames of this type so.
fn fake(ty: RpcType, answer: Answer) -> FakeRunner {
    let runner = FakeRunner::start().unwrap();
    runner.always(ty, answer);
    runner
}

/// Gives a new token each time.
fn counting() -> (Answer, Arc<AtomicU32>) {
    let last = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&last);
    let next = Answer::new()
        .reply_with(move |_| frame(&token(counted.fetch_add(1, Ordering::SeqCst) + 1)));
    (next, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_configuration_is_one() {
    let runner = fake(RpcType::PrepareConf, Answer::error(Code::BadRequest));
    breaks(
        "empty-conf",
        runner.path(),
        "it answered with RPC_ERROR BAD_REQUEST",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_not_given_twice() {
    let runner = fake(RpcType::PrepareConf, Answer::token(5));
    breaks("distinct-tokens", runner.path(), "both got token 5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_for_the_same_key_is_a_variation() {
    let runner = fake(RpcType::PrepareConf, counting().0);
    varies("same-key", NONE, runner.path(), "a new token each time").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_known_by_its_key_alone_is_a_variation() {
    let runner = FakeRunner::start().unwrap();
    varies(
        "changed-conf",
        &profile("stop"),
        runner.path(),
        "runs the old one",
    )
    .await;
    let rewrites = fake(RpcType::HttpReqCall, crate::plugins::rewriting());
    breaks_with(
        "changed-conf",
        "stop",
        rewrites.path(),
        "neither the old nor the new",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_tokens_stay_valid() {
    let (next, last) = counting();
    let runner = fake(RpcType::PrepareConf, next);
    let latest_only = move |received: &_| {
        if request(received).conf_token.0 == last.load(Ordering::SeqCst) {
            return unchanged(received);
        }
        let code = Code::ConfTokenNotFound;
        frame(&error::Response { code })
    };
    runner.always(RpcType::HttpReqCall, Answer::new().reply_with(latest_only));
    breaks("old-token", runner.path(), "RPC_ERROR CONF_TOKEN_NOT_FOUND").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_valid_on_other_connections() {
    let lost = Answer::error(Code::ConfTokenNotFound);
    let runner = fake(RpcType::HttpReqCall, lost);
    breaks(
        "token-everywhere",
        runner.path(),
        "on a connection that was open before",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_token_is_said_to_be_unknown() {
    let careless = fake(RpcType::HttpReqCall, Answer::new().reply_with(unchanged));
    let seen = "which a host takes for the plugins' answer";
    breaks("unknown-token", careless.path(), seen).await;
    let vague = fake(RpcType::HttpReqCall, Answer::error(Code::BadRequest));
    breaks("unknown-token", vague.path(), "it answered BAD_REQUEST").await;
    let hangs_up = fake(RpcType::HttpReqCall, Answer::new().close());
    breaks(
        "unknown-token",
        hangs_up.path(),
        "closed the connection without",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_token_is_said_to_be_unknown_in_the_response_phase() {
    let careless = Answer::message(&http_resp_call::Response::default());
    let runner = fake(RpcType::HttpRespCall, careless);
    let seen = "a frame of type RPC_HTTP_RESP_CALL";
    breaks("unknown-token-response", runner.path(), seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_has_a_type_of_its_own() {
    let disguised = |_: &_| {
        let mut bytes = reply(&error::Response {
            code: Code::ConfTokenNotFound,
        });
        bytes[0] = RpcType::HttpReqCall as u8;
        bytes
    };
    let runner = fake(RpcType::HttpReqCall, Answer::new().reply_with(disguised));
    let seen = "the error CONF_TOKEN_NOT_FOUND in a frame of type RPC_HTTP_REQ_CALL";
    breaks("error-type", runner.path(), seen).await;
    let careless = fake(RpcType::HttpReqCall, Answer::new().reply_with(unchanged));
    breaks("error-type", careless.path(), "as if it were known").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_plugin_that_is_passed_over_is_told() {
    let runner = FakeRunner::start().unwrap();
    varies(
        "unknown-plugin",
        NONE,
        runner.path(),
        "requests go on without it",
    )
    .await;
    let stops = fake(RpcType::HttpReqCall, crate::plugins::stopping());
    breaks("unknown-plugin", stops.path(), "it answered a call with").await;
    let lost = fake(RpcType::PrepareConf, Answer::error(Code::ConfTokenNotFound));
    breaks("unknown-plugin", lost.path(), "again and again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_that_is_passed_over_is_told() {
    let runner = FakeRunner::start().unwrap();
    let bad = profile("refuse-conf");
    varies("bad-conf", &bad, runner.path(), "requests go on without it").await;
    let late = fake(
        RpcType::HttpReqCall,
        Answer::error(Code::ServiceUnavailable),
    );
    varies(
        "bad-conf",
        &bad,
        late.path(),
        "gives a token and refuses the calls",
    )
    .await;
    let stops = fake(RpcType::HttpReqCall, crate::plugins::stopping());
    breaks_with(
        "bad-conf",
        "refuse-conf",
        stops.path(),
        "it answered a call with",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_plugins_that_has_the_wrong_id_is_no_error() {
    // What `error-type` tells apart: a real answer has the call's id.
    let wrong_id = http_req_call::Response {
        id: 1,
        action: None,
    };
    let runner = fake(RpcType::HttpReqCall, Answer::message(&wrong_id));
    breaks("id", runner.path(), "has the id 1").await;
}
