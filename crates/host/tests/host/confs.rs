//! Configurations and their tokens.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use outrigger_a6::error::Code;
use outrigger_a6::{ConfToken, RpcType, prepare_conf};
use outrigger_host::{Connections, Timeouts};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time::{Instant, advance, sleep};

use crate::support::{FakeRunner, HOUR, Host, Plugins, bytes_of, conf, error, stop};

#[tokio::test]
async fn a_conf_is_prepared_once_and_each_has_its_own_token() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let (a, b) = (conf("a"), conf("b"));
    for _ in 0..3 {
        assert_eq!(host.call(&a).await.unwrap(), "a");
        assert_eq!(host.call(&b).await.unwrap(), "b");
    }
    assert_eq!(plugins.prepared(), ["a", "b"]);
}

#[tokio::test]
async fn two_hundred_calls_at_once_prepare_one_conf_once() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let conf = conf("a");
    let calls = join_all((0..200).map(|_| host.call(&conf))).await;
    assert!(
        calls
            .iter()
            .all(|call| call.as_ref().is_ok_and(|key| key == "a")),
        "{calls:?}"
    );
    assert_eq!(plugins.prepared(), ["a"]);
    assert_eq!(plugins.calls(), 200);
}

/// Workers are threads, each with its own runtime and connections.
#[tokio::test]
async fn all_workers_together_prepare_one_conf_once() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let conf = conf("a");
    let workers = (0..4).map(|_| {
        let (runner, log) = (Arc::clone(&host.runner), Arc::clone(&host.log));
        let conf = Arc::clone(&conf);
        tokio::task::spawn_blocking(move || {
            let worker = Host {
                connections: Connections::new(),
                runner,
                log,
            };
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(join_all((0..50).map(|_| worker.call(&conf))))
        })
    });
    let calls: Vec<_> = join_all(workers)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    assert!(
        calls
            .iter()
            .all(|call| call.as_ref().is_ok_and(|key| key == "a")),
        "{calls:?}"
    );
    assert_eq!(calls.len(), 200);
    assert_eq!(plugins.prepared(), ["a"]);
}

/// PrepareConf gets a connection of its own, which is closed afterwards: the
/// Java runner may write its answer twice.
#[tokio::test]
async fn an_answer_to_prepare_conf_may_come_twice() {
    let runner = FakeRunner::with(|mut peer, _| async move {
        let token = bytes_of(&prepare_conf::Response {
            conf_token: ConfToken(5),
        });
        while let Some(frame) = peer.next().await {
            if frame.ty == RpcType::PrepareConf {
                peer.send_bytes(&[&token[..], &token].concat()).await;
                assert!(
                    peer.next().await.is_none(),
                    "nothing else is asked on this connection"
                );
            } else {
                let token = frame.call().conf_token.to_string();
                peer.send_bytes(&stop(frame.id(), &token)).await;
            }
        }
    });
    let host = Host::of(&runner);
    for _ in 0..3 {
        assert_eq!(host.call(&conf("a")).await.unwrap(), "5");
    }
    assert_eq!(host.log.count("closed: done"), 3);
}

#[tokio::test]
async fn a_lost_token_is_replaced_and_the_call_repeated() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let (a, b) = (conf("a"), conf("b"));
    host.call(&a).await.unwrap();
    host.call(&b).await.unwrap();
    plugins.forget();
    assert_eq!(host.call(&a).await.unwrap(), "a");
    assert_eq!(host.log.count("lost 1"), 1);
    assert_eq!(
        host.log.count("prepared b: 2"),
        1,
        "only the lost token is replaced"
    );
    assert_eq!(host.call(&b).await.unwrap(), "b");
    assert_eq!(
        host.log.count("prepared a: 3") + host.log.count("prepared b: 4"),
        2
    );
}

#[tokio::test]
async fn many_calls_that_lose_one_token_prepare_once() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let conf = conf("a");
    host.call(&conf).await.unwrap();
    plugins.forget();
    let calls = join_all((0..100).map(|_| host.call(&conf))).await;
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    assert_eq!(host.log.count("prepared a: 2"), 1);
    assert_eq!(
        plugins.calls(),
        1 + 100 + 100,
        "each was sent with the lost token first"
    );
}

#[tokio::test]
async fn a_runner_that_loses_every_token_fails_the_call_at_the_third_try() {
    let runner = FakeRunner::calling(|mut peer, _| async move {
        peer.send_bytes(&error(Code::ConfTokenNotFound)).await;
        peer
    });
    let host = Host::of(&runner);
    let failure = host.failure(&conf("a")).await;
    assert_eq!(failure.kind(), "token-lost");
    assert_eq!(host.log.count("lost 1"), 2);
    assert_eq!(host.log.count("prepared a: 1"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_by_one_call_while_others_go_on_with_it() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let conf = conf("a");
    host.call(&conf).await.unwrap();

    advance(HOUR * 9 / 10 - Duration::from_secs(1)).await;
    host.call(&conf).await.unwrap();
    assert_eq!(plugins.prepared().len(), 1);

    advance(Duration::from_secs(1)).await;
    for call in join_all((0..10).map(|_| host.call(&conf))).await {
        call.unwrap();
    }
    until(|| host.log.count("renewed a: 2") == 1).await;
    host.call(&conf).await.unwrap();
    assert_eq!(plugins.prepared().len(), 2);
}

/// Waits, in simulated time.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_or_fails_harms_no_call() {
    let (hang, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::with({
        let (plugins, hang, asked) = (Arc::clone(&plugins), Arc::clone(&hang), Arc::clone(&asked));
        move |mut peer, _| {
            let (plugins, hang, asked) =
                (Arc::clone(&plugins), Arc::clone(&hang), Arc::clone(&asked));
            async move {
                while let Some(frame) = peer.next().await {
                    if frame.ty == RpcType::PrepareConf {
                        asked.fetch_add(1, Ordering::Relaxed);
                        if hang.load(Ordering::Relaxed) {
                            pending::<()>().await;
                        }
                    }
                    peer.send_bytes(&plugins.reply(&frame)).await;
                }
            }
        }
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    host.call(&conf).await.unwrap();

    hang.store(true, Ordering::Relaxed);
    advance(HOUR * 9 / 10).await;
    let begun = Instant::now();
    host.call(&conf).await.unwrap();
    host.call(&conf).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_millis(100),
        "{:?}",
        begun.elapsed()
    );

    until(|| host.log.count("not prepared: timeout") == 1).await;
    host.call(&conf).await.unwrap();
    assert_eq!(
        asked.load(Ordering::Relaxed),
        2,
        "the next renewal waits a while"
    );

    hang.store(false, Ordering::Relaxed);
    advance(Duration::from_secs(1)).await;
    host.call(&conf).await.unwrap();
    until(|| host.log.count("renewed a: 2") == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_is_not_used() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let conf = conf("a");
    host.call(&conf).await.unwrap();
    advance(HOUR).await;
    host.call(&conf).await.unwrap();
    assert_eq!(host.log.count("prepared a: 2"), 1);
}

/// All who waited for it fail with it, and the runner is not asked again for
/// each of them.
#[tokio::test]
async fn a_failed_prepare_fails_all_who_waited_for_it_and_none_who_came_later() {
    let asked = Arc::new(AtomicUsize::new(0));
    let runner = FakeRunner::with({
        let asked = Arc::clone(&asked);
        move |mut peer, _| {
            let asked = Arc::clone(&asked);
            async move {
                while let Some(frame) = peer.next().await {
                    if frame.ty == RpcType::HttpReqCall {
                        peer.send_bytes(&stop(frame.id(), "fine")).await;
                    } else if asked.fetch_add(1, Ordering::Relaxed) == 0 {
                        peer.send_bytes(&error(Code::ServiceUnavailable)).await;
                    } else {
                        peer.prepares(&frame).await;
                    }
                }
            }
        }
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    let calls = join_all((0..200).map(|_| host.call(&conf))).await;
    assert!(
        calls
            .iter()
            .all(|call| call.as_ref().is_err_and(|e| e.kind() == "refused"))
    );
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    assert_eq!(host.call(&conf).await.unwrap(), "fine");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

/// A slow runner is prepared in the end, however impatient the clients are.
#[tokio::test]
async fn a_prepare_goes_on_without_the_call_that_began_it() {
    let (go, asked) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let runner = FakeRunner::with({
        let (go, asked) = (Arc::clone(&go), Arc::clone(&asked));
        move |mut peer, _| {
            let (go, asked) = (Arc::clone(&go), Arc::clone(&asked));
            async move {
                while let Some(frame) = peer.next().await {
                    if frame.ty == RpcType::PrepareConf {
                        asked.fetch_add(1, Ordering::Relaxed);
                        go.notified().await;
                        peer.prepares(&frame).await;
                    } else {
                        peer.send_bytes(&stop(frame.id(), "fine")).await;
                    }
                }
            }
        }
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    for _ in 0..3 {
        tokio::select! {
            biased;
            call = host.call(&conf) => panic!("nobody answers yet: {call:?}"),
            () = async { while asked.load(Ordering::Relaxed) == 0 { tokio::task::yield_now().await; } } => {}
        }
    }
    go.notify_one();
    assert_eq!(host.call(&conf).await.unwrap(), "fine");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

/// A prepare belongs to the worker that began it. When that stops, another one
/// takes over.
#[tokio::test]
async fn a_worker_that_stops_leaves_the_prepare_to_the_next() {
    let asked = Arc::new(AtomicUsize::new(0));
    let runner = FakeRunner::with({
        let asked = Arc::clone(&asked);
        move |mut peer, _| {
            let asked = Arc::clone(&asked);
            async move {
                while let Some(frame) = peer.next().await {
                    if frame.ty == RpcType::HttpReqCall {
                        peer.send_bytes(&stop(frame.id(), "fine")).await;
                    } else if asked.fetch_add(1, Ordering::Relaxed) > 0 {
                        peer.prepares(&frame).await;
                    }
                }
            }
        }
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    let stopping = tokio::task::spawn_blocking({
        let (runner, log) = (Arc::clone(&host.runner), Arc::clone(&host.log));
        let (conf, asked) = (Arc::clone(&conf), Arc::clone(&asked));
        move || {
            let worker = Host {
                connections: Connections::new(),
                runner,
                log,
            };
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    call = worker.call(&conf) => panic!("nobody answers this one: {call:?}"),
                    () = async { while asked.load(Ordering::Relaxed) == 0 { tokio::task::yield_now().await; } } => {}
                }
            });
        }
    });
    stopping.await.unwrap();
    assert_eq!(host.call(&conf).await.unwrap(), "fine");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn preparing_has_a_time_limit_of_its_own() {
    let runner = FakeRunner::with(|mut peer, _| async move {
        peer.expect().await;
        pending::<()>().await;
    });
    let timeouts = Timeouts {
        prepare: Duration::from_secs(5),
        ..Timeouts::default()
    };
    let host = Host::with(timeouts);
    host.runner.listening(0, runner.socket());
    let begun = Instant::now();
    let failure = host.failure(&conf("a")).await;
    let story = "the runner took longer than 5s: preparing the configuration";
    assert_eq!(failure.to_string(), story);
    assert_eq!(begun.elapsed().as_secs(), 5);
}
