//! Frames: however they are cut in pieces, and however long.

use outrigger_a6::limits::MAX_PAYLOAD;
use outrigger_a6::{ConfToken, Entries, Entry, RpcType, http_req_call, prepare_conf};

use crate::bench::{Bench, request};
use crate::limits;
use crate::rule::Rule;
use crate::verdict::{Fault, Outcome, Seen, differently, wrong};
use crate::wire::{Surplus, Wire, encoded, raw};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "split-frames",
        "reads a frame that comes in pieces, whatever the pieces are",
        |bench| Box::pin(split_frames(bench)),
    ),
    Rule::new(
        "byte-by-byte",
        "reads a frame that comes one byte at a time",
        |bench| Box::pin(byte_by_byte(bench)),
    ),
    Rule::new(
        "joined-frames",
        "reads two frames that come at once as two",
        |bench| Box::pin(joined_frames(bench)),
    ),
    Rule::new("large-frame", "reads a message of 1 MiB", |bench| {
        Box::pin(large_frame(bench))
    }),
    Rule::new(
        "largest-frame",
        "reads the longest message that a frame can hold, 16 MiB less one byte",
        |bench| Box::pin(largest_frame(bench)),
    ),
    Rule::new(
        "one-answer",
        "answers a call once, and sends nothing that was not asked for",
        |bench| Box::pin(one_answer(bench)),
    ),
    Rule::new("one-prepare-answer", "answers PrepareConf once", |bench| {
        Box::pin(one_prepare_answer(bench))
    }),
];

async fn split_frames(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let bytes = encoded(&request(token));
    let (header, payload) = bytes.split_at(4);
    let (half, rest) = payload.split_at(payload.len() / 2);
    let (one, three) = header.split_at(1);
    for (how, pieces) in [
        ("header and payload apart", vec![header, payload]),
        ("the header in two pieces", vec![one, three, payload]),
        ("the payload in two pieces", vec![header, half, rest]),
        (
            "cut in the middle of the payload",
            vec![&bytes[..4 + half.len()], rest],
        ),
    ] {
        let mut wire = bench.connect().await?;
        let during = |fault: Fault| fault.during(how);
        let sent = wire.send_pieces(&pieces).await;
        sent.map_err(|lost| during(lost.into()))?;
        wire.goes_on().await.map_err(during)?;
    }
    Ok(Seen::Right)
}

async fn byte_by_byte(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let mut wire = bench.connect().await?;
    wire.send_byte_by_byte(&encoded(&request(token))).await?;
    wire.goes_on().await?;
    Ok(Seen::Right)
}

async fn joined_frames(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let first = http_req_call::Request {
        id: 1,
        ..request(token)
    };
    let second = http_req_call::Request { id: 2, ..first };
    let mut wire = bench.connect().await?;
    wire.send_bytes(&[encoded(&first), encoded(&second)].concat())
        .await?;
    for what in ["the first of two", "the second of two"] {
        wire.goes_on().await.map_err(|fault| fault.during(what))?;
    }
    Ok(Seen::Right)
}

async fn large_frame(bench: &Bench) -> Outcome {
    let value = vec![b'a'; limits::LARGE];
    let token = bench.token().await?;
    let mut wire = bench.connect().await?;
    with_header(&value, token, |message| encoded(message), &mut wire).await
}

async fn largest_frame(bench: &Bench) -> Outcome {
    let value = vec![b'a'; MAX_PAYLOAD - limits::AROUND];
    let token = bench.token().await?;
    let mut wire = bench.connect().await?;
    let padded = |message: &http_req_call::Request<'_>| {
        // Bytes behind a FlatBuffers message mean nothing.
        let mut payload = encoded(message).split_off(4);
        payload.resize(MAX_PAYLOAD, 0);
        raw(RpcType::HttpReqCall as u8, &payload)
    };
    with_header(&value, token, padded, &mut wire).await
}

/// Sends a request with this value in a header.
async fn with_header(
    value: &[u8],
    token: ConfToken,
    frame: impl Fn(&http_req_call::Request<'_>) -> Vec<u8>,
    wire: &mut Wire,
) -> Outcome {
    let headers = [Entry {
        name: b"x-large",
        value: Some(value),
    }];
    let message = http_req_call::Request {
        headers: Entries::from(&headers),
        ..request(token)
    };
    wire.send_bytes(&frame(&message)).await?;
    wire.goes_on().await?;
    Ok(Seen::Right)
}

async fn one_answer(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let mut wire = bench.connect().await?;
    wire.unchanged(token).await?;
    match wire.surplus().await {
        None => Ok(Seen::Right),
        Some(Surplus::Frame(got)) => differently(format!(
            "a surplus frame of type {} after the answer: hosts must not use the connection again",
            got.ty
        )),
        Some(Surplus::Bytes) => wrong("bytes that are no frame after the answer"),
    }
}

async fn one_prepare_answer(bench: &Bench) -> Outcome {
    let mut wire = bench.connect().await?;
    let token = wire.prepare(&Vec::new(), &bench.key()).await?;
    match wire.surplus().await {
        None => Ok(Seen::Right),
        Some(Surplus::Bytes) => wrong("bytes that are no frame after the answer"),
        Some(Surplus::Frame(got)) => match got.read::<prepare_conf::Response>() {
            Ok(again) if again.conf_token == token => {
                differently("writes the answer to PrepareConf twice")
            }
            Ok(other) => wrong(format!(
                "two answers to one PrepareConf, with tokens {token} and {}",
                other.conf_token
            )),
            Err(_) => wrong(format!("a frame of type {} after the answer", got.ty)),
        },
    }
}
