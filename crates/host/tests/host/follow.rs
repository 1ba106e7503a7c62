//! Runners that somebody else starts and stops.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use outrigger_host::limits::FOLLOW_PATIENCE;
use outrigger_host::{Absence, Timeouts};
use tokio::time::{Instant, sleep, timeout};

use crate::restart::{RunnerProcess, lost_tokens};
use crate::support::{FakeRunner, Host, Plugins, conf};

/// A host whose control thread follows whoever listens in this folder.
fn host(folder: &FakeRunner) -> Host {
    let host = Host::with(Timeouts::default());
    tokio::spawn(host.runner.follow(0, folder.socket()));
    tokio::spawn(host.runner.prepare_ahead());
    host
}

fn generation(host: &Host) -> u64 {
    host.runner.status().instances[0].generation
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Without a single call after the first ones.
#[tokio::test]
async fn a_restart_is_noticed_and_everything_prepared_again_before_any_call() {
    let folder = FakeRunner::absent();
    let host = host(&folder);
    let confs = ["a", "b", "c"].map(conf);
    for conf in &confs {
        conf.prepare_ahead(&host.runner);
    }
    let mut process = RunnerProcess::start(&folder.socket());
    for conf in &confs {
        assert_eq!(host.call(conf).await.unwrap(), conf.key());
    }
    for _ in 0..3 {
        let before = generation(&host);
        let prepared = || {
            let lines = host.log.lines();
            lines
                .iter()
                .filter(|line| line.starts_with("prepared"))
                .count()
        };
        let known = prepared();
        process.kill();
        until(|| generation(&host) == 0).await;
        fs::remove_file(folder.socket()).unwrap();
        process = RunnerProcess::start(&folder.socket());
        until(|| generation(&host) > before && prepared() == known + 3).await;
        for conf in confs.iter().rev() {
            assert_eq!(host.call(conf).await.unwrap(), conf.key());
        }
        assert_eq!(prepared(), known + 3);
    }
    assert_eq!(host.log.count("process changed"), 3);
    assert_eq!(lost_tokens(&host), 0);
}

/// The old process goes on, the path leads to the new one.
#[tokio::test]
async fn a_successor_that_takes_the_path_is_noticed() {
    let folder = FakeRunner::absent();
    let host = host(&folder);
    let conf = conf("a");
    let _old = RunnerProcess::start(&folder.socket());
    host.call(&conf).await.unwrap();
    let before = generation(&host);
    fs::remove_file(folder.socket()).unwrap();
    let _new = RunnerProcess::start(&folder.socket());
    until(|| generation(&host) > before).await;
    assert_eq!(host.call(&conf).await.unwrap(), "a");
    assert_eq!(lost_tokens(&host), 0);
}

/// The Python runner closes connections that are idle for a minute.
#[tokio::test(start_paused = true)]
async fn a_connection_that_the_runner_closes_changes_nothing() {
    let plugins = Arc::new(Plugins::default());
    let mut folder = FakeRunner::absent();
    folder.listen({
        let plugins = Arc::clone(&plugins);
        move |peer, _| {
            let serving = Arc::clone(&plugins).serve(peer);
            async move {
                let _ = timeout(Duration::from_secs(60), serving).await;
            }
        }
    });
    let host = host(&folder);
    let conf = conf("a");
    host.call(&conf).await.unwrap();
    let before = generation(&host);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(generation(&host), before);
    assert_eq!(host.call(&conf).await.unwrap(), "a");
    assert_eq!(plugins.prepared().len(), 1);
    assert!(folder.accepted() < 30, "{}", folder.accepted());
}

/// One that accepts and hangs up is not connected to without pause.
#[tokio::test(start_paused = true)]
async fn a_runner_that_hangs_up_at_once_is_not_harassed() {
    let mut folder = FakeRunner::absent();
    folder.listen(|_, _| async {});
    let _host = host(&folder);
    sleep(Duration::from_secs(10)).await;
    assert!(folder.accepted() < 250, "{}", folder.accepted());
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_it_for_a_while_and_then_fail_at_once() {
    let mut folder = FakeRunner::absent();
    let host = host(&folder);
    let conf = conf("a");
    let begun = Instant::now();
    let failure = host.failure(&conf).await;
    assert_eq!(failure.kind(), "unavailable");
    assert!(failure.to_string().contains("runner.sock"), "{failure}");
    assert_eq!(begun.elapsed().as_secs(), FOLLOW_PATIENCE.as_secs());
    assert!(
        host.call(&conf)
            .now_or_never()
            .is_some_and(|call| call.is_err())
    );

    let plugins = Arc::new(Plugins::default());
    folder.listen(move |peer, _| Arc::clone(&plugins).serve(peer));
    until(|| generation(&host) > 0).await;
    assert_eq!(host.call(&conf).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn following_ends_with_the_runner() {
    let folder = FakeRunner::absent();
    let host = Host::with(Timeouts::default());
    let following = tokio::spawn(host.runner.follow(0, folder.socket()));
    until(|| {
        let absent = &host.runner.status().instances[0].absent;
        matches!(absent, Some((Absence::Passing, why)) if why.contains("cannot connect"))
    })
    .await;
    drop(host);
    following.await.unwrap();
}
