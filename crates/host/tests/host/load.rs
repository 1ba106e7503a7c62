//! Calls in flight, the queue, memory, and the circuit breaker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use outrigger_a6::error::Code;
use outrigger_a6::extra_info::{Info, Request as Ask};
use outrigger_host::{
    Absence, BreakerSettings, BreakerState, CallError, CallOptions, Connections, Limits, Overload,
    Settings,
};
use tokio::sync::Notify;
use tokio::time::{Instant, advance, sleep};

use crate::connections::{hanging, is_pending};
use crate::support::{FakeRunner, Host, Known, Plugins, bytes_of, conf, error, stop};

fn limited(limits: Limits, runner: &FakeRunner) -> Host {
    let host = Host::configured(Settings {
        limits,
        breaker: None,
        ..Settings::default()
    });
    host.runner.listening(0, runner.socket());
    host
}

fn places(in_flight: usize, queue: usize) -> Limits {
    Limits {
        in_flight,
        queue,
        ..Limits::default()
    }
}

#[tokio::test]
async fn calls_in_flight_and_in_the_queue_are_bounded_over_all_workers() {
    let stuck = hanging();
    let host = limited(places(3, 2), &stuck);
    let other = Host {
        connections: Connections::new(),
        runner: Arc::clone(&host.runner),
        log: Arc::clone(&host.log),
    };
    let conf = conf("a");
    let mut calls: Vec<_> = [&host, &other, &host, &other, &host]
        .map(|worker| Box::pin(worker.call(&conf)))
        .into();
    for call in &mut calls {
        assert!(is_pending(call));
    }
    let status = host.runner.status();
    assert_eq!((status.in_flight, status.queued), (3, 2));
    let failure = other.failure(&conf).await;
    let what = Overload::Queue;
    assert!(
        matches!(failure, CallError::Overloaded { what: found, limit: 2 } if found == what),
        "{failure}"
    );
    assert_eq!(
        failure.to_string(),
        "the runner is overloaded: no more than 2 calls that wait for it are allowed"
    );
    drop(calls);
    let status = host.runner.status();
    assert_eq!((status.in_flight, status.queued), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_served_in_turn_and_waiting_counts_towards_the_calls_time() {
    let plugins = Arc::new(Plugins::taking(Duration::from_secs(10)));
    let runner = FakeRunner::honest(&plugins);
    let host = limited(places(1, 10), &runner);
    let conf = conf("a");
    let limit = |seconds| CallOptions {
        time_limit: Some(Duration::from_secs(seconds)),
        ..CallOptions::default()
    };
    let (short, long) = (limit(15), limit(60));
    let known = || Known::default();
    let (mut a, mut b, mut c) = (known(), known(), known());
    let begun = Instant::now();
    let calls = tokio::join!(
        host.call_as(&conf, &long, &mut a),
        host.call_as(&conf, &short, &mut b),
        host.call_as(&conf, &long, &mut c),
    );
    let [first, second, third] = [calls.0, calls.1, calls.2];
    assert_eq!(
        (first.1.unwrap().as_str(), first.0.waited.as_secs()),
        ("a", 0)
    );
    assert_eq!(second.1.unwrap_err().kind(), "timeout");
    assert_eq!((second.0.waited.as_secs(), second.0.attempts), (10, 1));
    // The second was given up after 5 s of its turn.
    assert_eq!(
        (third.1.unwrap().as_str(), third.0.waited.as_secs()),
        ("a", 15)
    );
    assert_eq!(begun.elapsed().as_secs(), 25);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_get_its_turn_in_time_is_told_so() {
    let stuck = hanging();
    let host = limited(places(1, 10), &stuck);
    let conf = conf("a");
    let mut first = Box::pin(host.call(&conf));
    assert!(is_pending(&mut first));
    let limit = Some(Duration::from_secs(3));
    let failure = host.call_in(&conf, limit, &mut Known::default()).await;
    assert_eq!(
        failure.unwrap_err().to_string(),
        "the runner took longer than 3s: waiting for its turn"
    );
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_process_are_bounded_too() {
    let runner = FakeRunner::absent();
    let host = limited(places(100, 2), &runner);
    host.runner
        .unavailable(0, Absence::Passing, "it crashed".to_owned());
    let conf = conf("a");
    let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(host.call(&conf))).collect();
    for call in &mut waiting {
        assert!(is_pending(call));
    }
    assert_eq!(host.runner.status().queued, 2);
    assert_eq!(host.failure(&conf).await.kind(), "overloaded");
    drop(waiting);
    assert_eq!(host.runner.status().queued, 0);
}

/// Many calls, few places, several workers on threads of their own.
#[tokio::test]
async fn every_call_of_a_long_queue_is_made() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = limited(places(4, 1000), &runner);
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
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(join_all((0..100).map(|_| worker.call(&conf))))
        })
    });
    for calls in join_all(workers).await {
        for call in calls.unwrap() {
            assert_eq!(call.unwrap(), "a");
        }
    }
    assert_eq!(plugins.calls(), 400);
    assert!(runner.accepted() <= 1 + 400);
    let status = host.runner.status();
    assert_eq!((status.in_flight, status.queued), (0, 0));
}

/// Frames that are announced long and come in part: each holds memory.
#[tokio::test]
async fn long_frames_of_all_calls_together_are_bounded() {
    const PART: usize = 1 << 20;
    let arrived = Arc::new(AtomicUsize::new(0));
    let runner = FakeRunner::calling({
        let arrived = Arc::clone(&arrived);
        move |mut peer, _| {
            let arrived = Arc::clone(&arrived);
            async move {
                let frame = [&[2, 0xff, 0xff, 0xff][..], &vec![0; PART]].concat();
                peer.send_bytes(&frame).await;
                arrived.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            }
        }
    });
    let limits = Limits {
        max_buffered: 16 * PART,
        ..Limits::default()
    };
    let host = limited(limits, &runner);
    let conf = conf("a");
    let calls: Vec<_> = (0..40).map(|_| Box::pin(host.call(&conf))).collect();
    let mut overloaded = 0;
    let mut under_way = futures_util::future::select_all(calls);
    // Those that found no room fail; when all have been served, the rest hangs.
    loop {
        tokio::select! {
            (result, _, rest) = &mut under_way => {
                assert_eq!(result.unwrap_err().kind(), "overloaded");
                overloaded += 1;
                under_way = futures_util::future::select_all(rest);
            }
            () = async {
                while arrived.load(Ordering::Relaxed) + overloaded < 40 {
                    sleep(Duration::from_millis(1)).await;
                }
            } => break,
        }
    }
    let held = host.runner.status().buffered;
    assert!(held > 8 * PART && held <= 16 * PART, "{held}");
    assert!(overloaded >= 40 - 16, "{overloaded}");
    drop(under_way);
    assert_eq!(host.runner.status().buffered, 0);
}

/// A body that the runner does not read waits here, and counts.
#[tokio::test]
async fn bodies_on_their_way_to_the_runner_count_too() {
    let runner = FakeRunner::calling(|mut peer, _| async move {
        // Sockets may be made to hold one of them, but not two.
        peer.send_bytes(&bytes_of(&Ask(Info::ReqBody)).repeat(2))
            .await;
        std::future::pending().await
    });
    let limits = Limits {
        max_buffered: 1 << 20,
        ..Limits::default()
    };
    let host = limited(limits, &runner);
    let mut long = Known {
        request_body: Some(vec![b'x'; 15 << 20].into()),
        ..Known::default()
    };
    let failure = host.call_with(&conf("a"), &mut long).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the runner is overloaded: no more than 1048576 bytes of long frames in memory are allowed"
    );
    assert_eq!(host.runner.status().buffered, 0);
}

#[tokio::test]
async fn a_connection_gives_its_memory_back_when_it_rests() {
    let runner = FakeRunner::calling(|mut peer, frame| async move {
        peer.send_bytes(&stop(frame.id(), &"y".repeat(4 << 20)))
            .await;
        peer
    });
    let host = limited(Limits::default(), &runner);
    let conf = conf("a");
    for _ in 0..3 {
        assert_eq!(host.call(&conf).await.unwrap().len(), 4 << 20);
        assert_eq!(host.runner.status().buffered, 0);
    }
    assert_eq!(runner.accepted(), 2, "and is used again");
}

const BREAKER: BreakerSettings = BreakerSettings {
    window: Duration::from_secs(10),
    minimum_calls: 5,
    error_percent: 50,
    pause: Duration::from_secs(3),
};

fn guarded(runner: &FakeRunner) -> Host {
    let host = Host::configured(Settings {
        breaker: Some(BREAKER),
        ..Settings::default()
    });
    host.runner.listening(0, runner.socket());
    host
}

/// Answers with rubbish until it is healed.
fn sick() -> (FakeRunner, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (healed, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let runner = FakeRunner::calling({
        let (healed, asked) = (Arc::clone(&healed), Arc::clone(&asked));
        move |mut peer, frame| {
            asked.fetch_add(1, Ordering::Relaxed);
            let healed = healed.load(Ordering::Relaxed);
            async move {
                let answer = if healed {
                    stop(frame.id(), "fine")
                } else {
                    b"rubbish".to_vec()
                };
                peer.send_bytes(&answer).await;
                peer
            }
        }
    });
    (runner, healed, asked)
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_fails_every_call_is_left_alone_until_it_is_well() {
    let (runner, healed, asked) = sick();
    let host = guarded(&runner);
    let conf = conf("a");
    for _ in 0..5 {
        assert_eq!(host.failure(&conf).await.kind(), "malformed");
    }
    let failure = host.failure(&conf).await;
    assert_eq!(
        (failure.kind(), failure.to_string().as_str()),
        (
            "circuit-open",
            "the circuit breaker is open: nearly every call failed lately"
        )
    );
    assert_eq!(asked.load(Ordering::Relaxed), 5, "nothing was sent");
    assert_eq!(host.runner.status().breaker, BreakerState::Open);

    advance(BREAKER.pause).await;
    assert_eq!(host.failure(&conf).await.kind(), "malformed");
    assert_eq!(host.failure(&conf).await.kind(), "circuit-open");

    healed.store(true, Ordering::Relaxed);
    advance(BREAKER.pause).await;
    for _ in 0..10 {
        assert_eq!(host.call(&conf).await.unwrap(), "fine");
    }
    let turned: Vec<_> = host
        .log
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("breaker"))
        .collect();
    let expected = [
        "breaker open",
        "breaker half-open",
        "breaker open",
        "breaker half-open",
        "breaker closed",
    ];
    assert_eq!(turned, expected);
}

#[tokio::test(start_paused = true)]
async fn a_new_process_is_tried_at_once() {
    let (runner, _, _) = sick();
    let host = guarded(&runner);
    let conf = conf("a");
    for _ in 0..5 {
        host.failure(&conf).await;
    }
    let plugins = Arc::new(Plugins::default());
    let successor = FakeRunner::honest(&plugins);
    assert_eq!(host.failure(&conf).await.kind(), "circuit-open");
    host.runner.listening(0, successor.socket());
    assert_eq!(host.call(&conf).await.unwrap(), "a");
    assert_eq!(host.runner.status().breaker, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_runners_own_errors_do_not_open_the_breaker() {
    let runner = FakeRunner::calling(|mut peer, _| async move {
        peer.send_bytes(&error(Code::ServiceUnavailable)).await;
        peer
    });
    let host = guarded(&runner);
    let conf = conf("a");
    for _ in 0..20 {
        assert_eq!(host.failure(&conf).await.kind(), "refused");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_leaves_it_to_the_next() {
    let (runner, healed, _) = sick();
    let host = guarded(&runner);
    let conf = conf("a");
    for _ in 0..5 {
        host.failure(&conf).await;
    }
    advance(BREAKER.pause).await;
    let mut probe = Box::pin(host.call(&conf));
    assert!(is_pending(&mut probe));
    assert_eq!(host.failure(&conf).await.kind(), "circuit-open");
    drop(probe);
    healed.store(true, Ordering::Relaxed);
    assert_eq!(host.call(&conf).await.unwrap(), "fine");
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_calls_wait() {
    let go = Arc::new(Notify::new());
    let runner = FakeRunner::calling({
        let go = Arc::clone(&go);
        move |mut peer, frame| {
            let go = Arc::clone(&go);
            async move {
                go.notified().await;
                peer.send_bytes(&stop(frame.id(), "fine")).await;
                peer
            }
        }
    });
    let host = limited(places(1, 10), &runner);
    let conf = conf("a");
    let mut calls: Vec<_> = (0..3).map(|_| Box::pin(host.call(&conf))).collect();
    for call in &mut calls {
        assert!(is_pending(call));
    }
    assert_eq!(host.runner.status().in_flight, 1);
    let settings = Settings::clone(&host.runner.settings());
    host.runner.configure(Settings {
        limits: places(3, 0),
        ..settings
    });
    let (results, ()) = tokio::join!(join_all(calls), async {
        for _ in 0..3 {
            sleep(Duration::from_millis(1)).await;
            go.notify_waiters();
            go.notify_one();
        }
    });
    for result in results {
        assert_eq!(result.unwrap(), "fine");
    }
}
