//! Runners that break the rules about questions.

use std::sync::Arc;

use outrigger_a6::error::{self, Code};
use outrigger_a6::extra_info::{self, Info};
use outrigger_a6::http_req_call::{Action, Response, Rewrite};
use outrigger_a6::{Decode, Entries, Entry, RpcType};
use outrigger_testkit::{Answer, FakeRunner, FrameStream, OwnedFrame, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::{
    RawRunner, Shared, breaks_with, is_mute, profile, reply, request, sane, unchanged, varies,
};

const ASK: Info<'_> = Info::Var(b"remote_addr");

fn fake(answer: Answer) -> FakeRunner {
    let runner = FakeRunner::start().unwrap();
    runner.always(RpcType::HttpReqCall, answer);
    runner
}

/// Asks, and fails where it does not like the answer.
fn wanting(info: Info<'static>, likes: fn(Option<&[u8]>) -> bool) -> RawRunner {
    RawRunner::start(move |stream, _| async move {
        let mut frames = FrameStream::new(stream);
        while let Ok(Some(received)) = frames.receive().await {
            let reply = match received.ty {
                RpcType::HttpReqCall => {
                    let asked = frames.send(&extra_info::Request(info)).await;
                    let Ok(Some(answer)) = asked.and(frames.receive().await) else {
                        return;
                    };
                    let answer = extra_info::Response::decode(&answer.payload).unwrap();
                    if likes(answer.result) {
                        Some(unchanged(&received))
                    } else {
                        let code = Code::ServiceUnavailable;
                        Some(frame(&error::Response { code }))
                    }
                }
                _ => sane(&received),
            };
            if frames.send_bytes(&reply.unwrap_or_default()).await.is_err() {
                return;
            }
        }
    })
}

const REFUSED: &str = "RPC_ERROR SERVICE_UNAVAILABLE";

#[tokio::test(flavor = "multi_thread")]
async fn variables_are_asked_for() {
    let idle = FakeRunner::start().unwrap();
    breaks_with(
        "ask-variable",
        "ask-variable",
        idle.path(),
        "it asks for no variable",
    )
    .await;
    let runner = fake(Answer::new().ask(ASK).reply_with(unchanged));
    let other = r#"ask-variable {"variables": ["uri"]}"#;
    breaks_with(
        "ask-variable",
        other,
        runner.path(),
        r#"it does not ask for "uri""#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_value_of_a_variable_is_taken() {
    let behaviour = "ask-variable";
    let runner = wanting(ASK, |value| value.is_some());
    breaks_with("unset-variable", behaviour, &runner.path(), REFUSED).await;
    let runner = wanting(ASK, |value| value != Some(b""));
    breaks_with("empty-variable", behaviour, &runner.path(), REFUSED).await;
    let text = |value: Option<&[u8]>| std::str::from_utf8(value.unwrap_or_default()).is_ok();
    let runner = wanting(ASK, text);
    breaks_with("opaque-variable", behaviour, &runner.path(), REFUSED).await;
}

/// Asks, and takes whatever one read brings for the answer.
async fn one_read(mut stream: UnixStream) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 4..) = stream.read(&mut buffer).await else {
            return;
        };
        let received = OwnedFrame {
            ty: RpcType::try_from(buffer[0]).unwrap(),
            payload: buffer[4..length].to_vec(),
        };
        if received.ty == RpcType::HttpReqCall {
            let question = frame(&extra_info::Request(ASK));
            let asked = stream.write_all(&question).await;
            let Ok(length) = asked.and(stream.read(&mut buffer).await) else {
                return;
            };
            if length < 5 || extra_info::Response::decode(&buffer[4..length]).is_err() {
                return;
            }
        }
        let reply = sane(&received).unwrap_or_default();
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_come_in_pieces() {
    let runner = RawRunner::start(|stream, _| one_read(stream));
    let seen = "it closed the connection";
    breaks_with("split-answer", "ask-variable", &runner.path(), seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_at_once_are_a_variation() {
    let runner = fake(Answer::new().ask_ahead(ASK).ask_ahead(ASK));
    let asking = profile("ask-variable");
    varies(
        "one-question",
        &asking,
        runner.path(),
        "asks several questions at once",
    )
    .await;
    let impatient = fake(Answer::new().ask_ahead(ASK).reply_with(unchanged));
    let seen = "RPC_HTTP_REQ_CALL instead of waiting";
    breaks_with("one-question", "ask-variable", impatient.path(), seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_ends_the_call() {
    let waits = fake(Answer::new().ask(ASK).silence());
    is_mute("wrong-answer", &profile("ask-variable"), waits.path()).await;
    let careless = fake(Answer::new().ask(ASK).reply_with(unchanged));
    let seen = "does not look at the type";
    varies(
        "wrong-answer",
        &profile("ask-variable"),
        careless.path(),
        seen,
    )
    .await;
}

/// Is of no use any more when a host has hung up inside a question.
async fn fragile(stream: UnixStream, shared: Arc<Shared>) {
    let mut frames = FrameStream::new(stream);
    while let Ok(Some(received)) = frames.receive().await {
        if received.ty == RpcType::HttpReqCall {
            let asked = frames.send(&extra_info::Request(ASK)).await;
            if !matches!(asked.and(frames.receive().await), Ok(Some(_))) {
                shared.kill();
                return;
            }
        }
        let reply = sane(&received).unwrap_or_default();
        if frames.send_bytes(&reply).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_up_is_survived() {
    let runner = RawRunner::start(fragile);
    breaks_with("no-answer", "ask-variable", &runner.path(), "it").await;
}

/// Tells the length of the body in a header, cut off.
fn cutting(received: &OwnedFrame) -> Vec<u8> {
    let headers = [Entry {
        name: b"x-length",
        value: Some(b"255"),
    }];
    reply(&Response {
        id: request(received).id,
        action: Some(Action::Rewrite(Rewrite {
            headers: Entries::from(&headers),
            ..Default::default()
        })),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_arrive_whole() {
    let idle = FakeRunner::start().unwrap();
    let behaviour = "ask-request-body";
    breaks_with(
        "ask-request-body",
        behaviour,
        idle.path(),
        "it does not ask for",
    )
    .await;
    let telling = r#"ask-request-body {"length_in": "x-length"}"#;
    let cuts = fake(Answer::new().ask(Info::ReqBody).reply_with(cutting));
    let seen = r#"of a body of 256 bytes the plugin saw Some("255")"#;
    breaks_with("ask-request-body", telling, cuts.path(), seen).await;
    let silent = fake(Answer::new().ask(Info::ReqBody).reply_with(unchanged));
    breaks_with(
        "ask-request-body",
        telling,
        silent.path(),
        "does not set the header",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_taken() {
    let small = |body: Option<&[u8]>| body.unwrap_or_default().len() < 1 << 20;
    let runner = wanting(Info::ReqBody, small);
    breaks_with("large-body", "ask-request-body", &runner.path(), REFUSED).await;
    let medium = |body: Option<&[u8]>| body.unwrap_or_default().len() < 1 << 23;
    let runner = wanting(Info::ReqBody, medium);
    breaks_with("largest-body", "ask-request-body", &runner.path(), REFUSED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responses_body_is_asked_for() {
    let idle = FakeRunner::start().unwrap();
    let rule = "ask-response-body";
    breaks_with(
        rule,
        rule,
        idle.path(),
        "it does not ask for the response's body",
    )
    .await;
}
