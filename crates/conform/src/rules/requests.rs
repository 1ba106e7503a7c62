//! What plugins do with a request, and how their answers say it.

use std::time::Duration;

use outrigger_a6::error::Code;
use outrigger_a6::http_req_call::{self, Action, Rewrite};
use outrigger_a6::{ConfToken, Entries, http_req_call::Stop};
use tokio::time::{Instant, timeout};

use crate::behaviour::Behaviour;
use crate::bench::{Bench, changes_nothing, request};
use crate::expectation::{same, same_changes, same_text, victims};
use crate::limits;
use crate::profile::{Expect, entries};
use crate::rule::Rule;
use crate::talk::{Answers, Talk};
use crate::verdict::{Fault, Outcome, Seen, differently, not_tested, wrong};
use crate::wire::Reaction;

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "stop",
        "says by Stop that a plugin answers the request",
        |bench| Box::pin(stop(bench)),
    )
    .plugins(&[Behaviour::Stop]),
    Rule::new(
        "stop-ends-chain",
        "ends the call at the first plugin that answers the request",
        |bench| Box::pin(stop_ends_chain(bench)),
    )
    .plugins(&[Behaviour::Stop, Behaviour::RewriteHeaders]),
    Rule::new(
        "rewrite-path",
        "says by Rewrite.path that the path changes",
        |bench| Box::pin(rewrite_path(bench)),
    )
    .plugins(&[Behaviour::RewritePath]),
    Rule::new(
        "rewrite-headers",
        "says by Rewrite.headers which headers are set, and without a value which go",
        |bench| Box::pin(rewrite_headers(bench)),
    )
    .plugins(&[Behaviour::RewriteHeaders]),
    Rule::new(
        "rewrite-args",
        "says by Rewrite.args which arguments are set, and without a value which go",
        |bench| Box::pin(rewrite_args(bench)),
    )
    .plugins(&[Behaviour::RewriteArgs]),
    Rule::new(
        "rewrite-body",
        "says by Rewrite.body that the request's body changes",
        |bench| Box::pin(rewrite_body(bench)),
    )
    .plugins(&[Behaviour::RewriteBody]),
    Rule::new(
        "rewrite-response-headers",
        "says by Rewrite.resp_headers which headers the response gets",
        |bench| Box::pin(rewrite_response_headers(bench)),
    )
    .plugins(&[Behaviour::RewriteResponseHeaders]),
    Rule::new(
        "rewrite-only",
        "names in a rewrite what the plugin changes and nothing else",
        |bench| Box::pin(rewrite_only(bench)),
    )
    .plugins(&[Behaviour::RewriteHeaders]),
    Rule::new(
        "chain-order",
        "runs the plugins in the order of the configuration",
        |bench| Box::pin(chain_order(bench)),
    )
    .plugins(&[Behaviour::Chain]),
    Rule::new(
        "plugin-failure",
        "says by RPC_ERROR SERVICE_UNAVAILABLE that a plugin failed",
        |bench| Box::pin(plugin_failure(bench)),
    )
    .plugins(&[Behaviour::Fail]),
    Rule::new(
        "side-by-side",
        "answers a call on one connection while one on another waits",
        |bench| Box::pin(side_by_side(bench)),
    )
    .plugins(&[Behaviour::Wait]),
    Rule::new(
        "waiting-calls",
        "lets many calls wait at the same time",
        |bench| Box::pin(waiting_calls(bench)),
    )
    .plugins(&[Behaviour::Wait]),
];

async fn stop(bench: &Bench) -> Outcome {
    let (talk, expect) = played(bench, Behaviour::Stop).await?;
    let stop = stopped(&talk)?;
    // 0 stands for 200.
    let status = if stop.status == 0 { 200 } else { stop.status };
    same("status", status, expect.status)?;
    if expect.headers.is_some() {
        same_changes("headers", stop.headers, expect.headers.as_ref())?;
    }
    same_text("body", stop.body, expect.body.as_deref())?;
    Ok(Seen::Right)
}

async fn stop_ends_chain(bench: &Bench) -> Outcome {
    let (mut conf, expect) = bench.conf(Behaviour::Stop)?;
    let (after, _) = bench.conf(Behaviour::RewriteHeaders)?;
    conf.extend(after);
    let token = bench.prepare(&conf).await?;
    let talk = play(bench, token, expect).await?;
    stopped(&talk)?;
    Ok(Seen::Right)
}

async fn rewrite_path(bench: &Bench) -> Outcome {
    let (talk, expect) = played(bench, Behaviour::RewritePath).await?;
    match rewritten(&talk)?.path {
        Some(path) => same_text("path", path, expect.path.as_deref())?,
        None => return wrong("it does not change the path"),
    }
    Ok(Seen::Right)
}

async fn rewrite_headers(bench: &Bench) -> Outcome {
    let (talk, expect) = played(bench, Behaviour::RewriteHeaders).await?;
    same_changes(
        "headers",
        rewritten(&talk)?.headers,
        expect.headers.as_ref(),
    )?;
    Ok(Seen::Right)
}

async fn rewrite_args(bench: &Bench) -> Outcome {
    let (talk, expect) = played(bench, Behaviour::RewriteArgs).await?;
    same_changes("arguments", rewritten(&talk)?.args, expect.args.as_ref())?;
    Ok(Seen::Right)
}

async fn rewrite_body(bench: &Bench) -> Outcome {
    let (talk, expect) = played(bench, Behaviour::RewriteBody).await?;
    match rewritten(&talk)?.body {
        Some(body) => same_text("body", body, expect.body.as_deref())?,
        None => return wrong("it does not change the body"),
    }
    Ok(Seen::Right)
}

async fn rewrite_response_headers(bench: &Bench) -> Outcome {
    let (talk, expect) = played(bench, Behaviour::RewriteResponseHeaders).await?;
    let headers = rewritten(&talk)?.resp_headers;
    same_changes("response headers", headers, expect.headers.as_ref())?;
    Ok(Seen::Right)
}

async fn rewrite_only(bench: &Bench) -> Outcome {
    let (token, expect) = bench.plugins(Behaviour::RewriteHeaders).await?;
    let untouched = (
        "x-conform-untouched".to_owned(),
        Some("as it was".to_owned()),
    );
    let arg = [("untouched".to_owned(), Some("as it was".to_owned()))];
    let headers = [victims(expect.headers.as_ref()), vec![untouched.clone()]].concat();
    let (headers, args) = (entries(&headers), entries(&arg));
    let message = http_req_call::Request {
        headers: Entries::from(&headers),
        args: Entries::from(&args),
        ..request(token)
    };
    let mut wire = bench.connect().await?;
    let talk = wire.call(&message, &Answers::default()).await?;
    let rewrite = rewritten(&talk)?;
    let restated: Vec<_> = rewrite
        .headers
        .iter()
        .filter(|entry| entry.name.eq_ignore_ascii_case(untouched.0.as_bytes()))
        .collect();
    if restated
        .iter()
        .any(|entry| entry.value != Some(b"as it was"))
    {
        return wrong(format!(
            "it changes a header that nobody touched: {restated:?}"
        ));
    }
    if rewrite.path.is_some_and(|path| path != message.path) {
        return wrong("it changes the path, which nobody touched");
    }
    if rewrite
        .args
        .iter()
        .any(|arg| !message.args.iter().any(|sent| sent == arg))
    {
        return wrong(format!(
            "it changes arguments that nobody touched: {:?}",
            rewrite.args
        ));
    }
    if rewrite.body.is_some() {
        return wrong("it changes the body, which nobody touched");
    }
    if restated.is_empty() && rewrite.path.is_none() && rewrite.args.is_empty() {
        return Ok(Seen::Right);
    }
    differently("it restates what nobody touched")
}

async fn chain_order(bench: &Bench) -> Outcome {
    let (talk, expect) = played(bench, Behaviour::Chain).await?;
    same_changes(
        "headers",
        rewritten(&talk)?.headers,
        expect.headers.as_ref(),
    )?;
    Ok(Seen::Right)
}

async fn plugin_failure(bench: &Bench) -> Outcome {
    let (token, _) = bench.plugins(Behaviour::Fail).await?;
    let mut wire = bench.connect().await?;
    wire.send(&request(token)).await?;
    match wire.reaction().await {
        Reaction::Error(Code::ServiceUnavailable) => Ok(Seen::Right),
        Reaction::Error(Code::ConfTokenNotFound) => {
            wrong("it answered CONF_TOKEN_NOT_FOUND, so a host repeats the call")
        }
        Reaction::Error(code) => differently(format!("it answers {code}")),
        Reaction::Closed => differently("it closes the connection without an answer"),
        Reaction::Frame(got) => wrong(format!(
            "it answered with a frame of type {}, as if nothing had failed",
            got.ty
        )),
        Reaction::Rubbish(error) => wrong(error.to_string()),
        Reaction::Silence => wrong("it says nothing"),
    }
}

/// How long a call waits that is alone.
async fn lone_wait(bench: &Bench, token: ConfToken) -> Result<Duration, Fault> {
    let mut wire = bench.connect().await?;
    let start = Instant::now();
    wire.unchanged(token).await?;
    let waited = start.elapsed();
    if waited < limits::SHORTEST_WAIT {
        let least = limits::SHORTEST_WAIT;
        return not_tested(format!(
            "needs a plugin that waits longer: this one waits {waited:?}, which is less than \
             {least:?}"
        ));
    }
    Ok(waited)
}

async fn side_by_side(bench: &Bench) -> Outcome {
    let (token, _) = bench.plugins(Behaviour::Wait).await?;
    let plain = bench.token().await?;
    let alone = lone_wait(bench, token).await?;
    // On a busy machine the other call may be late for its own reasons.
    for _ in 0..limits::LOOKS {
        if overtakes(bench, token, plain, alone).await? {
            return Ok(Seen::Right);
        }
    }
    wrong("a call on another connection had to wait until this one was over")
}

/// Whether a call without plugins is answered while one waits that was sent
/// before.
async fn overtakes(
    bench: &Bench,
    token: ConfToken,
    plain: ConfToken,
    alone: Duration,
) -> Result<bool, Fault> {
    let (mut waiting, mut other) = (bench.connect().await?, bench.connect().await?);
    waiting.send(&request(token)).await?;
    other.unchanged(plain).await?;
    // Who had to wait is answered at the same time as the one it waited for.
    let over = timeout(alone / 10, waiting.receive()).await;
    Ok(over.is_err())
}

async fn waiting_calls(bench: &Bench) -> Outcome {
    let (token, _) = bench.plugins(Behaviour::Wait).await?;
    let alone = lone_wait(bench, token).await?;
    let mut wires = Vec::new();
    for _ in 0..limits::WAITING_CALLS {
        wires.push(bench.connect().await?);
    }
    let start = Instant::now();
    for wire in &mut wires {
        wire.send(&request(token)).await?;
    }
    for wire in &mut wires {
        let got = wire.receive().await?;
        got.read::<http_req_call::Response<'_>>()?;
    }
    let together = start.elapsed();
    let rounds = together.as_secs_f64() / alone.as_secs_f64();
    let calls = limits::WAITING_CALLS;
    if rounds < 3.0 {
        return Ok(Seen::Right);
    }
    let how = format!("{calls} calls that wait {alone:.0?} each took {together:.0?} together");
    if rounds > calls as f64 * 0.75 {
        return wrong(format!("{how}: one after the other"));
    }
    differently(format!("{how}: a few at a time"))
}

/// A call to plugins that are to do what `expect` says.
/// What the plugins of `behaviour` make of a request that has what they change.
async fn played(bench: &Bench, behaviour: Behaviour) -> Result<(Talk, &Expect), Fault> {
    let (token, expect) = bench.plugins(behaviour).await?;
    Ok((play(bench, token, expect).await?, expect))
}

async fn play(bench: &Bench, token: ConfToken, expect: &Expect) -> Result<Talk, Fault> {
    let headers = victims(expect.headers.as_ref());
    let args = victims(expect.args.as_ref());
    let (headers, args) = (entries(&headers), entries(&args));
    let message = http_req_call::Request {
        headers: Entries::from(&headers),
        args: Entries::from(&args),
        ..request(token)
    };
    bench
        .connect()
        .await?
        .call(&message, &Answers::default())
        .await
}

fn stopped(talk: &Talk) -> Result<Stop<'_>, Fault> {
    let answer = talk.answer.read::<http_req_call::Response<'_>>()?;
    match answer.action {
        Some(Action::Stop(stop)) => Ok(stop),
        other => wrong(format!("it does not answer the request: {other:?}")),
    }
}

fn rewritten(talk: &Talk) -> Result<Rewrite<'_>, Fault> {
    let answer = talk.answer.read::<http_req_call::Response<'_>>()?;
    match answer.action {
        _ if changes_nothing(&answer) => wrong("it changes nothing"),
        Some(Action::Rewrite(rewrite)) => Ok(rewrite),
        other => wrong(format!("it does not rewrite the request: {other:?}")),
    }
}
