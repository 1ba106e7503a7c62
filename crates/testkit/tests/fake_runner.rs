//! The fake runner does what it is told, and remembers what came.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use outrigger_a6::error::{self, Code};
use outrigger_a6::extra_info::{self, Info};
use outrigger_a6::{
    ConfToken, Entry, FrameDecoder, RpcType, http_req_call, http_resp_call, prepare_conf,
};
use outrigger_testkit::{Answer, FakeRunner, FrameStream, Gate, OwnedFrame, frame};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

async fn connect(runner: &FakeRunner) -> FrameStream {
    FrameStream::new(UnixStream::connect(runner.path()).await.unwrap())
}

async fn receive(host: &mut FrameStream) -> OwnedFrame {
    host.receive().await.unwrap().expect("a frame")
}

async fn prepare(host: &mut FrameStream, key: &str) -> u32 {
    let conf = [Entry {
        name: b"say",
        value: Some(b"{}"),
    }];
    let request = prepare_conf::Request {
        conf: (&conf).into(),
        key: key.as_bytes(),
    };
    host.send(&request).await.unwrap();
    receive(host)
        .await
        .decode::<prepare_conf::Response>()
        .unwrap()
        .conf_token
        .0
}

/// Sends a request call.
async fn call(host: &mut FrameStream, id: u32, token: u32) {
    let call = http_req_call::Request {
        id,
        conf_token: ConfToken(token),
        ..Default::default()
    };
    host.send(&call).await.unwrap();
}

fn unchanged(frame: &OwnedFrame) -> u32 {
    let reply: http_req_call::Response<'_> = frame.decode().unwrap();
    assert_eq!(reply.action, None);
    reply.id
}

fn code(frame: &OwnedFrame) -> Code {
    frame.decode::<error::Response>().unwrap().code
}

async fn closed(host: &mut FrameStream) -> bool {
    host.receive().await.unwrap().is_none()
}

#[tokio::test]
async fn by_itself_it_behaves_well() {
    let runner = FakeRunner::start().unwrap();
    let mut host = connect(&runner).await;
    assert_eq!(prepare(&mut host, "a").await, 1);
    assert_eq!(prepare(&mut host, "b").await, 2);
    assert_eq!(prepare(&mut connect(&runner).await, "a").await, 1);
    call(&mut host, 7, 2).await;
    assert_eq!(unchanged(&receive(&mut host).await), 7);
    call(&mut host, 8, 3).await;
    assert_eq!(code(&receive(&mut host).await), Code::ConfTokenNotFound);
    let response = http_resp_call::Request {
        id: 9,
        conf_token: ConfToken(1),
        ..Default::default()
    };
    host.send(&response).await.unwrap();
    let reply = receive(&mut host).await;
    let reply: http_resp_call::Response<'_> = reply.decode().unwrap();
    assert_eq!(
        reply,
        http_resp_call::Response {
            id: 9,
            ..Default::default()
        }
    );
    host.send_bytes(&[1, 0, 0, 2, 9, 9]).await.unwrap();
    assert_eq!(code(&receive(&mut host).await), Code::BadRequest);
}

#[tokio::test]
async fn what_came_is_remembered_with_its_connection() {
    let runner = FakeRunner::start().unwrap();
    let (mut first, mut second) = (connect(&runner).await, connect(&runner).await);
    prepare(&mut first, "a").await;
    prepare(&mut second, "b").await;
    let received = runner.received();
    let connections: Vec<_> = received
        .iter()
        .map(|received| received.connection)
        .collect();
    assert_eq!(connections, [0, 1]);
    let request: prepare_conf::Request<'_> = received[1].frame.decode().unwrap();
    assert_eq!((request.key, request.conf.len()), (&b"b"[..], 1));
    assert_eq!(runner.received_of(RpcType::PrepareConf).len(), 2);
    assert!(runner.received_of(RpcType::HttpReqCall).is_empty());
}

#[tokio::test]
async fn answers_come_in_the_order_they_were_given_then_for_good() {
    let runner = FakeRunner::start().unwrap();
    runner
        .next(RpcType::HttpReqCall, Answer::error(Code::ConfTokenNotFound))
        .next(RpcType::HttpReqCall, Answer::error(Code::BadRequest))
        .always(
            RpcType::HttpReqCall,
            Answer::error(Code::ServiceUnavailable),
        )
        .next(RpcType::PrepareConf, Answer::token(77));
    let mut host = connect(&runner).await;
    assert_eq!(prepare(&mut host, "a").await, 77);
    assert_eq!(prepare(&mut host, "a").await, 1);
    let mut codes = Vec::new();
    for id in 0..4 {
        call(&mut host, id, 1).await;
        codes.push(code(&receive(&mut host).await));
    }
    assert_eq!(codes[..2], [Code::ConfTokenNotFound, Code::BadRequest]);
    assert_eq!(codes[2..], [Code::ServiceUnavailable; 2]);
}

#[tokio::test]
async fn it_asks_and_remembers_the_answer() {
    let runner = FakeRunner::start().unwrap();
    let asks = Answer::new()
        .ask(Info::Var(b"remote_addr"))
        .ask(Info::ReqBody)
        .reply();
    runner.always(RpcType::HttpReqCall, asks);
    let mut host = connect(&runner).await;
    let token = prepare(&mut host, "a").await;
    call(&mut host, 1, token).await;
    for (question, result) in [
        (Info::Var(b"remote_addr"), Some(&b"::1"[..])),
        (Info::ReqBody, None),
    ] {
        let asked = receive(&mut host).await;
        assert_eq!(
            asked.decode::<extra_info::Request<'_>>().unwrap().0,
            question
        );
        host.send(&extra_info::Response { result }).await.unwrap();
    }
    assert_eq!(unchanged(&receive(&mut host).await), 1);
    let answers = runner.received_of(RpcType::ExtraInfo);
    assert_eq!(
        answers[0]
            .decode::<extra_info::Response<'_>>()
            .unwrap()
            .result,
        Some(&b"::1"[..])
    );
}

#[tokio::test]
async fn it_asks_ahead_and_takes_the_answers_later() {
    let runner = FakeRunner::start().unwrap();
    let ahead = Answer::new()
        .ask_ahead(Info::Var(b"a"))
        .ask_ahead(Info::Var(b"b"))
        .reply();
    runner.always(RpcType::HttpReqCall, ahead);
    let mut host = connect(&runner).await;
    let token = prepare(&mut host, "a").await;
    call(&mut host, 1, token).await;
    let mut types = Vec::new();
    for _ in 0..3 {
        types.push(receive(&mut host).await.ty);
    }
    assert_eq!(
        types,
        [RpcType::ExtraInfo, RpcType::ExtraInfo, RpcType::HttpReqCall]
    );
    host.send(&extra_info::Response::default()).await.unwrap();
    host.send(&extra_info::Response::default()).await.unwrap();
    prepare(&mut host, "b").await;
    assert_eq!(runner.received_of(RpcType::ExtraInfo).len(), 2);
}

#[tokio::test]
async fn it_can_be_slow_and_say_too_much() {
    let runner = FakeRunner::start().unwrap();
    runner.next(RpcType::PrepareConf, Answer::new().byte_by_byte().reply());
    runner.next(RpcType::PrepareConf, Answer::new().reply().reply());
    let mut stream = UnixStream::connect(runner.path()).await.unwrap();
    let request = frame(&prepare_conf::Request::default());
    tokio::io::AsyncWriteExt::write_all(&mut stream, &request)
        .await
        .unwrap();
    let mut decoder = FrameDecoder::new();
    let mut reads = 0;
    while decoder.next_frame().unwrap().is_none() {
        stream.read_buf(decoder.buffer()).await.unwrap();
        reads += 1;
    }
    assert!(reads > 1, "it came in one piece");
    let mut host = connect(&runner).await;
    assert_eq!(prepare(&mut host, "").await, 1);
    assert_eq!(receive(&mut host).await.ty, RpcType::PrepareConf);
}

#[tokio::test]
async fn it_sends_rubbish_halves_and_nothing() {
    let runner = FakeRunner::start().unwrap();
    runner.next(RpcType::HttpReqCall, Answer::new().send_bytes(*b"rubbish"));
    let mut host = connect(&runner).await;
    call(&mut host, 1, 1).await;
    host.receive().await.expect_err("no frame");

    runner.next(
        RpcType::HttpReqCall,
        Answer::new().send_bytes([2, 0, 0, 9, 1]).close(),
    );
    let mut host = connect(&runner).await;
    call(&mut host, 1, 1).await;
    host.receive().await.expect_err("half a frame");

    runner.next(RpcType::HttpReqCall, Answer::new().close());
    let mut host = connect(&runner).await;
    call(&mut host, 1, 1).await;
    assert!(closed(&mut host).await);

    runner.next(RpcType::HttpReqCall, Answer::new().silence());
    let mut host = connect(&runner).await;
    call(&mut host, 1, 1).await;
    call(&mut host, 2, 1).await;
    runner
        .wait_until(|history| history.received.len() == 5)
        .await;
    host.close_sending().await.unwrap();
    assert!(closed(&mut host).await);
}

#[tokio::test]
async fn a_reply_can_be_made_of_what_came() {
    let runner = FakeRunner::start().unwrap();
    let doubles = Answer::new().reply_with(|received| {
        let request: http_req_call::Request<'_> = received.decode().unwrap();
        frame(&http_req_call::Response {
            id: request.id * 2,
            action: None,
        })
    });
    runner.always(RpcType::HttpReqCall, doubles);
    let mut host = connect(&runner).await;
    call(&mut host, 21, 1).await;
    assert_eq!(unchanged(&receive(&mut host).await), 42);
}

#[tokio::test(start_paused = true)]
async fn a_gate_holds_answers_back() {
    let runner = FakeRunner::start().unwrap();
    let gate = Gate::new();
    runner.always(RpcType::PrepareConf, Answer::new().wait_for(&gate).reply());
    let mut host = connect(&runner).await;
    host.send(&prepare_conf::Request::default()).await.unwrap();
    runner
        .wait_until(|history| history.received.len() == 1)
        .await;
    let early = tokio::time::timeout(Duration::from_millis(5), host.receive()).await;
    assert!(early.is_err(), "{early:?}");
    gate.open();
    assert_eq!(receive(&mut host).await.ty, RpcType::PrepareConf);
}

#[tokio::test]
async fn tokens_can_be_forgotten() {
    let runner = FakeRunner::start().unwrap();
    let mut host = connect(&runner).await;
    let token = prepare(&mut host, "a").await;
    runner.forget_tokens();
    call(&mut host, 1, token).await;
    assert_eq!(code(&receive(&mut host).await), Code::ConfTokenNotFound);
    assert_eq!(prepare(&mut host, "a").await, token + 1);
}

#[tokio::test]
async fn stopped_it_is_gone_and_another_can_take_its_place() {
    let runner = FakeRunner::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let first = FakeRunner::start_at(&path).unwrap();
    let mut host = connect(&first).await;
    let mut in_memory = FrameStream::new(first.connect_in_memory());
    first
        .wait_until(|history| history.open_connections == 2)
        .await;
    first.stop().await;
    assert!(closed(&mut host).await && closed(&mut in_memory).await);
    UnixStream::connect(&path)
        .await
        .expect_err("nobody is there");
    let second = FakeRunner::start_at(&path).unwrap();
    assert_eq!(prepare(&mut connect(&second).await, "a").await, 1);
    let own = runner.path().to_owned();
    drop(runner);
    assert!(!own.exists());
}

#[tokio::test]
async fn connections_are_counted() {
    let runner = FakeRunner::start().unwrap();
    let (first, _second) = (connect(&runner).await, connect(&runner).await);
    runner.wait_until(|history| history.connections == 2).await;
    drop(first);
    runner
        .wait_until(|history| history.open_connections == 1)
        .await;
    assert_eq!(runner.history().connections, 2);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "it did not happen")]
async fn waiting_in_vain_fails_the_test() {
    FakeRunner::start()
        .unwrap()
        .wait_until(|history| history.connections == 1)
        .await;
}

#[tokio::test(start_paused = true)]
async fn in_memory_it_works_in_simulated_time() {
    let runner = FakeRunner::start().unwrap();
    let mut host = FrameStream::new(runner.connect_in_memory());
    let start = tokio::time::Instant::now();
    assert_eq!(prepare(&mut host, "a").await, 1);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(runner.received().len(), 1);
}
