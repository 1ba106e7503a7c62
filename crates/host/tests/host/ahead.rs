//! Configurations that are prepared before they are needed.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use outrigger_a6::RpcType;
use outrigger_host::limits::PREPARE_AHEAD;
use outrigger_host::{Absence, Conf, Timeouts};
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::support::{FakeRunner, Host, Plugins, conf, error};

/// A host whose control thread prepares ahead.
fn host() -> Host {
    let host = Host::with(Timeouts::default());
    tokio::spawn(host.runner.prepare_ahead());
    host
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn many(host: &Host, confs: usize) -> Vec<Arc<Conf>> {
    let confs: Vec<_> = (0..confs)
        .map(|number| conf(&format!("route#{number}")))
        .collect();
    for conf in &confs {
        conf.prepare_ahead(&host.runner);
    }
    confs
}

/// Each exactly once for each generation, however many calls need it meanwhile.
#[tokio::test]
async fn a_thousand_confs_are_prepared_once_for_each_process() {
    let host = host();
    let confs = many(&host, 1000);
    let mut keys: Vec<_> = confs.iter().map(|conf| conf.key().to_owned()).collect();
    keys.sort();
    for _ in 0..3 {
        let plugins = Arc::new(Plugins::default());
        let runner = FakeRunner::honest(&plugins);
        host.runner.listening(0, runner.socket());
        let calls = join_all(confs.iter().rev().take(500).map(|conf| host.call(conf))).await;
        for (call, conf) in calls.into_iter().zip(confs.iter().rev()) {
            assert_eq!(call.unwrap(), conf.key());
        }
        until(|| plugins.prepared().len() >= 1000).await;
        for conf in &confs {
            assert_eq!(host.call(conf).await.unwrap(), conf.key());
        }
        let mut prepared = plugins.prepared();
        prepared.sort();
        assert_eq!(prepared, keys);
    }
}

#[tokio::test]
async fn a_conf_is_prepared_without_any_call() {
    let host = host();
    let (first, second) = (Arc::new(Plugins::default()), Arc::new(Plugins::default()));
    let runner = FakeRunner::honest(&first);
    let a = many(&host, 1);
    host.runner.listening(0, runner.socket());
    until(|| first.prepared() == ["route#0"]).await;
    // One that comes later, and a process that does.
    let b = conf("b");
    b.prepare_ahead(&host.runner);
    b.prepare_ahead(&host.runner);
    until(|| first.prepared() == ["route#0", "b"]).await;
    drop(a);
    let other = FakeRunner::honest(&second);
    host.runner.listening(1, other.socket());
    until(|| second.prepared() == ["b"]).await;
    assert_eq!(first.calls() + second.calls(), 0);
}

/// Counts PrepareConf that came and never answers.
fn never_prepared(asked: &Arc<AtomicUsize>) -> FakeRunner {
    let asked = Arc::clone(asked);
    FakeRunner::with(move |mut peer, _| {
        let asked = Arc::clone(&asked);
        async move {
            assert_eq!(peer.expect().await.ty, RpcType::PrepareConf);
            asked.fetch_add(1, Ordering::Relaxed);
            pending::<()>().await;
        }
    })
}

#[tokio::test]
async fn a_process_is_not_flooded_with_confs_and_does_not_hold_up_its_successor() {
    let (host, asked) = (host(), Arc::new(AtomicUsize::new(0)));
    let stuck = never_prepared(&asked);
    let _confs = many(&host, 100);
    host.runner.listening(0, stuck.socket());
    until(|| asked.load(Ordering::Relaxed) == PREPARE_AHEAD).await;
    for _ in 0..100 {
        yield_now().await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), PREPARE_AHEAD);

    let plugins = Arc::new(Plugins::default());
    let successor = FakeRunner::honest(&plugins);
    let retired = host.runner.listening(0, successor.socket());
    until(|| plugins.prepared().len() == 100).await;
    retired.drained().await;
}

#[tokio::test]
async fn what_cannot_be_prepared_is_left_to_the_calls() {
    let asked = Arc::new(AtomicUsize::new(0));
    let runner = FakeRunner::with({
        let asked = Arc::clone(&asked);
        move |mut peer, _| {
            let asked = Arc::clone(&asked);
            async move {
                while peer.next().await.is_some() {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let refusal = error(outrigger_a6::error::Code::BadRequest);
                    peer.send_bytes(&refusal).await;
                }
            }
        }
    });
    let host = host();
    let confs = many(&host, 3);
    host.runner.listening(0, runner.socket());
    until(|| asked.load(Ordering::Relaxed) == 3).await;
    conf("other").prepare_ahead(&host.runner);
    host.runner
        .unavailable(1, Absence::Passing, "to wake it".to_owned());
    for _ in 0..100 {
        yield_now().await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3, "it is not asked again");
    assert_eq!(host.failure(&confs[0]).await.kind(), "refused");
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn preparing_ahead_ends_with_the_runner() {
    let host = Host::with(Timeouts::default());
    let ahead = tokio::spawn(host.runner.prepare_ahead());
    drop(host);
    let ended = timeout(Duration::from_secs(10), ahead).await;
    ended.expect("soon").unwrap();
}
