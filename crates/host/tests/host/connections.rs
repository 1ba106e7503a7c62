//! How connections are kept, reused, replaced and bounded.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use outrigger_a6::error::Code;
use outrigger_host::limits::{IDLE_CONNECTIONS, IDLE_LIMIT};
use outrigger_host::{Absence, Timeouts};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::support::{FakeRunner, Host, Known, Peer, Plugins, conf, error, stop};

#[tokio::test]
async fn one_call_after_the_other_uses_one_connection() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let conf = conf("a");
    for _ in 0..10 {
        host.call(&conf).await.unwrap();
    }
    assert_eq!(runner.accepted(), 2, "one for PrepareConf, one for calls");

    let Host {
        connections, log, ..
    } = host;
    drop(connections);
    assert_eq!(
        log.lines(),
        ["closed: done", "prepared a: 1", "closed: stopped"]
    );
}

#[tokio::test(start_paused = true)]
async fn calls_do_not_queue_behind_each_other() {
    let delay = Duration::from_millis(100);
    let plugins = Arc::new(Plugins::taking(delay));
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let conf = conf("a");
    let begun = Instant::now();
    let calls = join_all((0..200).map(|_| host.call(&conf))).await;
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    assert!(begun.elapsed() < 2 * delay, "{:?}", begun.elapsed());
    assert_eq!(host.log.count("closed: surplus"), 200 - IDLE_CONNECTIONS);
}

/// Polls a call once.
pub(crate) fn is_pending<F: Future + Unpin>(call: &mut F) -> bool {
    call.now_or_never().is_none()
}

/// Accepts and never answers a call.
pub(crate) fn hanging() -> FakeRunner {
    FakeRunner::calling(|peer, _| async move {
        let _open = peer;
        pending().await
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_time_limit_and_its_connection_goes_with_it() {
    let runner = hanging();
    let host = Host::of(&runner);
    let conf = conf("a");
    let begun = Instant::now();
    let failure = host.failure(&conf).await;
    assert_eq!(
        failure.to_string(),
        "the runner took longer than 60s: the call"
    );
    assert_eq!(begun.elapsed().as_secs(), 60);

    let limit = Some(Duration::from_millis(30));
    let failure = host
        .call_in(&conf, limit, &mut Known::default())
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), "timeout");
    assert_eq!(begun.elapsed().as_millis(), 60_030);
    assert_eq!(host.log.count("closed: cancelled"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_takes_its_connection_with_it() {
    let runner = FakeRunner::calling(|mut peer, frame| async move {
        if frame.id() == 1 {
            sleep(Duration::from_secs(1)).await;
        }
        peer.send_bytes(&stop(frame.id(), &frame.id().to_string()))
            .await;
        peer
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    let dropped = timeout(Duration::from_millis(500), host.call(&conf)).await;
    assert!(dropped.is_err());
    assert_eq!(host.call(&conf).await.unwrap(), "2");
    assert_eq!(runner.accepted(), 3);
    assert_eq!(host.log.count("closed: cancelled"), 1);
}

/// What the runner does after its answer to the first call; the other calls are
/// answered as they should be. Each answer says how many connections there were.
fn after_first_answer(misdeed: &'static [u8], hang_up: bool) -> FakeRunner {
    FakeRunner::with(move |mut peer, connection| async move {
        while let Some(frame) = peer.next().await {
            if peer.prepares(&frame).await {
                continue;
            }
            peer.send_bytes(&stop(frame.id(), &connection.to_string()))
                .await;
            if connection == 1 {
                sleep(Duration::from_millis(1)).await;
                peer.send_bytes(misdeed).await;
                if hang_up {
                    return;
                }
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_something_unread_is_not_used_again() {
    for misdeed in [&[2, 0, 0][..], &[1, 0, 0, 0], b"\xff"] {
        let runner = after_first_answer(misdeed, false);
        let host = Host::of(&runner);
        let conf = conf("a");
        assert_eq!(host.call(&conf).await.unwrap(), "1");
        sleep(Duration::from_millis(2)).await;
        assert_eq!(host.call(&conf).await.unwrap(), "2");
        assert_eq!(host.log.count("closed: disturbed"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_runner_closed_is_not_used_again() {
    let runner = after_first_answer(b"", true);
    let host = Host::of(&runner);
    let conf = conf("a");
    assert_eq!(host.call(&conf).await.unwrap(), "1");
    sleep(Duration::from_millis(2)).await;
    assert_eq!(host.call(&conf).await.unwrap(), "2");
    assert_eq!(host.log.count("closed: disturbed"), 1);
    assert_eq!(host.log.count("repeated: closed"), 0);
}

#[tokio::test]
async fn an_answer_with_something_behind_it_is_the_last_on_its_connection() {
    let runner = FakeRunner::calling(|mut peer, frame| async move {
        let answer = stop(frame.id(), "fine");
        peer.send_bytes(&[&answer[..], &answer].concat()).await;
        peer
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    for _ in 0..2 {
        assert_eq!(host.call(&conf).await.unwrap(), "fine");
    }
    assert_eq!(host.log.count("closed: unclean"), 2);
}

/// The runner hangs up when the second call of a connection arrives, `times`
/// times; `answer` comes before that.
fn hangs_up_on_second_call(times: usize, answer: &'static [u8]) -> FakeRunner {
    let left = Arc::new(AtomicUsize::new(times));
    FakeRunner::with(move |mut peer, _| {
        let left = Arc::clone(&left);
        async move {
            let mut answered = 0;
            while let Some(frame) = peer.next().await {
                if peer.prepares(&frame).await {
                    continue;
                }
                let spent = left.load(Ordering::Relaxed) == 0;
                if answered > 0 && !spent {
                    left.fetch_sub(1, Ordering::Relaxed);
                    peer.send_bytes(answer).await;
                    return;
                }
                answered += 1;
                peer.send_bytes(&stop(frame.id(), "fine")).await;
            }
        }
    })
}

#[tokio::test]
async fn a_call_on_a_dead_connection_is_repeated_on_a_new_one() {
    let runner = hangs_up_on_second_call(1, b"");
    let host = Host::of(&runner);
    let conf = conf("a");
    for _ in 0..3 {
        assert_eq!(host.call(&conf).await.unwrap(), "fine");
    }
    assert_eq!(host.log.count("repeated: closed"), 1);
}

#[tokio::test]
async fn a_call_is_repeated_although_the_runner_began_to_answer() {
    let runner = hangs_up_on_second_call(2, &[2, 0, 0, 9, 1]);
    let host = Host::of(&runner);
    let conf = conf("a");
    host.call(&conf).await.unwrap();
    assert_eq!(host.call(&conf).await.unwrap(), "fine");
    assert_eq!(host.log.count("repeated: closed"), 1);
}

#[tokio::test]
async fn a_call_not_to_be_repeated_fails_where_the_runner_may_have_seen_it() {
    let runner = hangs_up_on_second_call(1, &[2, 0, 0, 9, 1]);
    let host = Host::of(&runner);
    let conf = conf("a");
    host.call_once(&conf).await.1.unwrap();
    let story = "the runner closed the connection: the call (the peer closed the connection \
                 after 5 of a frame's 13 bytes)";
    let (stats, result) = host.call_once(&conf).await;
    assert_eq!(result.unwrap_err().to_string(), story);
    assert_eq!(stats.attempts, 1);
    assert_eq!(host.log.count("repeated: closed"), 0);
}

/// The runner closes with the request unread, which the kernel tells.
#[tokio::test]
async fn a_call_that_the_runner_did_not_read_is_repeated_in_any_case() {
    let runner = FakeRunner::with(|mut peer, connection| async move {
        if connection == 1 {
            peer.stream.readable().await.unwrap();
            return;
        }
        while let Some(frame) = peer.next().await {
            if !peer.prepares(&frame).await {
                peer.send_bytes(&stop(frame.id(), "fine")).await;
            }
        }
    });
    let host = Host::of(&runner);
    let (stats, result) = host.call_once(&conf("a")).await;
    assert_eq!(result.unwrap(), "fine");
    assert_eq!(stats.attempts, 2);
}

#[tokio::test]
async fn a_call_is_sent_three_times_at_most() {
    let runner = FakeRunner::with(|mut peer, _| async move {
        let frame = peer.expect().await;
        peer.prepares(&frame).await;
    });
    let host = Host::of(&runner);
    let options = outrigger_host::CallOptions::default();
    let (stats, result) = host
        .call_as(&conf("a"), &options, &mut Known::default())
        .await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "the runner closed the connection: the call"
    );
    assert_eq!(stats.attempts, 3);
    assert_eq!(runner.accepted(), 1 + 3, "one for PrepareConf");
}

/// The answer to an earlier call, come late, is not taken for this one's.
#[tokio::test]
async fn a_late_answer_to_another_call_is_not_this_calls_answer() {
    let runner = FakeRunner::with(|mut peer, connection| async move {
        while let Some(frame) = peer.next().await {
            if peer.prepares(&frame).await {
                continue;
            }
            let late = connection == 1 && frame.id() == 2;
            let id = if late { 1 } else { frame.id() };
            peer.send_bytes(&stop(id, if late { "of call 1" } else { "fine" }))
                .await;
        }
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    for _ in 0..2 {
        assert_eq!(host.call(&conf).await.unwrap(), "fine");
    }
    assert_eq!(host.log.count("repeated: malformed"), 1);
}

/// An error does not name its call. Where the answer comes behind it, it was
/// another's.
#[tokio::test]
async fn an_error_that_an_earlier_call_left_is_not_this_calls_refusal() {
    let runner = FakeRunner::calling(|mut peer, frame| async move {
        let answer = stop(frame.id(), "fine");
        let left = error(Code::ServiceUnavailable);
        let bytes = if frame.id() == 2 {
            [left, answer].concat()
        } else {
            answer
        };
        peer.send_bytes(&bytes).await;
        peer
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    for _ in 0..3 {
        assert_eq!(host.call(&conf).await.unwrap(), "fine");
    }
    assert_eq!(host.log.count("repeated: refused"), 1);
}

/// Nor can a runner answer what it was not sent yet.
#[tokio::test]
async fn an_error_that_comes_before_the_request_is_sent_is_not_this_calls_refusal() {
    let runner = FakeRunner::with(|mut peer, connection| async move {
        while let Some(frame) = peer.next().await {
            if peer.prepares(&frame).await {
                continue;
            }
            peer.send_bytes(&stop(frame.id(), "fine")).await;
            if connection == 1 {
                // The next one is not read.
                peer.stream.readable().await.unwrap();
                peer.send_bytes(&error(Code::ServiceUnavailable)).await;
                pending::<()>().await;
            }
        }
    });
    let host = Host::of(&runner);
    let (conf, options) = (conf("a"), outrigger_host::CallOptions::default());
    let path = vec![b'x'; 15 << 20];
    for path in [&b"/"[..], &path] {
        let request = outrigger_a6::http_req_call::Request {
            path,
            ..Default::default()
        };
        let mut known = Known::default();
        let call = host.connections.request_call(
            &host.runner,
            &conf,
            &options,
            request,
            &mut known,
            |reply| reply.action.is_some(),
        );
        assert!(call.await.1.unwrap());
    }
    assert_eq!(host.log.count("repeated: refused"), 1);
}

#[tokio::test]
async fn a_refusal_on_a_used_connection_is_not_repeated() {
    let runner = FakeRunner::calling(|mut peer, frame| async move {
        let answer = if frame.id() == 1 {
            stop(1, "fine")
        } else {
            error(Code::ServiceUnavailable)
        };
        peer.send_bytes(&answer).await;
        peer
    });
    let host = Host::of(&runner);
    let conf = conf("a");
    host.call(&conf).await.unwrap();
    assert_eq!(host.failure(&conf).await.kind(), "refused");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_idle_for_too_long_is_not_used_again() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let conf = conf("a");
    host.call(&conf).await.unwrap();
    advance(IDLE_LIMIT - Duration::from_secs(1)).await;
    host.call(&conf).await.unwrap();
    assert_eq!(runner.accepted(), 2);
    advance(IDLE_LIMIT).await;
    host.call(&conf).await.unwrap();
    assert_eq!(runner.accepted(), 3);
    assert_eq!(host.log.count("closed: idle"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_closes_what_nobody_will_use_again() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    let conf = conf("a");
    for call in join_all((0..5).map(|_| host.call(&conf))).await {
        call.unwrap();
    }
    host.connections.sweep();
    assert_eq!(host.log.count("closed: idle"), 0);
    advance(IDLE_LIMIT).await;
    host.connections.sweep();
    assert_eq!(host.log.count("closed: idle"), 5);

    host.call(&conf).await.unwrap();
    host.runner
        .unavailable(0, Absence::Passing, "it ended".to_owned());
    host.connections.sweep();
    assert_eq!(host.log.count("closed: outdated"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_runner_that_is_starting() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::with(Timeouts::default());
    let conf = conf("a");
    let (call, ()) = tokio::join!(host.call(&conf), async {
        sleep(Duration::from_millis(900)).await;
        host.runner.listening(0, runner.socket());
    });
    assert_eq!(call.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_does_not_start_fails_the_call_with_the_reason() {
    let host = Host::with(Timeouts::default());
    let begun = Instant::now();
    let failure = host.failure(&conf("a")).await;
    assert_eq!(
        failure.to_string(),
        "the runner is not running: it was not started yet"
    );
    assert_eq!(begun.elapsed().as_secs(), 60, "as long as a call may take");

    host.runner
        .unavailable(0, Absence::Passing, "./r: no such file".to_owned());
    let failure = host.failure(&conf("a")).await;
    assert_eq!(
        failure.to_string(),
        "the runner is not running: ./r: no such file"
    );
    assert_eq!(failure.kind(), "unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_is_not_there_yet_is_tried_again() {
    let mut runner = FakeRunner::absent();
    let plugins = Arc::new(Plugins::default());
    let host = Host::of(&runner);
    let conf = conf("a");
    let (call, ()) = tokio::join!(host.call(&conf), async {
        sleep(Duration::from_millis(300)).await;
        let plugins = Arc::clone(&plugins);
        runner.listen(move |peer, _| Arc::clone(&plugins).serve(peer));
    });
    assert_eq!(call.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_socket_where_nobody_listens_is_given_up_in_time() {
    let runner = FakeRunner::absent();
    let host = Host::of(&runner);
    let begun = Instant::now();
    let failure = host.failure(&conf("a")).await;
    assert!(
        failure.to_string().contains("No such file or directory"),
        "{failure}"
    );

    drop(std::os::unix::net::UnixListener::bind(runner.socket()).unwrap());
    let failure = host.failure(&conf("a")).await;
    assert!(
        failure.to_string().contains("Connection refused"),
        "{failure}"
    );
    assert_eq!(begun.elapsed().as_secs(), 120, "as long as calls may take");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_waiting_cannot_cure_fails_at_once() {
    let runner = FakeRunner::absent();
    let host = Host::at(&runner.socket().join("below/a/file"));
    std::fs::write(runner.socket(), "no folder").unwrap();
    let begun = Instant::now();
    let failure = host.failure(&conf("a")).await;
    assert!(failure.to_string().contains("Not a directory"), "{failure}");
    assert!(begun.elapsed().is_zero());
}

/// More than fit into the queue of a socket, as with a runner that listens with
/// a backlog of 1.
#[tokio::test(start_paused = true)]
async fn a_full_queue_of_connections_is_waited_for() {
    let runner = FakeRunner::absent();
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(runner.socket()).unwrap();
    let listener = socket.listen(1).unwrap();
    let plugins = Arc::new(Plugins::default());
    let host = Host::of(&runner);
    let conf = conf("a");
    let accepting = async {
        loop {
            sleep(Duration::from_millis(10)).await;
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(Arc::clone(&plugins).serve(Peer::from(stream)));
        }
    };
    tokio::select! {
        calls = join_all((0..30).map(|_| host.call(&conf))) => {
            assert!(calls.iter().all(Result::is_ok), "{calls:?}");
        }
        () = accepting => unreachable!("it accepts on and on"),
    }
}

#[tokio::test]
async fn calls_go_where_the_control_thread_says_and_those_under_way_end_where_they_are() {
    let (old, new) = (Arc::new(Plugins::default()), Arc::new(Plugins::default()));
    let (first, second) = (FakeRunner::honest(&old), FakeRunner::honest(&new));
    let host = Host::of(&first);
    let conf = conf("a");
    host.call(&conf).await.unwrap();
    let mut under_way = Box::pin(host.call(&conf));
    assert!(is_pending(&mut under_way));

    host.runner.listening(0, second.socket());
    assert_eq!(host.call(&conf).await.unwrap(), "a");
    under_way.await.unwrap();
    assert_eq!(old.calls(), 2);
    let before = new.calls();
    host.call(&conf).await.unwrap();
    assert_eq!((old.calls(), new.calls()), (2, before + 1));
    assert_eq!(host.log.count("closed: outdated"), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_of_a_runner_that_was_removed_are_closed() {
    let plugins = Arc::new(Plugins::default());
    let runner = FakeRunner::honest(&plugins);
    let host = Host::of(&runner);
    host.call(&conf("a")).await.unwrap();

    let successor = Host::of(&runner);
    let Host {
        connections,
        runner,
        log,
    } = host;
    drop(runner);
    let host = Host {
        connections,
        ..successor
    };
    assert_eq!(log.count("closed: outdated"), 0);
    host.call(&conf("a")).await.unwrap();
    assert_eq!(
        log.count("closed: outdated"),
        1,
        "when the next runner comes"
    );
    assert_eq!(host.log.count("closed: done"), 1);
}
