//! What the tests share: runners to try, and short ways to try them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use outrigger_a6::{ConfToken, Decode, Encode, RpcType, http_req_call, prepare_conf};
use outrigger_conform::{Options, Profile, Report, Target, Times, Verdict, run};
use outrigger_testkit::{FrameStream, OwnedFrame, frame};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// For runners that answer, however slow the machine is.
pub(crate) fn patient() -> Times {
    Times {
        answer: Duration::from_secs(30),
        settle: Duration::from_millis(20),
        idle: Duration::from_millis(100),
        start: Duration::from_secs(60),
        stop: Duration::from_secs(30),
        conf_lifetime: Duration::from_secs(1),
    }
}

/// For runners that are not to answer.
pub(crate) fn hasty() -> Times {
    Times {
        answer: Duration::from_secs(1),
        ..patient()
    }
}

/// The report on one rule.
pub(crate) async fn try_rule(rule: &str, target: Target, profile: &str, times: Times) -> Report {
    let options = Options {
        times,
        profile: Profile::parse("profile", profile).unwrap(),
        rules: vec![rule.to_owned()],
        ..Options::default()
    };
    run(target, options, |_| {}).await.unwrap()
}

/// Tries the rule, which must come out as `expected`, a word and a part of what
/// was seen.
pub(crate) async fn expect(
    rule: &str,
    runner: &Path,
    profile: &str,
    times: Times,
    expected: (&str, &str),
) {
    let target = Target::Socket(runner.to_owned());
    let report = try_rule(rule, target, profile, times).await;
    let verdict = report.played()[0].verdict();
    let (word, seen) = expected;
    assert!(
        verdict.word() == word && verdict.seen().contains(seen),
        "{rule}: {verdict:?}, expected {word}: {seen}"
    );
}

/// No plugins are known.
pub(crate) const NONE: &str = "plugins: {}";

/// A runner that breaks the rule, and what the suite must say of it.
pub(crate) async fn breaks(rule: &str, runner: &Path, seen: &str) {
    expect(rule, runner, NONE, patient(), ("wrong", seen)).await;
}

/// As [`breaks`], with a plugin that is said to do `behaviour`.
pub(crate) async fn breaks_with(rule: &str, behaviour: &str, runner: &Path, seen: &str) {
    expect(
        rule,
        runner,
        &profile(behaviour),
        patient(),
        ("wrong", seen),
    )
    .await;
}

/// A runner that breaks the rule by saying nothing.
pub(crate) async fn is_mute(rule: &str, profile: &str, runner: &Path) {
    expect(rule, runner, profile, hasty(), ("wrong", "")).await;
}

/// A runner that does it another way that is permitted.
pub(crate) async fn varies(rule: &str, profile: &str, runner: &Path, seen: &str) {
    expect(rule, runner, profile, patient(), ("differently", seen)).await;
}

/// A profile in which a plugin is said to do `behaviour`; with what is expected
/// behind it, in JSON.
pub(crate) fn profile(behaviour: &str) -> String {
    let (behaviour, expect) = behaviour.split_once(' ').unwrap_or((behaviour, "{}"));
    format!("plugins: {{{behaviour}: {{conf: [{{name: p, value: {{}}}}], expect: {expect}}}}}")
}

/// A runner that is a function: it is given each connection.
///
/// It listens until it is dropped, or until a connection kills it.
pub(crate) struct RawRunner {
    folder: TempDir,
    accepting: JoinHandle<()>,
}

/// What the connections of a raw runner share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Whether it is broken for good: connections are closed as they come.
    pub(crate) dead: AtomicBool,
    count: AtomicU32,
}

impl Shared {
    pub(crate) fn count(&self) -> u32 {
        self.count.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }
}

impl RawRunner {
    /// All connections at the same time.
    pub(crate) fn start<F>(serve: impl Fn(UnixStream, Arc<Shared>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::accept(move |stream, shared| {
            tokio::spawn(serve(stream, shared));
            std::future::ready(())
        })
    }

    /// One connection after the other.
    pub(crate) fn one_at_a_time<F>(
        serve: impl Fn(UnixStream, Arc<Shared>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::accept(serve)
    }

    fn accept<F>(serve: impl Fn(UnixStream, Arc<Shared>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("raw.sock")).unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if !shared.dead.load(Ordering::SeqCst) {
                    serve(stream, Arc::clone(&shared)).await;
                }
            }
        });
        Self { folder, accepting }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("raw.sock")
    }
}

impl Drop for RawRunner {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A token for a configuration, no change for a request; anything else is
/// nothing.
pub(crate) fn sane(received: &OwnedFrame) -> Option<Vec<u8>> {
    match received.ty {
        RpcType::PrepareConf => Some(frame(&token(1))),
        RpcType::HttpReqCall => Some(unchanged(received)),
        _ => None,
    }
}

pub(crate) fn token(number: u32) -> prepare_conf::Response {
    prepare_conf::Response {
        conf_token: ConfToken(number),
    }
}

/// That the request in this frame goes on.
pub(crate) fn unchanged(received: &OwnedFrame) -> Vec<u8> {
    reply(&http_req_call::Response {
        id: request(received).id,
        action: None,
    })
}

pub(crate) fn request(received: &OwnedFrame) -> http_req_call::Request<'_> {
    http_req_call::Request::decode(&received.payload).unwrap_or_default()
}

pub(crate) fn reply(message: &impl Encode) -> Vec<u8> {
    frame(message)
}

/// Serves a connection as a runner without plugins does.
pub(crate) async fn serve_sanely(mut frames: FrameStream) {
    while let Ok(Some(received)) = frames.receive().await {
        if let Some(reply) = sane(&received)
            && frames.send_bytes(&reply).await.is_err()
        {
            return;
        }
    }
}

/// Whether a verdict is that all is well.
pub(crate) fn is_right(verdict: &Verdict) -> bool {
    *verdict == Verdict::Right
}
