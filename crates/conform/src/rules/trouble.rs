//! What a runner does with what makes no sense. It may say so or hang up, but it
//! must do one of them, and live on.

use outrigger_a6::{
    Entries, Entry, FrameError, RpcType, http_req_call, http_resp_call, prepare_conf,
};

use crate::bench::{Bench, ID, request};
use crate::limits;
use crate::random::Random;
use crate::rule::Rule;
use crate::verdict::{Fault, Outcome, Seen, differently, wrong};
use crate::wire::{Reaction, Wire, encoded, raw};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "unknown-type",
        "ends a connection, or says RPC_ERROR, where a frame is of no known type",
        |bench| Box::pin(unknown_type(bench)),
    ),
    Rule::new(
        "misplaced-type",
        "ends a connection, or says RPC_ERROR, where a frame has no place outside a call",
        |bench| Box::pin(misplaced_type(bench)),
    ),
    Rule::new(
        "empty-message",
        "ends a connection, or says RPC_ERROR, where a frame is empty",
        |bench| Box::pin(empty_message(bench)),
    ),
    Rule::new(
        "random-message",
        "ends a connection, or says RPC_ERROR, where a message is random bytes",
        |bench| Box::pin(random_message(bench)),
    ),
    Rule::new(
        "mutated-message",
        "answers a message with random changes, says RPC_ERROR, or ends the connection",
        |bench| Box::pin(mutated_message(bench)),
    ),
];

/// The types of frames that a host sends outside a call.
const CALLS: [RpcType; 3] = [
    RpcType::PrepareConf,
    RpcType::HttpReqCall,
    RpcType::HttpRespCall,
];

async fn unknown_type(bench: &Bench) -> Outcome {
    let payload = &encoded(&request(bench.token().await?))[4..];
    let mut seen = Seen::Right;
    for ty in [5, 9, 127, 255] {
        let of_type = |fault: Fault| fault.during(format_args!("a frame of type {ty}"));
        if let Seen::Differently(how) =
            objection(bench, &raw(ty, payload)).await.map_err(of_type)?
        {
            seen = Seen::Differently(how);
        }
    }
    Ok(seen)
}

async fn misplaced_type(bench: &Bench) -> Outcome {
    let payload = &encoded(&outrigger_a6::extra_info::Response { result: None })[4..];
    let mut seen = Seen::Right;
    for ty in [RpcType::Error, RpcType::ExtraInfo] {
        let of_type = |fault: Fault| fault.during(format_args!("a frame of type {ty}"));
        let bytes = raw(ty as u8, payload);
        if let Seen::Differently(how) = objection(bench, &bytes).await.map_err(of_type)? {
            seen = Seen::Differently(how);
        }
    }
    Ok(seen)
}

async fn empty_message(bench: &Bench) -> Outcome {
    for ty in CALLS {
        let of_type = |fault: Fault| fault.during(ty);
        objection(bench, &raw(ty as u8, &[]))
            .await
            .map_err(of_type)?;
    }
    Ok(Seen::Right)
}

/// It must object to these bytes: by an error or by hanging up. Passing over
/// them is another way, if the next call is answered.
async fn objection(bench: &Bench, bytes: &[u8]) -> Outcome {
    let token = bench.token().await?;
    let mut wire = bench.connect().await?;
    if wire.send_bytes(bytes).await.is_err() {
        return Ok(Seen::Right);
    }
    match wire.reaction().await {
        Reaction::Error(_) | Reaction::Closed => Ok(Seen::Right),
        Reaction::Frame(got) => wrong(format!("it answers with a frame of type {}", got.ty)),
        Reaction::Rubbish(error) => wrong(error.to_string()),
        Reaction::Silence => passed_over(&mut wire, token).await,
    }
}

async fn passed_over(wire: &mut Wire, token: outrigger_a6::ConfToken) -> Outcome {
    match wire.unchanged(token).await {
        Ok(()) => differently("it passes over the frame and goes on"),
        Err(_) => wrong("it says nothing, and answers nothing after it on that connection"),
    }
}

async fn random_message(bench: &Bench) -> Outcome {
    for number in 0..limits::RANDOM {
        let mut random = Random::new(number);
        let ty = CALLS[random.below(CALLS.len())];
        let length = random.below(256);
        let payload: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        let which = |fault: Fault| fault.during(format_args!("{ty} number {number}"));
        reacts(bench, &raw(ty as u8, &payload))
            .await
            .map_err(which)?;
    }
    Ok(Seen::Right)
}

async fn mutated_message(bench: &Bench) -> Outcome {
    let originals = originals(bench).await?;
    for number in 0..limits::MUTATIONS {
        let mut random = Random::new(number);
        let (ty, mut payload) = originals[random.below(originals.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(payload.len());
            payload[at] = random.byte();
        }
        if random.below(4) == 0 {
            payload.truncate(random.below(payload.len()));
        }
        let which = |fault: Fault| fault.during(format_args!("{ty} number {number}"));
        reacts(bench, &raw(ty as u8, &payload))
            .await
            .map_err(which)?;
    }
    Ok(Seen::Right)
}

/// A good message of each type that a host sends.
async fn originals(bench: &Bench) -> Result<Vec<(RpcType, Vec<u8>)>, Fault> {
    let conf_token = bench.token().await?;
    let fields = [
        Entry {
            name: b"accept",
            value: Some(b"*/*"),
        },
        Entry {
            name: b"x-flag",
            value: None,
        },
    ];
    let key = bench.key();
    let prepare = prepare_conf::Request {
        conf: Entries::default(),
        key: key.as_bytes(),
    };
    let request = http_req_call::Request {
        headers: Entries::from(&fields),
        args: Entries::from(&fields),
        ..request(conf_token)
    };
    let response = http_resp_call::Request {
        id: ID,
        status: 200,
        headers: Entries::from(&fields),
        conf_token,
    };
    let frames = [encoded(&prepare), encoded(&request), encoded(&response)];
    let payloads = frames.into_iter().map(|mut frame| frame.split_off(4));
    Ok(CALLS.into_iter().zip(payloads).collect())
}

/// It must do something about these bytes. Some of them are good messages.
async fn reacts(bench: &Bench, bytes: &[u8]) -> Result<(), Fault> {
    let mut wire = bench.connect().await?;
    if wire.send_bytes(bytes).await.is_err() {
        return Ok(());
    }
    match wire.reaction().await {
        Reaction::Error(_) | Reaction::Closed | Reaction::Frame(_) => Ok(()),
        Reaction::Rubbish(FrameError::Truncated { .. }) => Ok(()),
        Reaction::Rubbish(error) => wrong(error.to_string()),
        Reaction::Silence => wrong("it neither answers nor hangs up"),
    }
}
