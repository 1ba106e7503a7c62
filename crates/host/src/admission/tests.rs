//! Places and the line, step by step.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use super::*;

fn admission(in_flight: usize, queue: usize) -> Admission {
    Admission::new(Limits {
        in_flight,
        queue,
        ..Limits::default()
    })
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<(), CallError>> + 'a>>;

/// Somebody who has asked for a place.
fn waiting(admission: &Admission) -> Waiting<'_> {
    let mut waiting: Waiting<'_> = Box::pin(admission.enter_in_turn());
    assert!(poll(&mut waiting).is_none(), "there is no place");
    waiting
}

fn poll(waiting: &mut Waiting<'_>) -> Option<Result<(), CallError>> {
    match waiting
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

fn is_called(waiting: &mut Waiting<'_>) -> bool {
    poll(waiting).is_some_and(|result| result.is_ok())
}

#[test]
fn there_are_as_many_places_as_the_limit_says() {
    let admission = admission(2, 0);
    assert!(admission.try_enter() && admission.try_enter());
    assert!(!admission.try_enter());
    admission.leave();
    assert!(admission.try_enter());
    assert_eq!(admission.in_flight(), 2);
}

#[test]
fn a_place_goes_to_whoever_waits_longest() {
    let admission = admission(1, 10);
    assert!(admission.try_enter());
    let (mut first, mut second) = (waiting(&admission), waiting(&admission));
    admission.leave();
    assert!(!is_called(&mut second));
    assert!(is_called(&mut first));
    assert!(!admission.try_enter(), "nobody overtakes");
    admission.leave();
    assert!(is_called(&mut second));
    assert_eq!((admission.in_flight(), admission.queued()), (1, 0));
}

#[test]
fn who_comes_when_the_line_is_full_is_sent_away_at_once() {
    let admission = admission(1, 1);
    assert!(admission.try_enter());
    let _first = waiting(&admission);
    let mut second: Waiting<'_> = Box::pin(admission.enter_in_turn());
    let error = poll(&mut second).expect("at once").unwrap_err();
    assert_eq!(error.kind(), "overloaded");
    assert!(admission.wait_elsewhere().is_err(), "it is one queue");
}

#[test]
fn who_waits_elsewhere_counts_too() {
    let admission = admission(1, 1);
    let waits = admission.wait_elsewhere().expect("room for one");
    assert!(admission.try_enter());
    assert_eq!(admission.queued(), 1);
    assert!(admission.wait_elsewhere().is_err());
    assert_eq!(admission.queued(), 1, "who was sent away does not count");
    let mut other: Waiting<'_> = Box::pin(admission.enter_in_turn());
    assert!(poll(&mut other).is_some_and(|result| result.is_err()));
    drop(waits);
    assert_eq!(admission.queued(), 0);
}

#[test]
fn who_goes_leaves_no_trace() {
    let admission = admission(1, 2);
    assert!(admission.try_enter());
    for _ in 0..1000 {
        drop(waiting(&admission));
    }
    assert!(admission.line().tickets.is_empty());
    let mut next = waiting(&admission);
    admission.leave();
    assert!(is_called(&mut next));
}

#[test]
fn a_place_that_was_handed_to_somebody_who_went_is_not_lost() {
    let admission = admission(1, 10);
    assert!(admission.try_enter());
    let (first, mut second) = (waiting(&admission), waiting(&admission));
    admission.leave();
    drop(first);
    assert!(is_called(&mut second));
    admission.leave();
    assert_eq!(admission.in_flight(), 0);
}

#[test]
fn more_places_are_handed_out_and_fewer_wait_for_calls_to_end() {
    let limits = |in_flight| Limits {
        in_flight,
        queue: 10,
        ..Limits::default()
    };
    let admission = Admission::new(limits(1));
    assert!(admission.try_enter());
    let (mut first, mut second) = (waiting(&admission), waiting(&admission));
    admission.resize(limits(3));
    assert!(is_called(&mut first) && is_called(&mut second));
    admission.resize(limits(1));
    admission.leave();
    admission.leave();
    assert!(!admission.try_enter());
    admission.leave();
    assert!(admission.try_enter());
}

/// Threads that come and go, some of which lose patience: no place is lost or
/// given twice, and nobody is forgotten.
#[test]
fn no_place_is_lost_or_given_twice() {
    let admission = Arc::new(admission(3, 1000));
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let admission = Arc::clone(&admission);
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                runtime.expect("a runtime").block_on(async {
                    for round in 0..2000 {
                        if (round + worker) % 7 == 0 {
                            let mut waiting: Waiting<'_> = Box::pin(admission.enter_in_turn());
                            if is_called(&mut waiting) {
                                admission.leave();
                            }
                            continue;
                        }
                        if !admission.try_enter() {
                            admission.enter_in_turn().await.expect("the queue is long");
                        }
                        assert!(admission.in_flight() <= 3);
                        tokio::task::yield_now().await;
                        admission.leave();
                    }
                });
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("no worker panics");
    }
    assert_eq!((admission.in_flight(), admission.queued()), (0, 0));
}
