//! Calls without plugins: what every runner can show.

use std::ops::RangeInclusive;

use outrigger_a6::{ConfToken, Encode, Entries, Entry, Method, http_req_call, http_resp_call};

use crate::bench::{Bench, ID, changes_nothing, request};
use crate::limits;
use crate::rule::Rule;
use crate::verdict::{Fault, Outcome, Seen, differently, wrong};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "no-action",
        "answers a request call without plugins with no action",
        |bench| Box::pin(no_action(bench)),
    ),
    Rule::new(
        "response-unchanged",
        "answers a response call without plugins with no change",
        |bench| Box::pin(response_unchanged(bench)),
    ),
    Rule::new("id", "answers with the call's id", |bench| {
        Box::pin(id(bench))
    }),
    Rule::new("id-zero", "takes 0 for an id as any other", |bench| {
        Box::pin(id_zero(bench))
    }),
    Rule::new("methods", "takes every method of the schema", |bench| {
        Box::pin(methods(bench))
    }),
    Rule::new(
        "opaque-bytes",
        "takes headers and arguments that are not UTF-8",
        |bench| Box::pin(opaque_bytes(bench)),
    ),
    Rule::new(
        "opaque-bytes-response",
        "takes headers of a response that are not UTF-8",
        |bench| Box::pin(opaque_bytes_response(bench)),
    ),
    Rule::new(
        "argument-without-value",
        "takes an argument without a value",
        |bench| Box::pin(argument_without_value(bench)),
    ),
    Rule::new("many-headers", "takes 1000 headers", |bench| {
        Box::pin(many_headers(bench))
    }),
    Rule::new("ipv6", "takes a client's address of 16 bytes", |bench| {
        Box::pin(ipv6(bench))
    }),
    Rule::new(
        "one-after-the-other",
        "answers many calls on one connection, one after the other",
        |bench| Box::pin(one_after_the_other(bench)),
    ),
];

async fn no_action(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let mut wire = bench.connect().await?;
    wire.send(&request(token)).await?;
    let got = wire.receive().await?;
    let answer = got.read::<http_req_call::Response<'_>>()?;
    match answer.action {
        None => Ok(Seen::Right),
        Some(_) if changes_nothing(&answer) => differently("a rewrite with nothing in it"),
        Some(action) => wrong(format!("without plugins it wants {action:?}")),
    }
}

const CONTENT_TYPE: Entry<'_> = Entry {
    name: b"content-type",
    value: Some(b"text/plain"),
};

async fn response_unchanged(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let headers = [CONTENT_TYPE];
    let mut wire = bench.connect().await?;
    wire.send(&response(token, &headers)).await?;
    let got = wire.receive().await?;
    let answer = got.read::<http_resp_call::Response<'_>>()?;
    if answer.id != ID {
        return wrong(format!("the answer to call {ID} has the id {}", answer.id));
    }
    if answer.body.is_some() {
        return wrong("without plugins it replaces the body");
    }
    if !matches!(answer.status, 0 | 200) {
        return wrong(format!(
            "without plugins it sets the status {}",
            answer.status
        ));
    }
    let same = |entry: Entry<'_>| {
        entry.name.eq_ignore_ascii_case(CONTENT_TYPE.name) && entry.value == CONTENT_TYPE.value
    };
    if !answer.headers.iter().all(same) {
        return wrong(format!(
            "without plugins it sets headers: {:?}",
            answer.headers
        ));
    }
    match (answer.status, answer.headers.is_empty()) {
        (0, true) => Ok(Seen::Right),
        (_, true) => differently("it names the status that is there already"),
        _ => differently("it names the headers that are there already"),
    }
}

fn response<'a>(conf_token: ConfToken, headers: &'a [Entry<'a>]) -> http_resp_call::Request<'a> {
    http_resp_call::Request {
        id: ID,
        status: 200,
        headers: Entries::from(headers),
        conf_token,
    }
}

async fn id(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    for id in [1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let answered = with_id(bench, token, id).await?;
        if answered != id {
            return wrong(format!("the answer to call {id} has the id {answered}"));
        }
    }
    Ok(Seen::Right)
}

async fn id_zero(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    match with_id(bench, token, 0).await {
        Ok(0) => Ok(Seen::Right),
        Ok(id) => wrong(format!("the answer to call 0 has the id {id}")),
        Err(_) => differently("it refuses the id 0, which hosts do not use"),
    }
}

async fn with_id(bench: &Bench, token: ConfToken, id: u32) -> Result<u32, Fault> {
    let mut wire = bench.connect().await?;
    wire.send(&http_req_call::Request {
        id,
        ..request(token)
    })
    .await?;
    let got = wire.receive().await?;
    Ok(got.read::<http_req_call::Response<'_>>()?.id)
}

async fn methods(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    for method in Method::ALL {
        let message = http_req_call::Request {
            method,
            ..request(token)
        };
        taken(bench, &message)
            .await
            .map_err(|fault| fault.during(method))?;
    }
    Ok(Seen::Right)
}

/// Bytes that are no UTF-8, wherever one looks: 0x80 to 0xff, without those that
/// no header can have.
const OPAQUE: RangeInclusive<u8> = 0x80..=0xff;

async fn opaque_bytes(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let opaque: Vec<u8> = OPAQUE.collect();
    let field = [Entry {
        name: b"x-opaque",
        value: Some(&opaque),
    }];
    let message = http_req_call::Request {
        headers: Entries::from(&field),
        ..request(token)
    };
    taken(bench, &message)
        .await
        .map_err(|fault| fault.during("a header"))?;
    let message = http_req_call::Request {
        args: Entries::from(&field),
        ..request(token)
    };
    taken(bench, &message)
        .await
        .map_err(|fault| fault.during("an argument"))?;
    Ok(Seen::Right)
}

async fn opaque_bytes_response(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let opaque: Vec<u8> = OPAQUE.collect();
    let headers = [Entry {
        name: b"x-opaque",
        value: Some(&opaque),
    }];
    let mut wire = bench.connect().await?;
    wire.send(&response(token, &headers)).await?;
    let got = wire.receive().await?;
    let answer = got.read::<http_resp_call::Response<'_>>()?;
    match answer
        .headers
        .iter()
        .find(|entry| entry.name.eq_ignore_ascii_case(b"x-opaque"))
    {
        None => Ok(Seen::Right),
        Some(entry) if entry.value == Some(&opaque) => Ok(Seen::Right),
        Some(entry) => wrong(format!("it changes the bytes, to {entry:?}")),
    }
}

async fn argument_without_value(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let args = [Entry {
        name: b"flag",
        value: None,
    }];
    taken(
        bench,
        &http_req_call::Request {
            args: Entries::from(&args),
            ..request(token)
        },
    )
    .await?;
    Ok(Seen::Right)
}

async fn many_headers(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let names: Vec<String> = (0..limits::HEADERS)
        .map(|n| format!("x-many-{n}"))
        .collect();
    let headers: Vec<Entry<'_>> = names
        .iter()
        .map(|name| Entry {
            name: name.as_bytes(),
            value: Some(b"v"),
        })
        .collect();
    let message = http_req_call::Request {
        headers: Entries::from(&headers),
        ..request(token)
    };
    taken(bench, &message).await?;
    Ok(Seen::Right)
}

async fn ipv6(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let message = http_req_call::Request {
        src_ip: &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ..request(token)
    };
    taken(bench, &message).await?;
    Ok(Seen::Right)
}

/// Sends a request on a connection of its own, which must go on unchanged.
async fn taken(bench: &Bench, message: &impl Encode) -> Result<(), Fault> {
    let mut wire = bench.connect().await?;
    wire.send(message).await?;
    wire.goes_on().await
}

async fn one_after_the_other(bench: &Bench) -> Outcome {
    let token = bench.token().await?;
    let mut wire = bench.connect().await?;
    for id in 1..=limits::CALLS {
        let message = http_req_call::Request {
            id,
            ..request(token)
        };
        let during = |fault: Fault| fault.during(format_args!("call {id}"));
        wire.send(&message)
            .await
            .map_err(|lost| during(lost.into()))?;
        let got = wire.receive().await.map_err(|lost| during(lost.into()))?;
        let answered = got
            .read::<http_req_call::Response<'_>>()
            .map_err(during)?
            .id;
        if answered != id {
            return wrong(format!("call {id} got the answer to call {answered}"));
        }
    }
    Ok(Seen::Right)
}
