//! Runners that break the rules about calls without plugins.

use outrigger_a6::error::{self, Code};
use outrigger_a6::http_req_call::{Action, Request, Response, Rewrite};
use outrigger_a6::{Decode, Entries, Entry, Method, RpcType, http_resp_call};
use outrigger_testkit::{Answer, FakeRunner, OwnedFrame, frame};

use crate::plugins::stopping;
use crate::support::{NONE, breaks, reply, request, unchanged, varies};

/// A fake that answers requests so.
fn fake(answer: Answer) -> FakeRunner {
    let runner = FakeRunner::start().unwrap();
    runner.always(RpcType::HttpReqCall, answer);
    runner
}

/// A fake that fails at requests that it does not take.
fn taking(takes: fn(&Request<'_>) -> bool) -> FakeRunner {
    let picky = move |received: &OwnedFrame| {
        if takes(&request(received)) {
            return unchanged(received);
        }
        let code = Code::ServiceUnavailable;
        frame(&error::Response { code })
    };
    fake(Answer::new().reply_with(picky))
}

const REFUSED: &str = "RPC_ERROR SERVICE_UNAVAILABLE";

#[tokio::test(flavor = "multi_thread")]
async fn without_plugins_there_is_no_action() {
    breaks(
        "no-action",
        fake(stopping()).path(),
        "without plugins it wants Stop",
    )
    .await;
    let empty = |received: &OwnedFrame| {
        reply(&Response {
            id: request(received).id,
            action: Some(Action::Rewrite(Rewrite::default())),
        })
    };
    let runner = fake(Answer::new().reply_with(empty));
    varies(
        "no-action",
        NONE,
        runner.path(),
        "a rewrite with nothing in it",
    )
    .await;
}

fn responding(answer: impl Fn(&OwnedFrame) -> Vec<u8> + Send + Sync + 'static) -> FakeRunner {
    let runner = FakeRunner::start().unwrap();
    runner.always(RpcType::HttpRespCall, Answer::new().reply_with(answer));
    runner
}

#[tokio::test(flavor = "multi_thread")]
async fn without_plugins_a_response_stays() {
    let change = |change: fn(&mut http_resp_call::Response<'_>)| {
        responding(move |_| {
            let mut response = http_resp_call::Response {
                id: 7,
                ..Default::default()
            };
            change(&mut response);
            reply(&response)
        })
    };
    let rule = "response-unchanged";
    let runner = change(|response| response.body = Some(b""));
    breaks(rule, runner.path(), "it replaces the body").await;
    let runner = change(|response| response.status = 500);
    breaks(rule, runner.path(), "it sets the status 500").await;
    let runner = change(|response| response.id = 8);
    breaks(rule, runner.path(), "has the id 8").await;
    let runner = change(|response| response.status = 200);
    varies(rule, NONE, runner.path(), "the status that is there").await;
    let runner = responding(|received| {
        let request = http_resp_call::Request::decode(&received.payload).unwrap();
        reply(&http_resp_call::Response {
            id: request.id,
            headers: request.headers,
            ..Default::default()
        })
    });
    varies(rule, NONE, runner.path(), "the headers that are there").await;
    let extra = [Entry {
        name: b"x-extra",
        value: Some(b"1"),
    }];
    let bytes = reply(&http_resp_call::Response {
        id: 7,
        headers: Entries::from(&extra),
        ..Default::default()
    });
    let runner = responding(move |_| bytes.clone());
    breaks(rule, runner.path(), "it sets headers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_back() {
    let signed = |received: &OwnedFrame| {
        reply(&Response {
            id: request(received).id & 0x7fff_ffff,
            action: None,
        })
    };
    let runner = fake(Answer::new().reply_with(signed));
    breaks(
        "id",
        runner.path(),
        "the answer to call 2147483648 has the id 0",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn id_0_may_be_refused_but_not_changed() {
    let refuses = taking(|request| request.id != 0);
    varies("id-zero", NONE, refuses.path(), "it refuses the id 0").await;
    let changes = fake(Answer::message(&Response {
        id: 1,
        action: None,
    }));
    breaks(
        "id-zero",
        changes.path(),
        "the answer to call 0 has the id 1",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_of_a_gateway_is_refused() {
    let runner = taking(|request| request.method != Method::Trace);
    breaks(
        "methods",
        runner.path(),
        "TRACE: it answered with RPC_ERROR",
    )
    .await;

    let runner = taking(|request| text(request.headers));
    breaks("opaque-bytes", runner.path(), "a header: it answered with").await;
    let runner = taking(|request| text(request.args));
    breaks(
        "opaque-bytes",
        runner.path(),
        "an argument: it answered with",
    )
    .await;

    let runner = taking(|request| request.args.iter().all(|arg| arg.value.is_some()));
    breaks("argument-without-value", runner.path(), REFUSED).await;
    let runner = taking(|request| request.headers.len() <= 100);
    breaks("many-headers", runner.path(), REFUSED).await;
    let runner = taking(|request| request.src_ip.len() == 4);
    breaks("ipv6", runner.path(), REFUSED).await;
}

fn text(entries: Entries<'_>) -> bool {
    let mut values = entries.iter().map(|entry| entry.value.unwrap_or_default());
    values.all(|value| std::str::from_utf8(value).is_ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_a_response_stay_as_they_are() {
    let runner = responding(|received| {
        let request = http_resp_call::Request::decode(&received.payload).unwrap();
        let texts: Vec<String> = request
            .headers
            .iter()
            .map(|entry| String::from_utf8_lossy(entry.value.unwrap_or_default()).into_owned())
            .collect();
        let headers: Vec<Entry<'_>> = texts
            .iter()
            .map(|text| Entry {
                name: b"x-opaque",
                value: Some(text.as_bytes()),
            })
            .collect();
        reply(&http_resp_call::Response {
            id: request.id,
            headers: Entries::from(&headers),
            ..Default::default()
        })
    });
    breaks(
        "opaque-bytes-response",
        runner.path(),
        "it changes the bytes",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_good_for_many_calls() {
    let runner = fake(Answer::sane().close());
    breaks(
        "one-after-the-other",
        runner.path(),
        "call 2: it closed the connection",
    )
    .await;
    let first_only = Response {
        id: 1,
        action: None,
    };
    let runner = fake(Answer::message(&first_only));
    breaks(
        "one-after-the-other",
        runner.path(),
        "call 2 got the answer to call 1",
    )
    .await;
}
