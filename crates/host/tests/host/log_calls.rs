//! Calls that nobody waits for.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use outrigger_a6::http_resp_call;
use outrigger_host::limits::LOG_CALLS;
use outrigger_host::{Absence, CallOptions, Conf, Connections, LogCall};
use tokio::task::LocalSet;
use tokio::time::{Duration, Instant, sleep};

use crate::connections::hanging;
use crate::support::{FakeRunner, Host, Known, bytes_of, conf};

fn log_of(host: &Host, conf: &Arc<Conf>) -> LogCall<Known> {
    LogCall {
        runner: Arc::clone(&host.runner),
        conf: Arc::clone(conf),
        options: CallOptions::default(),
        status: 201,
        headers: vec![(b"x-a".to_vec(), b"b".to_vec())],
        answers: Known {
            vars: vec![("request_time", "0.003")],
            ..Known::default()
        },
    }
}

#[tokio::test]
async fn a_log_call_tells_the_runner_of_the_response_and_answers_questions() {
    let told = Arc::new(Mutex::new(String::new()));
    let runner = FakeRunner::calling({
        let told = Arc::clone(&told);
        move |mut peer, frame| {
            let told = Arc::clone(&told);
            async move {
                let var = outrigger_a6::extra_info::Info::Var(b"request_time");
                let time = peer.ask(var).await.unwrap();
                let call = frame.response_call();
                let time = String::from_utf8(time).unwrap();
                *told.lock().unwrap() = format!("{} {:?} {time}", call.status, call.headers);
                let id = call.id;
                peer.send_bytes(&bytes_of(&http_resp_call::Response {
                    id,
                    ..Default::default()
                }))
                .await;
                peer
            }
        }
    });
    let host = Host::of(&runner);
    let worker = LocalSet::new();
    let ended = worker.run_until(async {
        let connections = Rc::new(Connections::new());
        let (send, ended) = tokio::sync::oneshot::channel();
        let made = connections.log_call(log_of(&host, &conf("a")), |stats, result| {
            send.send((stats, result)).unwrap();
        });
        assert!(made);
        ended.await.unwrap()
    });
    let (stats, result) = ended.await;
    result.unwrap();
    assert_eq!(stats.attempts, 1);
    let told = told.lock().unwrap();
    assert!(
        told.starts_with("201 ") && told.ends_with(" 0.003"),
        "{told}"
    );
    assert!(told.contains("x-a"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn log_calls_are_bounded_and_those_dropped_are_told() {
    let runner = hanging();
    let host = Host::of(&runner);
    let conf = conf("a");
    LocalSet::new()
        .run_until(async {
            let connections = Rc::new(Connections::new());
            let ended = Rc::new(RefCell::new(Vec::new()));
            let log = || {
                let ended = Rc::clone(&ended);
                connections.log_call(log_of(&host, &conf), move |_, result| {
                    ended.borrow_mut().push(result.unwrap_err().kind());
                })
            };
            for _ in 0..LOG_CALLS {
                assert!(log());
            }
            assert!(!log());
            assert_eq!(host.log.count("log call dropped"), 1);

            let begun = Instant::now();
            while ended.borrow().len() < LOG_CALLS {
                sleep(Duration::from_millis(100)).await;
            }
            assert!(begun.elapsed() < Duration::from_secs(6), "5 s each");
            assert!(ended.borrow().iter().all(|kind| *kind == "timeout"));
            assert!(log(), "there is room again");
        })
        .await;
}

/// The runner may have seen it, so it is not sent again.
#[tokio::test]
async fn a_log_call_is_sent_once() {
    let runner = FakeRunner::calling(|_, _| async { panic!("as a crash closes the connection") });
    let host = Host::of(&runner);
    let worker = LocalSet::new();
    let ended = worker.run_until(async {
        let (send, ended) = tokio::sync::oneshot::channel();
        let log = log_of(&host, &conf("a"));
        Rc::new(Connections::new()).log_call(log, |stats, result| {
            send.send((stats.attempts, result.is_err())).unwrap();
        });
        ended.await.unwrap()
    });
    assert_eq!(ended.await, (1, true));
}

#[tokio::test(start_paused = true)]
async fn a_log_call_may_have_a_time_limit_of_its_own() {
    let runner = FakeRunner::absent();
    let host = Host::of(&runner);
    host.runner
        .unavailable(0, Absence::Passing, "it crashed".to_owned());
    let begun = Instant::now();
    let worker = LocalSet::new();
    let ended = worker.run_until(async {
        let (send, ended) = tokio::sync::oneshot::channel();
        let mut log = log_of(&host, &conf("a"));
        log.options.time_limit = Some(Duration::from_secs(1));
        Rc::new(Connections::new()).log_call(log, |_, result| {
            send.send(result.unwrap_err().kind()).unwrap();
        });
        ended.await.unwrap()
    });
    assert_eq!(ended.await, "unavailable");
    assert_eq!(begun.elapsed().as_secs(), 1);
}
