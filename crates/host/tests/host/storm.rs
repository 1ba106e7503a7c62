//! A runner that does everything wrong, in turn and at once, for many calls:
//! nothing panics, nobody gets another's answer, nothing leaks, and memory
//! stays where it is. In a process of its own, whose memory nobody else uses.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use outrigger_a6::RpcType;
use outrigger_a6::extra_info::{Info, Request as Ask};
use outrigger_a6::http_req_call::{self, Action};
use outrigger_host::{CallOptions, Settings};

use crate::hostile::Dice;
use crate::support::{FakeRunner, Host, Known, Peer, Received, bytes_of, conf, stop};

const CALLERS: usize = 16;
const CALLS_EACH: usize = 250;

/// What a call's answer must be; no two are alike.
fn mark(call: u64) -> String {
    format!("{:016x}", (call + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// What the runner does with one call. `None` where it hangs up.
async fn answer(mut peer: Peer, frame: Received) -> Option<Peer> {
    let dice = &mut Dice::new(u64::from(frame.id()));
    let right = stop(frame.id(), &String::from_utf8_lossy(frame.call().path));
    match dice.roll(12) {
        0 => peer.send_bytes(&dice.mutated(right)).await,
        1 => {
            let question = bytes_of(&Ask(Info::Var(b"remote_addr")));
            peer.send_bytes(&dice.mutated(question)).await;
            peer.send_bytes(&right).await;
        }
        2 => peer.send_bytes(&dice.rubbish()).await,
        3 => peer.send_bytes(&[&right[..], &right].concat()).await,
        4 => {
            peer.send_bytes(&right).await;
            tokio::task::yield_now().await;
            peer.send_bytes(&dice.mutated(right)).await;
        }
        5 => {
            for byte in right {
                peer.send_bytes(&[byte]).await;
            }
        }
        6 => return None,
        7 => {
            peer.send_bytes(&right[..dice.roll(right.len())]).await;
            return None;
        }
        8 if dice.roll(20) == 0 => return silence(peer).await,
        9 if dice.roll(20) == 0 => {
            // The longest frame there is, or rather a part of it.
            peer.send_bytes(&[2, 0xff, 0xff, 0xff]).await;
            peer.send_bytes(&[0; 300_000]).await;
            return silence(peer).await;
        }
        _ => peer.send_bytes(&right).await,
    }
    Some(peer)
}

/// Until the host hangs up.
async fn silence(mut peer: Peer) -> Option<Peer> {
    while peer.next().await.is_some() {}
    None
}

fn runner() -> FakeRunner {
    FakeRunner::with(|mut peer, _| async move {
        while let Some(frame) = peer.next().await {
            // Answers to its questions do not interest it.
            if peer.prepares(&frame).await || frame.ty != RpcType::HttpReqCall {
                continue;
            }
            match answer(peer, frame).await {
                Some(same) => peer = same,
                None => return,
            }
        }
    })
}

/// Memory of this process in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: usize = line
        .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok())
        .unwrap();
    kib * 1024
}

#[tokio::test]
#[ignore = "the body of the process that the test below starts"]
async fn the_storm() {
    let runner = runner();
    let host = Host::quiet(Settings {
        breaker: None,
        ..Settings::default()
    });
    host.runner.listening(0, runner.socket());
    let (conf, options) = (
        conf("a"),
        CallOptions {
            time_limit: Some(Duration::from_millis(150)),
            ..CallOptions::default()
        },
    );
    let (next, given) = (Cell::new(0), RefCell::new(HashSet::new()));
    let (right, failed) = (Cell::new(0), Cell::new(0));
    let storm = || async {
        for _ in 0..CALLS_EACH {
            next.set(next.get() + 1);
            let mark = mark(next.get());
            given.borrow_mut().insert(mark.clone());
            let request = http_req_call::Request {
                path: mark.as_bytes(),
                ..Default::default()
            };
            let mut known = Known::default();
            let shown = |reply: http_req_call::Response<'_>| match reply.action {
                Some(Action::Stop(stop)) => String::from_utf8_lossy(stop.body).into_owned(),
                _ => String::new(),
            };
            let called = host.connections.request_call(
                &host.runner,
                &conf,
                &options,
                request,
                &mut known,
                shown,
            );
            match called.await.1 {
                Ok(body) if body == mark => right.set(right.get() + 1),
                Ok(body) => {
                    assert!(!given.borrow().contains(&body), "another call's answer");
                }
                Err(_) => failed.set(failed.get() + 1),
            }
        }
    };
    join_all((0..CALLERS).map(|_| storm())).await;
    let before = resident();
    join_all((0..CALLERS).map(|_| storm())).await;
    let grown = resident().saturating_sub(before);
    // What this test remembers of its calls is counted, too.
    assert!(grown < 32 << 20, "{grown} bytes more");

    let all = 2 * CALLERS * CALLS_EACH;
    assert!(right.get() > all / 4, "{} of {all}", right.get());
    assert!(failed.get() > all / 20, "{} of {all}", failed.get());
    let status = host.runner.status();
    assert_eq!((status.in_flight, status.queued), (0, 0));
    assert_eq!(status.buffered, 0);
    let connections = status.instances[0].connections;
    assert!(connections <= CALLERS, "{connections} are left");
    drop(host.connections);
    assert_eq!(host.runner.status().instances[0].connections, 0);
}

#[test]
fn a_runner_that_does_everything_wrong_harms_nobody() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "storm::the_storm"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
