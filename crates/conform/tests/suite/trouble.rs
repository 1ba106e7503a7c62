//! Runners that break the rules about what makes no sense.

use outrigger_a6::RpcType;
use outrigger_testkit::{Answer, FakeRunner, OwnedFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::{NONE, RawRunner, breaks, expect, hasty, is_mute, sane};

/// Passes over frames of types that it does not know; with `stubborn`, nothing
/// after one of them is answered.
async fn tolerant(mut stream: UnixStream, stubborn: bool) {
    let mut header = [0; 4];
    let mut mute = false;
    while stream.read_exact(&mut header).await.is_ok() {
        let [ty, a, b, c] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            return;
        }
        let Ok(ty) = RpcType::try_from(ty) else {
            mute = stubborn;
            continue;
        };
        let reply = sane(&OwnedFrame { ty, payload }).unwrap_or_default();
        if !mute && stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_type_is_noticed() {
    let runner = RawRunner::start(|stream, _| tolerant(stream, true));
    is_mute("unknown-type", NONE, &runner.path()).await;
    let runner = RawRunner::start(|stream, _| tolerant(stream, false));
    let times = hasty();
    let expected = ("differently", "it passes over the frame");
    expect("unknown-type", &runner.path(), NONE, times, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misplaced_type_is_noticed() {
    let runner = FakeRunner::start().unwrap();
    runner.always(RpcType::ExtraInfo, Answer::new().silence());
    is_mute("misplaced-type", NONE, runner.path()).await;
    let polite = FakeRunner::start().unwrap();
    polite.always(RpcType::ExtraInfo, Answer::token(1));
    let seen = "it answers with a frame of type RPC_PREPARE_CONF";
    breaks("misplaced-type", polite.path(), seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_message_is_noticed() {
    let runner = FakeRunner::start().unwrap();
    runner.always(RpcType::PrepareConf, Answer::token(1));
    let seen = "RPC_PREPARE_CONF: it answers with a frame of type RPC_PREPARE_CONF";
    breaks("empty-message", runner.path(), seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_is_noticed() {
    let runner = FakeRunner::start().unwrap();
    runner.always(RpcType::HttpReqCall, Answer::new());
    is_mute("random-message", NONE, runner.path()).await;
    is_mute("mutated-message", NONE, runner.path()).await;
    // What comes back may be rubbish as well.
    runner.always(RpcType::HttpReqCall, Answer::new().send_bytes([9, 9, 9, 9]));
    breaks("random-message", runner.path(), "a frame of unknown type 9").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_passed_over_is_told() {
    let runner = FakeRunner::start().unwrap();
    runner.always(RpcType::ExtraInfo, Answer::new());
    let expected = ("differently", "it passes over the frame");
    let times = hasty();
    expect("misplaced-type", runner.path(), NONE, times, expected).await;
}
