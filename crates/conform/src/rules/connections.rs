//! Connections: many of them, idle ones, and those that a host gives up.

use crate::bench::{Bench, request};
use crate::limits;
use crate::rule::Rule;
use crate::verdict::{Outcome, Seen};
use crate::wire::encoded;

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "half-a-frame",
        "answers on one connection while half a frame waits on another",
        |bench| Box::pin(half_a_frame(bench)),
    ),
    Rule::new(
        "many-connections",
        "serves many connections that are open at once",
        |bench| Box::pin(many_connections(bench)),
    ),
    Rule::new(
        "idle-connection",
        "keeps a connection that was idle for a while",
        |bench| Box::pin(idle_connection(bench)),
    ),
    Rule::new(
        "open-and-close",
        "lives on where connections are opened and closed without a word",
        |bench| Box::pin(open_and_close(bench)),
    ),
    Rule::new(
        "hang-up-in-frame",
        "lives on where a host hangs up in the middle of a frame",
        |bench| Box::pin(hang_up_in_frame(bench)),
    ),
    Rule::new(
        "hang-up-in-call",
        "lives on where a host hangs up before the answer",
        |bench| Box::pin(hang_up_in_call(bench)),
    ),
];

async fn half_a_frame(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let bytes = encoded(&request(token));
    let mut half = bench.connect().await?;
    half.send_bytes(&bytes[..bytes.len() / 2]).await?;
    bench.connect().await?.unchanged(token).await?;
    Ok(Seen::Right)
}

async fn many_connections(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let mut wires = Vec::new();
    for _ in 0..limits::CONNECTIONS {
        wires.push(bench.connect().await?);
    }
    // The last first: it must not matter who came when.
    for (index, wire) in wires.iter_mut().enumerate().rev() {
        let answered = wire.unchanged(token).await;
        answered.map_err(|fault| fault.during(format_args!("connection {}", index + 1)))?;
    }
    Ok(Seen::Right)
}

async fn idle_connection(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let mut wire = bench.connect().await?;
    wire.unchanged(token).await?;
    let idle = bench.times.idle;
    tokio::time::sleep(idle).await;
    let answered = wire.unchanged(token).await;
    answered.map_err(|fault| fault.during(format_args!("after {idle:?} without a call")))?;
    Ok(Seen::Right)
}

async fn open_and_close(bench: &Bench) -> Outcome {
    for _ in 0..limits::HANG_UPS {
        drop(bench.connect().await?);
    }
    bench.plain_call().await?;
    Ok(Seen::Right)
}

async fn hang_up_in_frame(bench: &Bench) -> Outcome {
    let bytes = encoded(&request(bench.token().await?));
    for length in 1..bytes.len() {
        bench.connect().await?.send_bytes(&bytes[..length]).await?;
    }
    // One that is announced as long as can be.
    bench
        .connect()
        .await?
        .send_bytes(&[2, 0xff, 0xff, 0xff, 0])
        .await?;
    bench.plain_call().await?;
    Ok(Seen::Right)
}

async fn hang_up_in_call(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    for _ in 0..limits::HANG_UPS {
        bench.connect().await?.send(&request(token)).await?;
    }
    bench.plain_call().await?;
    Ok(Seen::Right)
}
