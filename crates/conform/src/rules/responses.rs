//! What plugins do with a response.

use outrigger_a6::{Entries, http_resp_call};

use crate::behaviour::Behaviour;
use crate::bench::{Bench, ID};
use crate::expectation::{same, same_changes, same_text, victims};
use crate::profile::entries;
use crate::rule::Rule;
use crate::talk::{Answers, Question};
use crate::verdict::{Outcome, Seen, wrong};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "change-response",
        "says by HTTPRespCall.Resp which status, headers and body the response gets",
        |bench| Box::pin(change_response(bench)),
    )
    .plugins(&[Behaviour::ChangeResponse]),
    Rule::new(
        "ask-response-body",
        "asks by ExtraInfo for the response's body and takes it as it is",
        |bench| Box::pin(ask_response_body(bench)),
    )
    .plugins(&[Behaviour::AskResponseBody]),
];

async fn change_response(bench: &Bench) -> Outcome {
    let (conf_token, expect) = bench.plugins(Behaviour::ChangeResponse).await?;
    let headers = victims(expect.headers.as_ref());
    let headers = entries(&headers);
    let message = http_resp_call::Request {
        id: ID,
        status: 200,
        headers: Entries::from(&headers),
        conf_token,
    };
    let mut wire = bench.connect().await?;
    let talk = wire.call(&message, &body(b"the upstream's")).await?;
    let answer = talk.answer.read::<http_resp_call::Response<'_>>()?;
    if answer.id != ID {
        return wrong(format!("the answer to call {ID} has the id {}", answer.id));
    }
    let unchanged = http_resp_call::Response {
        id: ID,
        ..Default::default()
    };
    if answer == unchanged {
        return wrong("it changes nothing");
    }
    // 0 stands for the upstream's.
    let status = if answer.status == 0 {
        200
    } else {
        answer.status
    };
    same("status", status, expect.status)?;
    if expect.headers.is_some() {
        same_changes("headers", answer.headers, expect.headers.as_ref())?;
    }
    same_text(
        "body",
        answer.body.unwrap_or_default(),
        expect.body.as_deref(),
    )?;
    Ok(Seen::Right)
}

async fn ask_response_body(bench: &Bench) -> Outcome {
    let (conf_token, _) = bench.plugins(Behaviour::AskResponseBody).await?;
    let message = http_resp_call::Request {
        id: ID,
        status: 200,
        conf_token,
        ..Default::default()
    };
    for content in [&b"the upstream's body"[..], b""] {
        let mut wire = bench.connect().await?;
        let talk = wire.call(&message, &body(content)).await?;
        if !talk.asked.contains(&Question::ResponseBody) {
            return wrong("it does not ask for the response's body");
        }
        talk.answer.read::<http_resp_call::Response<'_>>()?;
    }
    Ok(Seen::Right)
}

fn body(content: &[u8]) -> Answers {
    Answers {
        response_body: Some(content.to_vec()),
        ..Answers::default()
    }
}
