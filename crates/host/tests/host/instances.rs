//! Several processes of one runner, and how one takes the place of another.

use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use outrigger_a6::http_req_call;
use outrigger_host::{Absence, CallOptions, Connections, Retired, Timeouts};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use crate::connections::{hanging, is_pending};
use crate::support::{FakeRunner, Host, Known, Plugins, conf, stop};

/// Runners that say who they are.
fn named(name: &'static str) -> FakeRunner {
    FakeRunner::calling(move |mut peer, frame| async move {
        peer.send_bytes(&stop(frame.id(), name)).await;
        peer
    })
}

fn host_of<'a>(runners: impl IntoIterator<Item = &'a FakeRunner>) -> Host {
    let host = Host::with(Timeouts::default());
    for (instance, runner) in runners.into_iter().enumerate() {
        host.runner.listening(instance, runner.socket());
    }
    host
}

async fn answers(host: &Host, calls: usize) -> Vec<String> {
    let conf = conf("a");
    let mut answers = Vec::new();
    for _ in 0..calls {
        answers.push(host.call(&conf).await.unwrap());
    }
    answers
}

#[tokio::test]
async fn calls_one_by_one_take_turns() {
    let runners = [named("x"), named("y"), named("z")];
    let host = host_of(&runners);
    let mut answers = answers(&host, 30).await;
    answers.sort();
    for name in ["x", "y", "z"] {
        let calls = answers.iter().filter(|answer| *answer == name).count();
        assert_eq!(calls, 10, "{name}");
    }
}

#[tokio::test]
async fn calls_go_where_the_fewest_are() {
    let (stuck, free) = (hanging(), named("free"));
    let host = host_of([&stuck, &free]);
    let conf = conf("a");
    let mut calls: FuturesUnordered<_> = (0..20).map(|_| host.call(&conf)).collect();
    for _ in 0..10 {
        assert_eq!(calls.next().await.unwrap().unwrap(), "free");
    }
    let others = calls.next().now_or_never();
    assert!(
        others.is_none(),
        "all came at once, so each process got half"
    );
    for answer in answers(&host, 20).await {
        assert_eq!(answer, "free");
    }
}

#[tokio::test]
async fn each_process_has_tokens_of_its_own() {
    let plugins = [(), (), ()].map(|()| Arc::new(Plugins::default()));
    let runners = plugins.each_ref().map(FakeRunner::honest);
    let host = host_of(&runners);
    let confs = ["a", "b", "c", "d"].map(conf);
    for _ in 0..6 {
        for conf in &confs {
            assert_eq!(host.call(conf).await.unwrap(), conf.key());
        }
    }
    for plugins in &plugins {
        let mut prepared = plugins.prepared();
        prepared.sort();
        assert_eq!(prepared, ["a", "b", "c", "d"]);
    }
}

#[tokio::test]
async fn a_process_that_is_gone_gets_no_calls_while_others_are_there() {
    let (gone, here) = (FakeRunner::absent(), named("here"));
    let host = host_of([&gone, &here]);
    for answer in answers(&host, 10).await {
        assert_eq!(answer, "here");
    }
    let why = "it crashed".to_owned();
    host.runner.unavailable(0, Absence::Failing, why);
    for answer in answers(&host, 10).await {
        assert_eq!(answer, "here");
    }
}

/// Nobody accepts there, and no further connection fits its queue.
#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_accept_is_left_to_itself_when_another_is_there() {
    let (stuck, here) = (FakeRunner::absent(), named("here"));
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(stuck.socket()).unwrap();
    let _listener = socket.listen(1).unwrap();
    // The kernel lets one more wait than it was told.
    let _queue = [(), ()].map(|()| UnixStream::connect(stuck.socket()).unwrap());
    let host = host_of([&stuck, &here]);
    assert_eq!(answers(&host, 6).await, ["here"; 6]);

    let alone = host_of([&stuck]);
    let failure = alone.failure(&conf("a")).await;
    assert_eq!(failure.kind(), "unavailable");
}

#[tokio::test]
async fn a_call_is_repeated_at_another_process() {
    let dying = FakeRunner::calling(|_, _| async { panic!("as a crash closes the connection") });
    let here = named("here");
    let host = host_of([&dying, &here]);
    let (conf, options) = (conf("a"), CallOptions::default());
    let mut repeated = 0;
    for _ in 0..10 {
        let (stats, result) = host.call_as(&conf, &options, &mut Known::default()).await;
        assert_eq!(result.unwrap(), "here");
        assert!(stats.attempts <= 2, "{stats:?}");
        repeated += usize::from(stats.attempts == 2);
    }
    assert!(repeated > 0);
}

#[tokio::test(start_paused = true)]
async fn while_one_of_several_is_on_its_way_calls_wait_only_if_no_other_is_there() {
    let (x, y) = (named("x"), named("y"));
    let host = host_of([&x]);
    host.runner
        .unavailable(1, Absence::Passing, "it crashed".to_owned());
    let begun = Instant::now();
    assert_eq!(answers(&host, 5).await, ["x"; 5]);
    assert!(begun.elapsed().is_zero());
    host.runner
        .unavailable(0, Absence::Lasting, "it was stopped".to_owned());
    let (answers, ()) = tokio::join!(answers(&host, 1), async {
        sleep(Duration::from_secs(7)).await;
        host.runner.listening(1, y.socket());
    });
    assert_eq!(answers, ["y"]);
    assert!(begun.elapsed() >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_will_not_come_fails_calls_at_once() {
    let host = Host::with(Timeouts::default());
    let conf = conf("a");
    let begun = Instant::now();
    for absence in [Absence::Lasting, Absence::Failing] {
        host.runner
            .unavailable(0, absence, "it was stopped".to_owned());
        let failure = host.failure(&conf).await;
        assert_eq!(
            failure.to_string(),
            "the runner is not running: it was stopped"
        );
    }
    assert!(begun.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_process_are_told_how_long() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::with(Timeouts::default());
    let (conf, options) = (conf("a"), CallOptions::default());
    let mut known = Known::default();
    let (call, ()) = tokio::join!(host.call_as(&conf, &options, &mut known), async {
        sleep(Duration::from_secs(20)).await;
        host.runner.listening(0, runner.socket());
    });
    let (stats, result) = call;
    assert_eq!(result.unwrap(), "a");
    assert_eq!((stats.waited.as_secs(), stats.attempts), (20, 1));
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_are_freed_when_it_is_known_to_be_in_vain() {
    let host = Host::with(Timeouts::default());
    let conf = conf("a");
    let begun = Instant::now();
    let (failure, ()) = tokio::join!(host.failure(&conf), async {
        sleep(Duration::from_secs(2)).await;
        let why = "it crashes again and again".to_owned();
        host.runner.unavailable(0, Absence::Failing, why);
    });
    assert_eq!(failure.kind(), "unavailable");
    assert_eq!(begun.elapsed().as_secs(), 2);
}

fn is_drained(retired: &Retired) -> bool {
    retired.drained().now_or_never().is_some()
}

#[tokio::test]
async fn the_old_process_is_drained_when_its_last_call_and_connection_are_gone() {
    let (old, new) = (named("old"), named("new"));
    let host = host_of([&old]);
    let conf = conf("a");
    host.call(&conf).await.unwrap();
    let mut under_way = Box::pin(host.call(&conf));
    assert!(is_pending(&mut under_way));

    let retired = host.runner.listening(0, new.socket());
    assert!(!is_drained(&retired), "a call is under way there");
    assert_eq!(host.call(&conf).await.unwrap(), "new");
    assert_eq!(under_way.await.unwrap(), "old", "it ended where it was");
    assert_eq!(host.call(&conf).await.unwrap(), "new");
    host.connections.sweep();
    assert!(is_drained(&retired));
    assert!(is_drained(&host.runner.unavailable(
        7,
        Absence::Passing,
        String::new()
    )));
}

/// Workers close idle connections to it at once, without being called.
#[tokio::test]
async fn idle_workers_let_go_of_an_old_process_at_once() {
    let (old, new) = (named("old"), named("new"));
    let host = host_of([&old]);
    let local = LocalSet::new();
    let drained = local.run_until(async {
        let connections = Rc::new(Connections::new());
        tokio::task::spawn_local(connections.tend());
        let (conf, options) = (conf("a"), CallOptions::default());
        let (request, mut known) = (http_req_call::Request::default(), Known::default());
        let call =
            connections.request_call(&host.runner, &conf, &options, request, &mut known, |_| ());
        call.await.1.unwrap();
        let retired = host.runner.listening(0, new.socket());
        timeout(Duration::from_secs(1), retired.drained()).await
    });
    drained.await.expect("long before the next sweep");
}

#[tokio::test]
async fn a_call_that_is_being_made_ready_for_an_old_process_goes_to_the_new_one() {
    let silent = FakeRunner::with(|mut peer, _| async move {
        peer.expect().await;
        std::future::pending::<()>().await;
    });
    let new = named("new");
    let host = host_of([&silent]);
    let conf = conf("a");
    let mut call = Box::pin(host.call(&conf));
    tokio::select! {
        biased;
        _ = &mut call => panic!("it is not prepared yet"),
        () = async { while silent.accepted() == 0 { tokio::task::yield_now().await; } } => {}
    }
    let retired = host.runner.listening(0, new.socket());
    assert_eq!(call.await.unwrap(), "new");
    retired.drained().await;
}

#[tokio::test]
async fn instances_beyond_the_limit_are_let_go() {
    let runners = [named("x"), named("y"), named("z")];
    let host = host_of(&runners);
    answers(&host, 6).await;
    let gone = host.runner.limit_instances(1);
    assert_eq!(gone.len(), 2);
    assert_eq!(answers(&host, 5).await, ["x"; 5]);
    host.connections.sweep();
    assert!(gone.iter().all(is_drained));
    assert_eq!(host.runner.limit_instances(0).len(), 0, "one stays");
    assert_eq!(host.runner.status().instances.len(), 1);
}
