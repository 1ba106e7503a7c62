//! Playing a scenario on a gateway of its own.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::Duration;

use outrigger_harness::{Gateway, Upstream};
use serde_json::{Map, Value, json};

use super::{Answers, Asked, Scenario, mask};
use crate::support::gateway;

/// Names of plugins in scenarios that are about there being no such plugin.
const NO_PLUGINS: [&str; 2] = ["nonsense", "no-such"];

/// Where nobody listens.
const DOWN: &str = "127.0.0.1:1";

/// A plugin that a scenario needs and the gateway lacks.
pub(super) fn lacking_plugin(scenario: &Scenario, known: &HashSet<String>) -> Option<String> {
    let mut named = HashSet::new();
    for (_, path, body) in &scenario.admin {
        collect_plugins(body, &mut named);
        if let Some(name) = path
            .strip_prefix("plugin_metadata/")
            .filter(|it| *it != "none")
        {
            named.insert(name.to_owned());
        }
    }
    let mut lacking: Vec<_> = named
        .into_iter()
        .filter(|name| !known.contains(name) && !NO_PLUGINS.contains(&name.as_str()))
        .collect();
    lacking.sort();
    lacking.into_iter().next()
}

fn collect_plugins(value: &Value, into: &mut HashSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if let (true, Value::Object(plugins)) = (name == "plugins", value) {
                    into.extend(plugins.keys().cloned());
                }
                collect_plugins(value, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_plugins(item, into)),
        _ => {}
    }
}

/// Plays it, and returns what is answered, masked as the records are.
pub(super) fn play(scenario: &Scenario) -> Answers {
    let upstreams = [Upstream::echo(), Upstream::echo()];
    let gateway = gateway().traditional().config(&scenario.config).start();
    let names = names(&upstreams, &gateway);
    let probe = json!({"uri": "/__probe", "upstream": {"nodes": {DOWN: 1}}});
    assert_eq!(call(&gateway, "PUT", "routes/probe", &probe)["status"], 201);
    let mut answers = Answers::default();
    for (method, path, body) in &scenario.admin {
        let body = replaced(body, &names, Direction::ToReal);
        let answer = call(&gateway, method, path, &body);
        answers
            .admin
            .push(replaced(&answer, &names, Direction::ToName));
    }
    for asked in &scenario.requests {
        sleep(Duration::from_secs_f64(asked.wait));
        for _ in 0..asked.repeat {
            let before: usize = upstreams.iter().map(Upstream::hits).sum();
            let mut answer = ask(&gateway, asked, &names);
            if let Some(answer) = answer
                .as_object_mut()
                .filter(|it| it.contains_key("status"))
            {
                let after: usize = upstreams.iter().map(Upstream::hits).sum();
                answer.insert("upstream_hits".to_owned(), json!(after - before));
            }
            answers
                .requests
                .push(replaced(&answer, &names, Direction::ToName));
        }
    }
    let upstream_is_https = |(_, _, body): &(_, _, Value)| body["upstream"]["scheme"] == "https";
    if scenario.admin.iter().any(upstream_is_https) {
        // The echo upstreams do not understand what they are sent.
        for upstream in &upstreams {
            upstream.take_violations();
        }
    }
    answers
}

fn call(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Value {
    let request = gateway.admin(method, path);
    let request = match body {
        Value::Null => request,
        body => request.json(body),
    };
    let response = request.send();
    mask::admin_answer(&response)
}

fn ask(gateway: &Gateway, asked: &Asked, names: &[(String, &'static str)]) -> Value {
    let real = |text: &str| replace_text(text, names, Direction::ToReal);
    let mut request = gateway
        .request(&asked.method, &real(&asked.target))
        .host(&real(&asked.host))
        .header("Connection", "close");
    for (name, value) in &asked.headers {
        request = request.header(name, real(value));
    }
    if let Some(body) = &asked.body {
        request = request.body(real(body));
    }
    match request.try_send() {
        Ok(response) => mask::answer(&response),
        Err(error) => json!({"error": error.to_string()}),
    }
}

/// What stands in records for addresses.
fn names(upstreams: &[Upstream; 2], gateway: &Gateway) -> Vec<(String, &'static str)> {
    vec![
        (upstreams[1].node(), "$UP2"),
        (upstreams[0].node(), "$UP"),
        (DOWN.to_owned(), "$DOWN"),
        (gateway.client().address().port().to_string(), "$PORT"),
    ]
}

#[derive(Clone, Copy)]
enum Direction {
    ToReal,
    ToName,
}

fn replaced(value: &Value, names: &[(String, &'static str)], to: Direction) -> Value {
    match value {
        Value::String(text) => Value::String(replace_text(text, names, to)),
        Value::Array(items) => items.iter().map(|it| replaced(it, names, to)).collect(),
        Value::Object(object) => {
            let replaced: Map<_, _> = object
                .iter()
                .map(|(name, value)| {
                    let name = replace_text(name, names, to);
                    (name, replaced(value, names, to))
                })
                .collect();
            Value::Object(replaced)
        }
        other => other.clone(),
    }
}

fn replace_text(text: &str, names: &[(String, &'static str)], to: Direction) -> String {
    let mut text = text.to_owned();
    for (real, name) in names {
        text = match to {
            Direction::ToReal => text.replace(name, real),
            Direction::ToName => text.replace(real, name),
        };
    }
    text
}
