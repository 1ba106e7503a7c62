//! What passes between host and runner in a call.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use outrigger_a6::error::Code;
use outrigger_a6::extra_info::{Info, Request as Ask};
use outrigger_a6::limits::HEADER_LEN;
use outrigger_a6::{Entries, Entry, Method, RpcType, http_req_call, http_resp_call};
use outrigger_host::{Answers, BodyError, CallError, CallOptions, Conf};
use tokio::time::{Instant, sleep};

use crate::support::{FakeRunner, Host, Known, bytes_of, conf, error, stop};

#[tokio::test]
async fn a_call_carries_the_request_its_conf_and_an_id() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let runner = FakeRunner::calling({
        let seen = Arc::clone(&seen);
        move |mut peer, frame| {
            seen.lock().unwrap().push(format!("{:?}", frame.call()));
            async move {
                peer.send_bytes(&stop(frame.id(), "hello")).await;
                peer
            }
        }
    });
    let host = Host::of(&runner);
    let entry = |name: &'static str, value| Entry {
        name: name.as_bytes(),
        value,
    };
    let args = [entry("k", Some(b"v")), entry("flag", None)];
    let headers = [entry("x-bin", Some(b"\xff"))];
    let request = http_req_call::Request {
        src_ip: &[127, 0, 0, 1],
        method: Method::Post,
        path: b"/a b",
        args: Entries::from(&args),
        headers: Entries::from(&headers),
        ..Default::default()
    };
    let conf = conf("a");
    for _ in 0..2 {
        let (options, known) = (CallOptions::default(), &mut Known::default());
        let called =
            host.connections
                .request_call(&host.runner, &conf, &options, request, known, |reply| {
                    format!("{:?}", reply.action)
                });
        let action = called.await.1.unwrap();
        assert!(
            action.contains("Stop") && action.contains("hello"),
            "{action}"
        );
    }
    let expected = [1, 2].map(|id| {
        format!(
            "{:?}",
            http_req_call::Request {
                id,
                conf_token: outrigger_a6::ConfToken(1),
                ..request
            }
        )
    });
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn the_conf_is_prepared_with_its_key_and_entries() {
    let seen = Arc::new(Mutex::new(String::new()));
    let runner = FakeRunner::with({
        let seen = Arc::clone(&seen);
        move |mut peer, _| {
            let seen = Arc::clone(&seen);
            async move {
                while let Some(frame) = peer.next().await {
                    if peer.prepares(&frame).await {
                        *seen.lock().unwrap() = format!("{:?}", frame.prepare());
                    } else {
                        peer.send_bytes(&stop(frame.id(), "")).await;
                    }
                }
            }
        }
    });
    let entries = [("first", "{\"a\":1}"), ("second", "")];
    let owned = entries.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let conf = Conf::new("route#1#ext-plugin-pre-req#v2".to_owned(), owned.to_vec());
    Host::of(&runner).call(&conf).await.unwrap();

    let entries = entries.map(|(name, value)| Entry {
        name: name.as_bytes(),
        value: Some(value.as_bytes()),
    });
    let expected = outrigger_a6::prepare_conf::Request {
        conf: Entries::from(&entries),
        key: b"route#1#ext-plugin-pre-req#v2",
    };
    assert_eq!(*seen.lock().unwrap(), format!("{expected:?}"));
}

/// Asks for these in one call, waiting for each answer, and replies with the
/// answers in words.
fn asking(infos: &'static [Info<'static>]) -> FakeRunner {
    FakeRunner::calling(move |mut peer, frame| async move {
        let mut answers = Vec::new();
        for info in infos {
            let answer = peer.ask(*info).await;
            answers.push(answer.map(|answer| String::from_utf8(answer).unwrap()));
        }
        if frame.ty == RpcType::HttpRespCall {
            let (id, body) = (frame.response_call().id, format!("{answers:?}"));
            let body = Some(body.as_bytes());
            peer.send(&http_resp_call::Response {
                id,
                body,
                ..Default::default()
            })
            .await;
        } else {
            peer.send_bytes(&stop(frame.id(), &format!("{answers:?}")))
                .await;
        }
        peer
    })
}

fn known() -> Known {
    Known {
        vars: vec![("remote_addr", "127.0.0.1"), ("args", "")],
        request_body: Some(Bytes::from_static(b"question")),
        response_body: Some(Bytes::from_static(b"answer")),
    }
}

#[tokio::test]
async fn variables_are_answered_and_unknown_is_not_empty() {
    let runner = asking(&[
        Info::Var(b"remote_addr"),
        Info::Var(b"args"),
        Info::Var(b"no_such"),
        Info::Var(b""),
    ]);
    let answers = Host::of(&runner)
        .call_with(&conf("a"), &mut known())
        .await
        .unwrap();
    assert_eq!(answers, r#"[Some("127.0.0.1"), Some(""), None, None]"#);
}

#[tokio::test]
async fn bodies_are_answered_as_often_as_they_are_asked_for() {
    let runner = asking(&[Info::ReqBody, Info::ReqBody]);
    let answers = Host::of(&runner)
        .call_with(&conf("a"), &mut known())
        .await
        .unwrap();
    assert_eq!(answers, r#"[Some("question"), Some("question")]"#);

    let answers = Host::of(&runner).call(&conf("a")).await.unwrap();
    assert_eq!(answers, "[None, None]");
}

#[tokio::test]
async fn a_request_call_has_no_response_body() {
    let runner = asking(&[Info::RespBody]);
    let answers = Host::of(&runner)
        .call_with(&conf("a"), &mut known())
        .await
        .unwrap();
    assert_eq!(answers, "[None]");
}

#[tokio::test]
async fn a_response_call_passes_the_response_and_both_bodies() {
    let runner = asking(&[Info::RespBody, Info::ReqBody, Info::Var(b"remote_addr")]);
    let host = Host::of(&runner);
    let headers = [Entry {
        name: b"x-a",
        value: Some(b"1"),
    }];
    let response = http_resp_call::Request {
        status: 418,
        headers: Entries::from(&headers),
        ..Default::default()
    };
    let body = host
        .connections
        .response_call(
            &host.runner,
            &conf("a"),
            &CallOptions::default(),
            response,
            &mut known(),
            |reply| String::from_utf8(reply.body.unwrap().to_vec()).unwrap(),
        )
        .await
        .1
        .unwrap();
    assert_eq!(
        body,
        r#"[Some("answer"), Some("question"), Some("127.0.0.1")]"#
    );
}

/// As the Java runner does.
#[tokio::test]
async fn questions_that_do_not_wait_are_answered_in_order() {
    let runner = FakeRunner::calling(|mut peer, frame| async move {
        let infos = [
            Info::ReqBody,
            Info::Var(b"remote_addr"),
            Info::Var(b"args"),
            Info::ReqBody,
        ];
        peer.send_bytes(&infos.map(|info| bytes_of(&Ask(info))).concat())
            .await;
        let mut answers = Vec::new();
        for _ in infos {
            answers.push(String::from_utf8(peer.expect().await.answer().unwrap()).unwrap());
        }
        peer.send_bytes(&stop(frame.id(), &answers.join(" "))).await;
        peer
    });
    let answers = Host::of(&runner)
        .call_with(&conf("a"), &mut known())
        .await
        .unwrap();
    assert_eq!(answers, "question 127.0.0.1  question");
}

/// An answer and a reply that are both much longer than what sockets hold.
#[tokio::test]
async fn long_bodies_pass_in_both_directions() {
    const LEN: usize = 12 << 20;
    let runner = FakeRunner::calling(|mut peer, frame| async move {
        let body = String::from_utf8(peer.ask(Info::ReqBody).await.unwrap()).unwrap();
        assert_eq!(body, "x".repeat(LEN));
        peer.send_bytes(&stop(frame.id(), &body.replace('x', "y")))
            .await;
        peer
    });
    let known = &mut Known {
        request_body: Some("x".repeat(LEN).into()),
        ..Known::default()
    };
    let host = Host::of(&runner);
    let body = host.call_with(&conf("a"), known).await.unwrap();
    assert!(body == "y".repeat(LEN), "{} bytes came back", body.len());
    host.call_with(&conf("a"), known).await.unwrap();
    assert_eq!(host.log.count("closed: unclean"), 0);
}

#[tokio::test]
async fn a_runners_error_fails_the_call_and_only_that() {
    let runner = FakeRunner::calling(|mut peer, frame| async move {
        let reply = match frame.id() {
            1 => error(Code::ServiceUnavailable),
            id => stop(id, "fine"),
        };
        peer.send_bytes(&reply).await;
        peer
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    let failure = host.failure(&conf).await;
    assert_eq!(
        failure.to_string(),
        "the runner answered SERVICE_UNAVAILABLE: the call"
    );
    assert_eq!(failure.kind(), "refused");
    assert_eq!(host.call(&conf).await.unwrap(), "fine");
}

#[tokio::test]
async fn a_conf_that_the_runner_refuses_fails_its_calls() {
    let runner = FakeRunner::with(|mut peer, _| async move {
        peer.expect().await;
        peer.send_bytes(&error(Code::BadRequest)).await;
    });
    let failure = Host::of(&runner).failure(&conf("a")).await;
    assert_eq!(
        failure.to_string(),
        "the runner answered BAD_REQUEST: preparing the configuration"
    );
}

struct BrokenBody;

impl Answers for BrokenBody {
    async fn var(&mut self, _name: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }

    async fn request_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        Err(BodyError::new(std::io::Error::other(
            "the client went away",
        )))
    }

    async fn response_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_had_ends_the_call() {
    let runner = asking(&[Info::ReqBody]);
    let host = Host::of(&runner);
    let result = host.call_with(&conf("a"), &mut BrokenBody).await;
    let Err(CallError::Body(error)) = result else {
        panic!("{result:?}")
    };
    assert!(error.downcast_ref::<std::io::Error>().is_some());
    assert_eq!(host.log.count("closed: failed"), 1);
}

/// A body that comes slowly.
struct SlowBody;

impl Answers for SlowBody {
    async fn var(&mut self, _name: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }

    async fn request_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        sleep(Duration::from_secs(1000)).await;
        Ok(Some(Bytes::from_static(b"at last")))
    }

    async fn response_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_body_takes_to_come_is_not_the_runners() {
    let runner = asking(&[Info::ReqBody]);
    let host = Host::of(&runner);
    let begun = Instant::now();
    host.call_with(&conf("a"), &mut SlowBody).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 1000);

    let runner = FakeRunner::calling(|mut peer, _| async move {
        peer.ask(Info::ReqBody).await;
        std::future::pending::<()>().await;
        peer
    });
    let host = Host::of(&runner);
    let begun = Instant::now();
    let failure = host.call_with(&conf("a"), &mut SlowBody).await.unwrap_err();
    assert_eq!(failure.kind(), "timeout");
    assert_eq!(begun.elapsed().as_secs(), 1060, "the runner had its 60 s");
}

#[tokio::test]
async fn what_does_not_fit_into_a_frame_is_not_sent() {
    let runner = asking(&[Info::ReqBody]);
    let known = &mut Known {
        request_body: Some(vec![0; 1 << 24].into()),
        ..Known::default()
    };
    let failure = Host::of(&runner)
        .call_with(&conf("a"), known)
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), "too-large");
}

#[tokio::test]
async fn a_call_tells_how_often_it_was_sent_and_how_much_went_and_came() {
    let read = Arc::new(AtomicU64::new(0));
    let runner = FakeRunner::calling({
        let read = Arc::clone(&read);
        move |mut peer, frame| {
            let read = Arc::clone(&read);
            async move {
                peer.send(&Ask(Info::ReqBody)).await;
                let len = frame.payload.len() + peer.expect().await.payload.len() + 2 * HEADER_LEN;
                read.store(len as u64, Ordering::Relaxed);
                peer.send_bytes(&stop(frame.id(), "hello")).await;
                peer
            }
        }
    });
    let host = Host::of(&runner);
    let (conf, options) = (conf("a"), CallOptions::default());
    for call in 1..=2 {
        let (stats, result) = host.call_as(&conf, &options, &mut Known::default()).await;
        result.unwrap();
        assert_eq!(stats.attempts, 1);
        let came = bytes_of(&Ask(Info::ReqBody)).len() + stop(call, "hello").len();
        assert_eq!(stats.received, came as u64, "of this call alone");
        assert_eq!(stats.sent, read.load(Ordering::Relaxed));
    }
}
