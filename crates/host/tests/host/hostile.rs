//! Runners that break the protocol: each call has its error within its time
//! limit, and nothing else happens.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use outrigger_a6::error::Code;
use outrigger_a6::extra_info::{Info, Request as Ask};
use outrigger_a6::{ConfToken, RpcType, prepare_conf};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::support::{FakeRunner, Host, Known, Peer, Plugins, bytes_of, conf, error, stop};

/// Sends these bytes instead of an answer to a call, and is silent then.
fn answering(bytes: Vec<u8>) -> FakeRunner {
    let bytes = Bytes::from(bytes);
    FakeRunner::calling(move |mut peer, _| {
        let bytes = bytes.clone();
        async move {
            peer.send_bytes(&bytes).await;
            peer
        }
    })
}

/// How a call to a runner that sends these bytes fails.
async fn failure(bytes: &[u8]) -> String {
    let runner = answering(bytes.to_vec());
    Host::of(&runner).failure(&conf("a")).await.to_string()
}

const TIMEOUT: &str = "the runner took longer than 60s: the call";

#[tokio::test(start_paused = true)]
async fn what_is_no_frame_fails_the_call_at_once() {
    let begun = Instant::now();
    let bad_type = "the runner does not speak the protocol: the call: the peer sent a frame of \
                    unknown type ";
    assert_eq!(
        failure(b"HTTP/1.1 200 OK\r\n\r\n").await,
        format!("{bad_type}72")
    );
    assert_eq!(failure(&[5]).await, format!("{bad_type}5"));
    assert_eq!(failure(&[255, 0, 0, 0]).await, format!("{bad_type}255"));
    let prepared = bytes_of(&prepare_conf::Response {
        conf_token: ConfToken(1),
    });
    let wrong = "the runner sent RPC_PREPARE_CONF where RPC_HTTP_REQ_CALL was due";
    assert_eq!(failure(&prepared).await, wrong);
    assert!(
        failure(&[2, 0, 0, 0])
            .await
            .starts_with("the runner sent a malformed message")
    );
    assert!(begun.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_and_silence_is_a_timeout() {
    assert_eq!(failure(b"").await, TIMEOUT);
    assert_eq!(failure(&[2]).await, TIMEOUT);
    assert_eq!(failure(&[2, 0, 0]).await, TIMEOUT);
    assert_eq!(failure(&[2, 255, 255, 255]).await, TIMEOUT);
    let whole = stop(1, "fine");
    assert_eq!(failure(&whole[..whole.len() - 1]).await, TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_one_byte_at_a_time() {
    let runner = FakeRunner::calling(|mut peer, frame| async move {
        for byte in [bytes_of(&Ask(Info::ReqBody)), stop(frame.id(), "fine")].concat() {
            peer.send_bytes(&[byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(peer.expect().await.answer(), None);
        peer
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    for _ in 0..3 {
        assert_eq!(host.call(&conf).await.unwrap(), "fine");
    }
    assert_eq!(runner.accepted(), 2);
}

#[tokio::test(start_paused = true)]
async fn preparing_meets_the_same_runners() {
    for (bytes, kind) in [
        (&b"HTTP/1.1 200 OK"[..], "malformed"),
        (&[1, 0, 0, 0], "malformed"),
        (&bytes_of(&Ask(Info::ReqBody)), "malformed"),
        (&stop(1, ""), "malformed"),
        (&[1, 255, 255, 255], "timeout"),
        (b"", "timeout"),
    ] {
        let bytes = bytes.to_vec();
        let runner = FakeRunner::with(move |mut peer, _| {
            let bytes = bytes.clone();
            async move {
                peer.expect().await;
                peer.send_bytes(&bytes).await;
                pending::<()>().await;
            }
        });
        assert_eq!(Host::of(&runner).failure(&conf("a")).await.kind(), kind);
    }
    let runner = FakeRunner::with(|mut peer, _| async move {
        peer.expect().await;
    });
    assert_eq!(
        Host::of(&runner).failure(&conf("a")).await.to_string(),
        "the runner closed the connection: preparing the configuration"
    );
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_asks_and_asks_is_stopped() {
    let runner = FakeRunner::calling(|mut peer, _| async move {
        let ask = bytes_of(&Ask(Info::ReqBody));
        loop {
            peer.send_bytes(&ask).await;
            if peer.next().await.is_none() {
                return peer;
            }
        }
    });
    let story = "the runner asked more than 1024 questions in one call";
    assert_eq!(
        Host::of(&runner).failure(&conf("a")).await.to_string(),
        story
    );
}

/// 100 questions for a body that no socket holds, and no answer is read.
#[tokio::test(start_paused = true)]
async fn a_runner_that_asks_without_reading_runs_out_of_time() {
    let runner = FakeRunner::calling(|mut peer, _| async move {
        peer.send_bytes(&bytes_of(&Ask(Info::ReqBody)).repeat(100))
            .await;
        pending().await
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let mut answers = Counted(Arc::clone(&asked));
    let failure = Host::of(&runner)
        .call_with(&conf("a"), &mut answers)
        .await
        .unwrap_err();
    assert_eq!(failure.to_string(), TIMEOUT);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "answers do not pile up");
}

/// Counts how often a body of 15 MiB is asked for.
struct Counted(Arc<AtomicUsize>);

impl outrigger_host::Answers for Counted {
    async fn var(&mut self, _name: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
        None
    }

    async fn request_body(&mut self) -> Result<Option<Bytes>, outrigger_host::BodyError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Some(vec![0; 15 << 20].into()))
    }

    async fn response_body(&mut self) -> Result<Option<Bytes>, outrigger_host::BodyError> {
        Ok(None)
    }
}

/// Asks for a body that no socket holds, and answers after the first bytes.
fn answers_before_reading(answer: fn(u32) -> Vec<u8>, hang_up: bool) -> FakeRunner {
    FakeRunner::with(move |mut peer, _| async move {
        while let Some(frame) = peer.next().await {
            if peer.prepares(&frame).await {
                continue;
            }
            peer.send(&Ask(Info::ReqBody)).await;
            peer.stream.read_exact(&mut [0; 4]).await.unwrap();
            peer.send_bytes(&answer(frame.id())).await;
            if !hang_up {
                pending::<()>().await;
            }
            return;
        }
    })
}

fn long_body() -> Known {
    Known {
        request_body: Some(vec![b'x'; 8 << 20].into()),
        ..Known::default()
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_counts_although_the_runner_did_not_read_everything() {
    for hang_up in [false, true] {
        let runner = answers_before_reading(|id| stop(id, "enough"), hang_up);
        let host = Host::of(&runner);
        assert_eq!(
            host.call_with(&conf("a"), &mut long_body()).await.unwrap(),
            "enough"
        );
        assert_eq!(host.log.count("closed: unclean"), 1);

        let runner = answers_before_reading(|_| error(Code::ServiceUnavailable), hang_up);
        let failure = Host::of(&runner)
            .call_with(&conf("a"), &mut long_body())
            .await;
        assert_eq!(failure.unwrap_err().kind(), "refused");
    }
}

/// Both sides have more to send than sockets hold, and the runner reads nothing.
#[tokio::test(start_paused = true)]
async fn a_long_answer_counts_although_the_runner_reads_nothing() {
    let runner = answers_before_reading(|id| stop(id, &"y".repeat(8 << 20)), false);
    let body = Host::of(&runner)
        .call_with(&conf("a"), &mut long_body())
        .await
        .unwrap();
    assert_eq!(body.len(), 8 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_hangs_up_on_a_long_body_closed_the_connection() {
    let runner = answers_before_reading(|_| Vec::new(), true);
    let failure = Host::of(&runner)
        .call_with(&conf("a"), &mut long_body())
        .await
        .unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the runner closed the connection: the call"
    );
}

/// Numbers that look random, the same ones each time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(start: u64) -> Self {
        Self(start.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % sides
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.roll(most)).map(|_| self.roll(256) as u8).collect()
    }

    /// Bytes, mostly of a frame whose header is right.
    pub(crate) fn rubbish(&mut self) -> Vec<u8> {
        let payload = self.bytes(64);
        match self.roll(3) {
            0 => payload,
            _ => {
                let len = payload.len() + self.roll(2);
                [&[self.roll(5) as u8, 0, 0, len as u8][..], &payload].concat()
            }
        }
    }

    /// A right answer with some bytes changed, lost or doubled.
    pub(crate) fn mutated(&mut self, mut answer: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.roll(3) {
            let at = self.roll(answer.len());
            match self.roll(4) {
                0 => answer.truncate(at.max(1)),
                1 => answer.insert(at, self.roll(256) as u8),
                _ => answer[at] = self.roll(256) as u8,
            }
        }
        answer
    }
}

/// Every second call gets what `misdeed` makes of it, the others an answer.
async fn survives(calls: u64, misdeed: impl Fn(&mut Dice, u32) -> Vec<u8> + Send + Sync + 'static) {
    // 0 for an honest answer, otherwise where the dice begin.
    let seed = Arc::new(AtomicU64::new(0));
    let misdeed = Arc::new(misdeed);
    let runner = FakeRunner::calling({
        let seed = Arc::clone(&seed);
        move |mut peer, frame| {
            let (misdeed, seed) = (Arc::clone(&misdeed), seed.load(Ordering::Relaxed));
            async move {
                let answer = match seed {
                    0 => stop(frame.id(), "fine"),
                    _ => misdeed(&mut Dice(seed), frame.id()),
                };
                peer.send_bytes(&answer).await;
                peer
            }
        }
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    let mut failures = 0;
    for call in 1..=calls / 2 {
        seed.store(call, Ordering::Relaxed);
        failures += usize::from(host.call(&conf).await.is_err());
        seed.store(0, Ordering::Relaxed);
        assert_eq!(host.call(&conf).await.unwrap(), "fine");
    }
    assert!(failures > 0);
    let closed = host
        .log
        .lines()
        .iter()
        .filter(|line| line.starts_with("closed"))
        .count();
    assert!(
        host.log.count("opened") - closed <= 1,
        "all but the idle connection are closed"
    );
}

#[tokio::test(start_paused = true)]
async fn rubbish_ends_its_own_call_and_no_other() {
    survives(4_000, |dice, _| dice.rubbish()).await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_answer_ends_its_own_call_at_most() {
    survives(4_000, |dice, id| {
        dice.mutated(stop(id, "a body of some length"))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_holds_up_no_other() {
    let hang = Arc::new(AtomicBool::new(true));
    let runner = FakeRunner::calling({
        let hang = Arc::clone(&hang);
        move |mut peer: Peer, frame| {
            let hang = hang.swap(false, Ordering::Relaxed);
            async move {
                if hang {
                    pending::<()>().await;
                }
                peer.send_bytes(&stop(frame.id(), "fine")).await;
                peer
            }
        }
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    let begun = Instant::now();
    let (hung, others) = tokio::join!(host.call(&conf), async {
        while hang.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            assert_eq!(host.call(&conf).await.unwrap(), "fine");
        }
        begun.elapsed()
    });
    assert!(others < Duration::from_secs(1), "{others:?}");
    assert_eq!(hung.unwrap_err().to_string(), TIMEOUT);
}

/// One route's runner in trouble is nothing to another route's.
#[tokio::test(start_paused = true)]
async fn another_runners_calls_do_not_notice() {
    let (bad, plugins) = (answering(b"rubbish".to_vec()), Arc::new(Plugins::default()));
    let good = FakeRunner::honest(&plugins);
    let (bad, good) = (Host::of(&bad), Host::of(&good));
    let (a, b) = (conf("a"), conf("b"));
    for _ in 0..10 {
        assert_eq!(bad.failure(&a).await.kind(), "malformed");
        assert_eq!(good.call(&b).await.unwrap(), "b");
    }
    assert!(bad.log.count("failed: malformed") == 10 && good.log.count("failed: malformed") == 0);
}

/// The type of the last frame that the host sent is never an unknown one: some
/// runners crash on those.
#[tokio::test]
async fn only_known_types_are_sent() {
    let runner = FakeRunner::calling(|mut peer, frame| async move {
        assert_eq!(frame.ty, RpcType::HttpReqCall);
        peer.send(&Ask(Info::Var(b"x"))).await;
        assert_eq!(peer.expect().await.ty, RpcType::ExtraInfo);
        peer.send_bytes(&stop(frame.id(), "fine")).await;
        peer
    });
    Host::of(&runner).call(&conf("a")).await.unwrap();
}
