//! Runners that break the rules about frames.

use outrigger_a6::RpcType;
use outrigger_testkit::{Answer, FakeRunner, OwnedFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::{NONE, RawRunner, breaks, sane, varies};

/// Reads a header, and then the payload by one read: what comes later is lost.
async fn one_read(mut stream: UnixStream) {
    let mut header = [0; 4];
    while stream.read_exact(&mut header).await.is_ok() {
        let [ty, a, b, c] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        let length = stream.read(&mut payload).await.unwrap_or(0);
        if length < payload.len() {
            return;
        }
        let ty = RpcType::try_from(ty).unwrap();
        let reply = sane(&OwnedFrame { ty, payload }).unwrap_or_default();
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

/// Takes whatever one read brings for one frame.
async fn one_read_one_frame(mut stream: UnixStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 4..) = stream.read(&mut buffer).await {
        let ty = RpcType::try_from(buffer[0]).unwrap();
        let payload = buffer[4..length].to_vec();
        let reply = sane(&OwnedFrame { ty, payload }).unwrap_or_default();
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_not_read_at_once() {
    let runner = RawRunner::start(|stream, _| one_read(stream));
    breaks(
        "split-frames",
        &runner.path(),
        "the payload in two pieces: it closed",
    )
    .await;
    breaks("byte-by-byte", &runner.path(), "it closed the connection").await;
    // More than a socket's buffer holds, so one read never brings it.
    breaks("large-frame", &runner.path(), "it closed the connection").await;
    breaks("largest-frame", &runner.path(), "it closed the connection").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_frames_are_two() {
    let runner = RawRunner::start(|stream, _| one_read_one_frame(stream));
    crate::support::is_mute("joined-frames", NONE, &runner.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_after_an_answer() {
    let runner = FakeRunner::start().unwrap();
    let stray = Answer::sane().send_bytes([2, 0]);
    runner.always(RpcType::HttpReqCall, stray);
    breaks(
        "one-answer",
        runner.path(),
        "bytes that are no frame after the answer",
    )
    .await;
    let twice = Answer::sane().reply();
    runner.always(RpcType::HttpReqCall, twice);
    varies(
        "one-answer",
        NONE,
        runner.path(),
        "a surplus frame of type RPC_HTTP_REQ_CALL",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_has_one_token() {
    let runner = FakeRunner::start().unwrap();
    let other = Answer::sane().send(&crate::support::token(99));
    runner.always(RpcType::PrepareConf, other);
    breaks(
        "one-prepare-answer",
        runner.path(),
        "two answers to one PrepareConf",
    )
    .await;
    runner.always(RpcType::PrepareConf, Answer::sane().reply());
    varies(
        "one-prepare-answer",
        NONE,
        runner.path(),
        "PrepareConf twice",
    )
    .await;
}
