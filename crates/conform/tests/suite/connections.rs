//! Runners that break the rules about connections.

use std::sync::Arc;
use std::time::Duration;

use outrigger_testkit::FrameStream;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::support::{NONE, RawRunner, Shared, breaks, is_mute, patient, sane, serve_sanely};

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_does_not_hold_up_another() {
    let serial = |stream, _| serve_sanely(FrameStream::new(stream));
    let runner = RawRunner::one_at_a_time(serial);
    is_mute("half-a-frame", NONE, &runner.path()).await;
    let runner = RawRunner::one_at_a_time(serial);
    is_mute("many-connections", NONE, &runner.path()).await;
}

/// Hangs up where nothing comes for a while, which is less than the suite waits.
async fn restless(stream: UnixStream) {
    let mut frames = FrameStream::new(stream);
    while let Ok(Ok(Some(received))) = timeout(patient().idle / 2, frames.receive()).await {
        let reply = sane(&received).unwrap_or_default();
        if frames.send_bytes(&reply).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_stays() {
    let runner = RawRunner::start(|stream, _| restless(stream));
    // On a slow machine it may hang up earlier, which is as wrong.
    breaks(
        "idle-connection",
        &runner.path(),
        "it closed the connection",
    )
    .await;
}

/// Has enough of connections that say nothing.
async fn easily_bored(stream: UnixStream, shared: Arc<Shared>) {
    let mut frames = FrameStream::new(stream);
    let mut first = true;
    while let Ok(Some(received)) = frames.receive().await {
        first = false;
        let reply = sane(&received).unwrap_or_default();
        if frames.send_bytes(&reply).await.is_err() {
            return;
        }
    }
    if first && shared.count() > 20 {
        shared.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_may_come_and_go() {
    let runner = RawRunner::start(easily_bored);
    breaks("open-and-close", &runner.path(), "it").await;
}

/// Does not survive half a frame.
async fn fragile(stream: UnixStream, shared: Arc<Shared>) {
    let mut frames = FrameStream::new(stream);
    loop {
        match frames.receive().await {
            Ok(Some(received)) => {
                let reply = sane(&received).unwrap_or_default();
                if frames.send_bytes(&reply).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(_) => return shared.kill(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_frame_is_survived() {
    let runner = RawRunner::start(fragile);
    breaks("hang-up-in-frame", &runner.path(), "it").await;
}

/// Does not survive a host that is gone when the answer is there.
async fn attached(stream: UnixStream, shared: Arc<Shared>) {
    let mut stream = stream;
    let mut buffer = [0; 4096];
    while let Ok(length @ 5..) = stream.read(&mut buffer).await {
        let received = outrigger_testkit::OwnedFrame {
            ty: buffer[0].try_into().unwrap(),
            payload: buffer[4..length].to_vec(),
        };
        sleep(Duration::from_millis(5)).await;
        let reply = sane(&received).unwrap_or_default();
        if tokio::io::AsyncWriteExt::write_all(&mut stream, &reply)
            .await
            .is_err()
        {
            return shared.kill();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_gone_is_survived() {
    let runner = RawRunner::start(attached);
    breaks("hang-up-in-call", &runner.path(), "it").await;
}
