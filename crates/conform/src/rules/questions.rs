//! Questions that a runner asks inside a call.

use outrigger_a6::limits::MAX_PAYLOAD;
use outrigger_a6::{Entry, RpcType, http_req_call};

use crate::behaviour::Behaviour;
use crate::bench::{Bench, request};
use crate::limits;
use crate::rule::Rule;
use crate::talk::{Answers, Question, Talk};
use crate::verdict::{Fault, Outcome, Seen, differently, wrong};
use crate::wire::{Reaction, Surplus, encoded};

const VARIABLE: &[Behaviour] = &[Behaviour::AskVariable];
const BODY: &[Behaviour] = &[Behaviour::AskRequestBody];

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "ask-variable",
        "asks by ExtraInfo for a variable and goes on with the answer",
        |bench| Box::pin(ask_variable(bench)),
    )
    .plugins(VARIABLE),
    Rule::new(
        "unset-variable",
        "goes on where a variable has no value",
        |bench| Box::pin(unset_variable(bench)),
    )
    .plugins(VARIABLE),
    Rule::new(
        "empty-variable",
        "goes on where a variable is empty",
        |bench| Box::pin(empty_variable(bench)),
    )
    .plugins(VARIABLE),
    Rule::new(
        "opaque-variable",
        "takes a variable that is not UTF-8",
        |bench| Box::pin(opaque_variable(bench)),
    )
    .plugins(VARIABLE),
    Rule::new(
        "split-answer",
        "reads the answer to a question that comes in pieces",
        |bench| Box::pin(split_answer(bench)),
    )
    .plugins(VARIABLE),
    Rule::new(
        "one-question",
        "waits for an answer before it asks the next question",
        |bench| Box::pin(one_question(bench)),
    )
    .plugins(VARIABLE),
    Rule::new(
        "wrong-answer",
        "ends the call where a question is answered with a frame of another type",
        |bench| Box::pin(wrong_answer(bench)),
    )
    .plugins(VARIABLE),
    Rule::new(
        "no-answer",
        "lives on where a host hangs up instead of answering a question",
        |bench| Box::pin(no_answer(bench)),
    )
    .plugins(VARIABLE),
    Rule::new(
        "ask-request-body",
        "asks by ExtraInfo for the request's body and takes it as it is, empty or not",
        |bench| Box::pin(ask_request_body(bench)),
    )
    .plugins(BODY),
    Rule::new("large-body", "takes a request's body of 1 MiB", |bench| {
        Box::pin(large_body(bench))
    })
    .plugins(BODY),
    Rule::new(
        "largest-body",
        "takes the longest body that a frame can hold",
        |bench| Box::pin(largest_body(bench)),
    )
    .plugins(BODY),
];

async fn ask_variable(bench: &Bench) -> Outcome {
    let talk = answered(bench, variable(Some(b"value"))).await?;
    let (_, expect) = bench.conf(Behaviour::AskVariable)?;
    let asked: Vec<&[u8]> = talk
        .asked
        .iter()
        .filter_map(|question| match question {
            Question::Variable(name) => Some(&name[..]),
            _ => None,
        })
        .collect();
    if asked.is_empty() {
        return wrong("it asks for no variable");
    }
    for name in expect.variables.iter().flatten() {
        if !asked.contains(&name.as_bytes()) {
            return wrong(format!("it does not ask for {name:?}"));
        }
    }
    Ok(Seen::Right)
}

async fn unset_variable(bench: &Bench) -> Outcome {
    answered(bench, variable(None)).await?;
    Ok(Seen::Right)
}

async fn empty_variable(bench: &Bench) -> Outcome {
    answered(bench, variable(Some(b""))).await?;
    Ok(Seen::Right)
}

async fn opaque_variable(bench: &Bench) -> Outcome {
    let opaque: Vec<u8> = (0x80..=0xff).collect();
    answered(bench, variable(Some(&opaque))).await?;
    Ok(Seen::Right)
}

async fn split_answer(bench: &Bench) -> Outcome {
    let answers = Answers {
        in_pieces: true,
        ..variable(Some(b"a value in pieces"))
    };
    answered(bench, answers).await?;
    Ok(Seen::Right)
}

fn variable(value: Option<&[u8]>) -> Answers {
    Answers {
        variable: value.map(<[u8]>::to_vec),
        ..Answers::default()
    }
}

/// A call to the plugin that asks for variables, which must end with an answer.
async fn answered(bench: &Bench, answers: Answers) -> Result<Talk, Fault> {
    let (token, _) = bench.plugins(Behaviour::AskVariable).await?;
    let talk = bench
        .connect()
        .await?
        .call(&request(token), &answers)
        .await?;
    talk.answer.read::<http_req_call::Response<'_>>()?;
    Ok(talk)
}

async fn one_question(bench: &Bench) -> Outcome {
    let (token, _) = bench.plugins(Behaviour::AskVariable).await?;
    let mut wire = bench.connect().await?;
    wire.send(&request(token)).await?;
    wire.question().await?;
    match wire.surplus().await {
        None => Ok(Seen::Right),
        Some(Surplus::Frame(got)) if got.ty == RpcType::ExtraInfo => {
            differently("it asks several questions at once: hosts must answer in order")
        }
        Some(Surplus::Frame(got)) => wrong(format!(
            "it sends a frame of type {} instead of waiting for the answer",
            got.ty
        )),
        Some(Surplus::Bytes) => wrong("bytes that are no frame after a question"),
    }
}

async fn wrong_answer(bench: &Bench) -> Outcome {
    let (token, _) = bench.plugins(Behaviour::AskVariable).await?;
    let mut wire = bench.connect().await?;
    wire.send(&request(token)).await?;
    wire.question().await?;
    // The call again, which is no answer.
    if wire.send_bytes(&encoded(&request(token))).await.is_err() {
        return Ok(Seen::Right);
    }
    // More questions may have been under way.
    for _ in 0..limits::QUESTIONS {
        match wire.reaction().await {
            Reaction::Error(_) | Reaction::Closed => return Ok(Seen::Right),
            Reaction::Frame(got) if got.ty == RpcType::ExtraInfo => {}
            Reaction::Frame(_) => {
                return differently("it does not look at the type of the frame that answers it");
            }
            Reaction::Rubbish(error) => return wrong(error.to_string()),
            Reaction::Silence => return wrong("it waits for ever"),
        }
    }
    wrong("it asks without end")
}

async fn no_answer(bench: &Bench) -> Outcome {
    let (token, _) = bench.plugins(Behaviour::AskVariable).await?;
    let mut wire = bench.connect().await?;
    wire.send(&request(token)).await?;
    wire.question().await?;
    drop(wire);
    bench.plain_call().await?;
    Ok(Seen::Right)
}

async fn ask_request_body(bench: &Bench) -> Outcome {
    let every_byte: Vec<u8> = (0..=255).collect();
    for body in [&every_byte[..], b""] {
        took_body(bench, body).await?;
    }
    Ok(Seen::Right)
}

async fn large_body(bench: &Bench) -> Outcome {
    took_body(bench, &vec![b'b'; limits::LARGE]).await?;
    Ok(Seen::Right)
}

async fn largest_body(bench: &Bench) -> Outcome {
    // The message around it, and room for a runner that sends it back.
    took_body(bench, &vec![b'b'; MAX_PAYLOAD - limits::AROUND]).await?;
    Ok(Seen::Right)
}

/// A call in which the request's body is asked for, and its length told where
/// the profile says so.
async fn took_body(bench: &Bench, body: &[u8]) -> Result<(), Fault> {
    let (token, expect) = bench.plugins(Behaviour::AskRequestBody).await?;
    let answers = Answers {
        request_body: Some(body.to_vec()),
        ..Answers::default()
    };
    let talk = bench
        .connect()
        .await?
        .call(&request(token), &answers)
        .await?;
    if !talk.asked.contains(&Question::RequestBody) {
        return wrong("it does not ask for the request's body");
    }
    let answer = talk.answer.read::<http_req_call::Response<'_>>()?;
    let Some(name) = &expect.length_in else {
        return Ok(());
    };
    let Some(http_req_call::Action::Rewrite(rewrite)) = answer.action else {
        return wrong(format!("it does not set the header {name}"));
    };
    let told = |entry: &Entry<'_>| entry.name.eq_ignore_ascii_case(name.as_bytes());
    let length = body.len().to_string();
    match rewrite
        .headers
        .iter()
        .find(told)
        .and_then(|entry| entry.value)
    {
        Some(told) if told == length.as_bytes() => Ok(()),
        told => wrong(format!(
            "of a body of {length} bytes the plugin saw {:?}",
            told.map(String::from_utf8_lossy)
        )),
    }
}
