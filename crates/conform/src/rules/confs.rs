//! Configurations and their tokens.

use std::collections::HashMap;

use outrigger_a6::error::Code;
use outrigger_a6::http_req_call::{self, Action};
use outrigger_a6::{ConfToken, DecodeError, Frame, RpcType, error, http_resp_call};

use crate::behaviour::Behaviour;
use crate::bench::{Bench, ID, changes_nothing, request};
use crate::limits;
use crate::profile::Conf;
use crate::rule::Rule;
use crate::talk::Answers;
use crate::verdict::{Fault, Outcome, Seen, differently, wrong};
use crate::wire::{Got, Reaction};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "empty-conf",
        "gives a token for a configuration without plugins",
        |bench| Box::pin(empty_conf(bench)),
    ),
    Rule::new(
        "distinct-tokens",
        "gives different configurations different tokens",
        |bench| Box::pin(distinct_tokens(bench)),
    ),
    Rule::new(
        "same-key",
        "gives the same configuration under the same key the same token",
        |bench| Box::pin(same_key(bench)),
    ),
    Rule::new(
        "changed-conf",
        "runs the new configuration where one was prepared under an old key",
        |bench| Box::pin(changed_conf(bench)),
    )
    .plugins(&[Behaviour::Stop]),
    Rule::new(
        "old-token",
        "keeps an old token valid when its configuration is prepared again",
        |bench| Box::pin(old_token(bench)),
    ),
    Rule::new(
        "token-everywhere",
        "knows a token on every connection, whichever it was given on",
        |bench| Box::pin(token_everywhere(bench)),
    ),
    Rule::new(
        "unknown-token",
        "answers a request call with a token it never gave by CONF_TOKEN_NOT_FOUND",
        |bench| Box::pin(unknown_token(bench)),
    ),
    Rule::new(
        "unknown-token-response",
        "answers a response call with a token it never gave by CONF_TOKEN_NOT_FOUND",
        |bench| Box::pin(unknown_token_response(bench)),
    ),
    Rule::new(
        "error-type",
        "sends errors in frames of type RPC_ERROR, never under the request's own type",
        |bench| Box::pin(error_type(bench)),
    ),
    Rule::new(
        "unknown-plugin",
        "refuses a configuration with a plugin that it does not have",
        |bench| Box::pin(unknown_plugin(bench)),
    ),
    Rule::new(
        "bad-conf",
        "refuses a configuration that its plugin cannot read",
        |bench| Box::pin(bad_conf(bench)),
    )
    .plugins(&[Behaviour::RefuseConf]),
];

async fn empty_conf(bench: &Bench) -> Outcome {
    bench.token().await?;
    Ok(Seen::Right)
}

async fn distinct_tokens(bench: &Bench) -> Outcome {
    let mut given = HashMap::new();
    for number in 1..=limits::TOKENS {
        let token = bench.token().await?;
        if let Some(before) = given.insert(token, number) {
            return wrong(format!(
                "configurations {before} and {number} both got token {token}"
            ));
        }
    }
    Ok(Seen::Right)
}

async fn same_key(bench: &Bench) -> Outcome {
    let (conf, key) = (Conf::new(), bench.key());
    let first = bench.prepare_at(&bench.socket, &conf, &key).await?;
    let second = bench.prepare_at(&bench.socket, &conf, &key).await?;
    if first == second {
        return Ok(Seen::Right);
    }
    differently("a new token each time, even for the same key")
}

async fn changed_conf(bench: &Bench) -> Outcome {
    let (conf, _) = bench.conf(Behaviour::Stop)?;
    let key = bench.key();
    bench.prepare_at(&bench.socket, &Conf::new(), &key).await?;
    let token = bench.prepare_at(&bench.socket, &conf, &key).await?;
    let mut wire = bench.connect().await?;
    let talk = wire.call(&request(token), &Answers::default()).await?;
    let answer = talk.answer.read::<http_req_call::Response<'_>>()?;
    match answer.action {
        Some(Action::Stop(_)) => Ok(Seen::Right),
        _ if changes_nothing(&answer) => differently(
            "it knows a configuration by its key alone and runs the old one: hosts must put a \
             version into the key",
        ),
        other => wrong(format!(
            "neither the old nor the new plugins ran: {other:?}"
        )),
    }
}

async fn old_token(bench: &Bench) -> Outcome {
    let (conf, key) = (Conf::new(), bench.key());
    let old = bench.prepare_at(&bench.socket, &conf, &key).await?;
    bench.prepare_at(&bench.socket, &conf, &key).await?;
    bench.connect().await?.unchanged(old).await?;
    Ok(Seen::Right)
}

async fn token_everywhere(bench: &Bench) -> Outcome {
    let mut before = bench.connect().await?;
    let token = bench.token().await?;
    let early = before.unchanged(token).await;
    early.map_err(|fault| fault.during("on a connection that was open before"))?;
    let late = bench.connect().await?.unchanged(token).await;
    late.map_err(|fault| fault.during("on a new connection"))?;
    Ok(Seen::Right)
}

/// A token that nobody was given: different from those just given, by far.
async fn never_given(bench: &Bench) -> Result<ConfToken, Fault> {
    Ok(ConfToken(bench.token().await?.0 ^ 0x5a5a_0000))
}

async fn unknown_token(bench: &Bench) -> Outcome {
    let token = never_given(bench).await?;
    let mut wire = bench.connect().await?;
    wire.send(&request(token)).await?;
    not_found(&wire.reaction().await)
}

async fn unknown_token_response(bench: &Bench) -> Outcome {
    let conf_token = never_given(bench).await?;
    let mut wire = bench.connect().await?;
    wire.send(&http_resp_call::Request {
        id: ID,
        status: 200,
        conf_token,
        ..Default::default()
    })
    .await?;
    not_found(&wire.reaction().await)
}

fn not_found(reaction: &Reaction) -> Outcome {
    match reaction {
        Reaction::Error(Code::ConfTokenNotFound) => Ok(Seen::Right),
        Reaction::Error(code) => wrong(format!(
            "it answered {code}, so a host does not know that it has to prepare the configuration"
        )),
        Reaction::Frame(got) => wrong(format!(
            "it answered with a frame of type {}, which a host takes for the plugins' answer",
            got.ty
        )),
        Reaction::Rubbish(error) => wrong(error.to_string()),
        Reaction::Closed => wrong("it closed the connection without an answer"),
        Reaction::Silence => wrong("it says nothing"),
    }
}

async fn error_type(bench: &Bench) -> Outcome {
    let token = never_given(bench).await?;
    let mut wire = bench.connect().await?;
    wire.send(&request(token)).await?;
    match wire.reaction().await {
        Reaction::Frame(got) if got.ty == RpcType::HttpReqCall => match disguised(&got) {
            Some(code) => wrong(format!(
                "it sent the error {code} in a frame of type {}, which hosts read as \"the \
                 request goes on\"",
                got.ty
            )),
            None => wrong("it answered a call with an unknown token as if it were known"),
        },
        Reaction::Frame(got) => wrong(format!("it answered with a frame of type {}", got.ty)),
        Reaction::Error(_) => Ok(Seen::Right),
        Reaction::Closed => differently("it closes the connection instead of sending an error"),
        Reaction::Rubbish(error) => wrong(error.to_string()),
        Reaction::Silence => wrong("it says nothing"),
    }
}

/// The error in a frame of another type: a message without the call's id, which
/// reads as an error.
fn disguised(got: &Got) -> Option<Code> {
    let answer: Result<http_req_call::Response<'_>, DecodeError> = Frame {
        ty: got.ty,
        payload: &got.payload,
    }
    .decode();
    if answer.is_ok_and(|answer| answer.id == ID) {
        return None;
    }
    let error = Frame {
        ty: RpcType::Error,
        payload: &got.payload,
    };
    error
        .decode::<error::Response>()
        .ok()
        .map(|error| error.code)
}

async fn unknown_plugin(bench: &Bench) -> Outcome {
    let conf = vec![("conform-no-such-plugin".to_owned(), Some("{}".to_owned()))];
    refused(bench, &conf, "passes over a plugin that it does not have").await
}

async fn bad_conf(bench: &Bench) -> Outcome {
    let (conf, _) = bench.conf(Behaviour::RefuseConf)?;
    refused(
        bench,
        &conf,
        "passes over a plugin that cannot read its configuration",
    )
    .await
}

/// It must say no, when the configuration is prepared or when it is called.
async fn refused(bench: &Bench, conf: &Conf, instead: &str) -> Outcome {
    let entries = crate::profile::entries(conf);
    let mut wire = bench.connect().await?;
    wire.send(&outrigger_a6::prepare_conf::Request {
        conf: (&entries).into(),
        key: bench.key().as_bytes(),
    })
    .await?;
    let got = match wire.reaction().await {
        Reaction::Error(Code::ConfTokenNotFound) => {
            return wrong(
                "it answered CONF_TOKEN_NOT_FOUND, so a host prepares it again and again",
            );
        }
        Reaction::Error(_) | Reaction::Closed => return Ok(Seen::Right),
        Reaction::Silence => return wrong("it says nothing"),
        Reaction::Rubbish(error) => return wrong(error.to_string()),
        Reaction::Frame(got) => got,
    };
    let token = got
        .read::<outrigger_a6::prepare_conf::Response>()?
        .conf_token;
    let mut wire = bench.connect().await?;
    wire.send(&request(token)).await?;
    match wire.reaction().await {
        Reaction::Error(_) | Reaction::Closed => {
            differently("it gives a token and refuses the calls")
        }
        Reaction::Frame(got) => {
            let answer = got.read::<http_req_call::Response<'_>>()?;
            if changes_nothing(&answer) {
                return differently(format!("{instead}: requests go on without it"));
            }
            wrong(format!("it answered a call with {answer:?}"))
        }
        Reaction::Rubbish(error) => wrong(error.to_string()),
        Reaction::Silence => wrong("it gives a token and does not answer calls"),
    }
}
