//! What goes wrong fails one call, says so in the log, and touches nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use bytes::Bytes;
use outrigger_a6::error::{self, Code};
use outrigger_a6::extra_info::Info;
use outrigger_a6::{ConfToken, RpcType, extra_info, http_req_call, http_resp_call};
use outrigger_runner::{Request, Runner};
use outrigger_testkit::{FakeHost, FrameStream, frame};
use serde_json::json;
use support::{Log, OnRequest, OnResponse, on_request, on_response};

/// A host whose plugin fails as the header `fail` says.
fn failing() -> FakeHost {
    on_request(|request| {
        Box::pin(async move {
            match request.headers().get_str("fail") {
                Some("error") => Err("the database is away".into()),
                Some("io") => Ok(std::fs::read_to_string("/nowhere").map(|_| ())?),
                Some("panic") => panic!("index {} is bad", 7),
                Some("status") => {
                    request.stop(101);
                    Ok(())
                }
                Some("answer") => {
                    request.stop(200).header("x", "a\r\nb: c");
                    Ok(())
                }
                Some("header") => {
                    request.headers_mut().set("x y", "1");
                    Ok(())
                }
                Some("path") => {
                    request.set_path("/a\nb");
                    Ok(())
                }
                Some("response-header") => {
                    request.response_headers_mut().set("x", "a\nb");
                    Ok(())
                }
                Some("large") => {
                    request.set_body(vec![b'x'; 1 << 24]);
                    Ok(())
                }
                Some("name") => {
                    let name = "x".repeat(1 << 24);
                    Ok(request.var(name).await.map(|_| ())?)
                }
                _ => Ok(()),
            }
        })
    })
}

#[tokio::test]
async fn a_failing_plugin_fails_the_call_and_is_named() {
    for (how, expected) in [
        (
            "error",
            "plugin failed: the database is away plugin=\"test\" phase=\"request\"",
        ),
        ("io", "plugin failed: No such file or directory"),
        (
            "panic",
            "plugin panicked: index 7 is bad plugin=\"test\" phase=\"request\"",
        ),
        (
            "status",
            "plugin failed: 101 is not the status of a final response",
        ),
        (
            "answer",
            "plugin failed: the value of header \"x\" has a line break",
        ),
        ("header", "plugin failed: \"x y\" is not a header name"),
        (
            "path",
            "plugin failed: the path \"/a\\\\nb\" has a line break",
        ),
        (
            "response-header",
            "plugin failed: the value of header \"x\" has a line break",
        ),
        ("name", "plugin failed: the variable's name is too long"),
        ("large", "too large: HTTPReqCall.Resp"),
    ] {
        let log = Log::new();
        let mut host = failing();
        let failure = host
            .request("GET", "/")
            .header("fail", how)
            .send()
            .await
            .expect_failure();
        assert_eq!(
            failure.code(),
            Some(Code::ServiceUnavailable),
            "{how}: {failure}"
        );
        let log = log.lines();
        assert_eq!(log.len(), 1, "{how}: {log:?}");
        assert!(log[0].contains(expected), "{how}: {log:?}");
        // The same connection goes on.
        host.request("GET", "/").send().await.expect_unchanged();
    }
}

#[tokio::test]
async fn a_plugin_behind_a_failed_one_does_not_run() {
    let first = OnRequest::new("first", |_| Box::pin(async { Err("no".into()) }));
    let second = OnRequest::new("second", |_| {
        Box::pin(async { unreachable!("ran after a failure") })
    });
    let log = Log::new();
    let runner = Runner::new().plugin(first).plugin(second);
    let host = FakeHost::new(runner).prepare("first", json!({}));
    host.prepare("second", json!({}))
        .request("GET", "/")
        .send()
        .await
        .expect_failure();
    assert_eq!(log.lines().len(), 1);
}

#[tokio::test]
async fn a_panic_before_the_first_await_is_one_of_the_call_too() {
    struct Early;

    impl outrigger_runner::Plugin for Early {
        type Conf = outrigger_runner::NoConf;

        fn name(&self) -> &str {
            "early"
        }

        fn request(
            &self,
            _: &Self::Conf,
            _: &mut Request,
        ) -> impl Future<Output = outrigger_runner::Result> + Send {
            assert!(self.name().is_empty(), "no future yet");
            async { Ok(()) }
        }
    }

    let mut host = FakeHost::new(Runner::new().plugin(Early)).prepare("early", json!({}));
    let failure = host.request("GET", "/").send().await.expect_failure();
    assert_eq!(failure.code(), Some(Code::ServiceUnavailable));
}

#[tokio::test]
async fn a_failing_response_plugin_fails_its_call() {
    let log = Log::new();
    let mut host = on_response(|response| {
        Box::pin(async move {
            match response.status() {
                500 => Err("no".into()),
                501 => panic!("oh"),
                502 => {
                    response.set_status(99);
                    Ok(())
                }
                _ => {
                    response.headers_mut().set("x", "\n");
                    Ok(())
                }
            }
        })
    });
    for status in [500, 501, 502, 503] {
        let failure = host.response(status).send().await.expect_failure();
        assert_eq!(failure.code(), Some(Code::ServiceUnavailable));
    }
    let log = log.lines();
    assert_eq!(log.len(), 4);
    assert!(
        log.iter()
            .all(|line| line.contains("plugin=\"test\" phase=\"response\"")),
        "{log:?}"
    );
}

/// A connection to a runner with a plugin that asks for a variable and for the
/// body, and the token of a configuration with it.
async fn connection() -> (FrameStream, ConfToken) {
    let plugin = OnRequest::new("asks", |request| {
        Box::pin(async move {
            let var = request.var("v").await;
            let body = request.body().await;
            match (var, body) {
                (Ok(_), Ok(body)) => request.set_body(Bytes::from(body.to_ascii_uppercase())),
                (var, body) => tracing::warn!("got {var:?} and {body:?}"),
            }
            Ok(())
        })
    });
    let quiet = OnResponse::new("quiet", |_| Box::pin(async { Ok(()) }));
    let service = Runner::new()
        .plugin(plugin)
        .plugin(quiet)
        .into_service()
        .unwrap();
    let (ours, theirs) = tokio::io::duplex(4096);
    tokio::spawn(async move { service.serve_connection(theirs).await });
    let mut connection = FrameStream::new(ours);
    let conf = [outrigger_a6::Entry {
        name: b"asks",
        value: None,
    }];
    let prepare = outrigger_a6::prepare_conf::Request {
        conf: (&conf).into(),
        key: b"k",
    };
    connection.send(&prepare).await.unwrap();
    let reply = connection.receive().await.unwrap().unwrap();
    let token = reply
        .decode::<outrigger_a6::prepare_conf::Response>()
        .unwrap()
        .conf_token;
    (connection, token)
}

fn call(id: u32, conf_token: ConfToken) -> Vec<u8> {
    frame(&http_req_call::Request {
        id,
        conf_token,
        ..Default::default()
    })
}

async fn code(connection: &mut FrameStream) -> Code {
    let reply = connection.receive().await.unwrap().expect("an answer");
    reply.decode::<error::Response>().expect("an error").code
}

/// Takes the next question and answers it.
async fn answer(connection: &mut FrameStream, result: Option<&[u8]>) {
    let question = connection.receive().await.unwrap().unwrap();
    question
        .decode::<extra_info::Request<'_>>()
        .expect("a question");
    connection
        .send(&extra_info::Response { result })
        .await
        .unwrap();
}

async fn closed(connection: &mut FrameStream) -> bool {
    connection.receive().await.unwrap().is_none()
}

#[tokio::test]
async fn a_malformed_message_is_a_bad_request_and_the_connection_goes_on() {
    let (mut connection, token) = connection().await;
    for ty in [1, 2, 4] {
        for payload in [
            &b""[..],
            b"\0",
            b"\xff\xff\xff\xff",
            b"rubbish that is no message",
        ] {
            let header = [ty, 0, 0, payload.len() as u8];
            connection
                .send_bytes(&[&header, payload].concat())
                .await
                .unwrap();
            assert_eq!(code(&mut connection).await, Code::BadRequest);
        }
    }
    let no_address = http_req_call::Request {
        src_ip: &[1, 2, 3],
        ..Default::default()
    };
    connection.send(&no_address).await.unwrap();
    assert_eq!(code(&mut connection).await, Code::BadRequest);
    connection
        .send(&http_resp_call::Request {
            conf_token: token,
            ..Default::default()
        })
        .await
        .unwrap();
    let reply = connection.receive().await.unwrap().unwrap();
    assert_eq!(reply.ty, RpcType::HttpRespCall);
}

#[tokio::test]
async fn a_frame_that_only_a_runner_sends_is_a_bad_request() {
    let (mut connection, _) = connection().await;
    connection
        .send(&error::Response {
            code: Code::BadRequest,
        })
        .await
        .unwrap();
    assert_eq!(code(&mut connection).await, Code::BadRequest);
    connection
        .send(&extra_info::Response { result: None })
        .await
        .unwrap();
    assert_eq!(code(&mut connection).await, Code::BadRequest);
}

#[tokio::test]
async fn where_framing_is_lost_the_connection_is_closed() {
    let (mut connection, _) = connection().await;
    connection.send_bytes(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(code(&mut connection).await, Code::BadRequest);
    assert!(closed(&mut connection).await);
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_frame_is_closed() {
    let (mut connection, token) = connection().await;
    let call = call(1, token);
    connection
        .send_bytes(&call[..call.len() - 1])
        .await
        .unwrap();
    connection.close_sending().await.unwrap();
    assert_eq!(code(&mut connection).await, Code::BadRequest);
    assert!(closed(&mut connection).await);
}

#[tokio::test]
async fn a_call_may_come_byte_by_byte() {
    let (mut connection, token) = connection().await;
    connection.send_byte_by_byte(&call(1, token)).await.unwrap();
    answer(&mut connection, None).await;
    answer(&mut connection, Some(b"body")).await;
    let reply = connection.receive().await.unwrap().unwrap();
    assert_eq!(reply.decode::<http_req_call::Response<'_>>().unwrap().id, 1);
}

#[tokio::test]
async fn calls_that_come_ahead_are_answered_in_order() {
    let (mut connection, _) = connection().await;
    let unknown = ConfToken(0);
    let calls: Vec<u8> = [1, 2, 3].map(|id| call(id, unknown)).concat();
    connection.send_bytes(&calls).await.unwrap();
    connection.close_sending().await.unwrap();
    for _ in 0..3 {
        assert_eq!(code(&mut connection).await, Code::ConfTokenNotFound);
    }
    assert!(closed(&mut connection).await);
}

#[tokio::test]
async fn an_answer_of_the_wrong_type_ends_the_connection_and_the_plugin_hears_of_it() {
    let log = Log::new();
    let (mut connection, token) = connection().await;
    connection.send_bytes(&call(1, token)).await.unwrap();
    connection.receive().await.unwrap().expect("a question");
    connection.send_bytes(&call(2, token)).await.unwrap();
    assert_eq!(code(&mut connection).await, Code::BadRequest);
    assert!(closed(&mut connection).await);
    let log = log.lines();
    assert!(
        log[0].contains("got Err(HostGone) and Err(HostGone)"),
        "{log:?}"
    );
    assert!(log[1].contains("connection given up"), "{log:?}");
}

#[tokio::test]
async fn a_host_that_hangs_up_inside_a_call_does_not_stop_the_call() {
    let log = Log::new();
    let (mut connection, token) = connection().await;
    connection.send_bytes(&call(1, token)).await.unwrap();
    let question = connection.receive().await.unwrap().unwrap();
    let question: extra_info::Request<'_> = question.decode().unwrap();
    assert_eq!(question.0, Info::Var(b"v"));
    connection.close_sending().await.unwrap();
    assert!(closed(&mut connection).await);
    let log = log.lines();
    assert!(
        log[0].contains("got Err(HostGone) and Err(HostGone)"),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_host_that_only_stops_sending_gets_its_answer() {
    let (mut connection, _) = connection().await;
    connection.send_bytes(&call(1, ConfToken(0))).await.unwrap();
    connection.close_sending().await.unwrap();
    assert_eq!(code(&mut connection).await, Code::ConfTokenNotFound);
    assert!(closed(&mut connection).await);
}
