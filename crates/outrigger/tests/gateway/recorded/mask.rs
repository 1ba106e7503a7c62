//! What answers are reduced to before they are compared.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_harness::{Headers, Response};
use serde_json::{Map, Value, json};

use super::Answers;

/// Headers that say nothing of what was decided.
const LEFT_OUT: [&str; 6] = [
    "date",
    "server",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
];

/// Properties that differ from run to run.
const RUNNING: [&str; 4] = [
    "create_time",
    "update_time",
    "createdIndex",
    "modifiedIndex",
];

/// Stands where only the status counts.
const ANY: &str = "(any)";

/// An answer of the Admin API.
pub(super) fn admin_answer(response: &Response) -> Value {
    let mut body = body_of(response);
    mask_running(&mut body);
    json!({"status": response.status, "body": body})
}

/// An answer on the data port.
pub(super) fn answer(response: &Response) -> Value {
    let mut body = body_of(response);
    // The echo upstream's list of headers.
    if let Some(listed) = body.get("headers").and_then(Value::as_array) {
        let mut headers = BTreeMap::<String, Vec<Value>>::new();
        for line in listed {
            let name = line[0].as_str().unwrap_or_default().to_ascii_lowercase();
            if !LEFT_OUT.contains(&name.as_str()) {
                headers.entry(name).or_default().push(line[1].clone());
            }
        }
        body["headers"] = json!(headers);
    }
    json!({"status": response.status, "headers": headers_of(&response.headers), "body": body})
}

fn body_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body)
        .unwrap_or_else(|_| String::from_utf8_lossy(&response.body).into_owned().into())
}

fn headers_of(headers: &Headers) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for header in headers {
        let name = header.name().to_ascii_lowercase();
        if !LEFT_OUT.contains(&name.as_str()) {
            let value = header.text().replace("; charset=utf-8", "");
            found.entry(name).or_default().push(value);
        }
    }
    found
}

fn mask_running(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if RUNNING.contains(&name.as_str()) {
                    *value = json!("*");
                } else {
                    mask_running(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask_running),
        _ => {}
    }
}

/// The records have a character for each byte.
fn bytewise(value: &Value) -> Value {
    let text = |text: &str| text.bytes().map(char::from).collect::<String>();
    match value {
        Value::String(it) => Value::String(text(it)),
        Value::Array(items) => items.iter().map(bytewise).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| (text(name), bytewise(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Where the answers differ: the step's name, with what was expected and found.
pub(super) fn differences(recorded: &Answers, found: &Answers) -> Vec<(String, String)> {
    let pairs = |kind: &'static str, recorded: &[Value], found: &[Value]| {
        assert_eq!(
            recorded.len(),
            found.len(),
            "as many {kind} answers as calls"
        );
        let steps = recorded.iter().zip(found).enumerate();
        steps
            .filter(|(_, (recorded, found))| !is_alike(recorded, &bytewise(found)))
            .map(|(step, (recorded, found))| {
                let shown = format!("\n      recorded {recorded}\n      found    {found}");
                (format!("{kind} {}", step + 1), shown)
            })
            .collect::<Vec<_>>()
    };
    let mut all = pairs("admin", &recorded.admin, &found.admin);
    all.extend(pairs("request", &recorded.requests, &found.requests));
    all
}

fn is_alike(recorded: &Value, found: &Value) -> bool {
    let (Value::Object(recorded), Value::Object(found)) = (recorded, found) else {
        return recorded == found;
    };
    if recorded.contains_key("error") {
        return found.contains_key("error");
    }
    let any = |name: &String| recorded.get(name) == Some(&json!(ANY));
    let names = |answer: &Map<String, Value>| -> BTreeSet<String> {
        answer.keys().filter(|name| !any(name)).cloned().collect()
    };
    let wanted = names(recorded);
    wanted == names(found)
        && wanted
            .iter()
            .all(|name| is_equal(&recorded[name], &found[name]))
}

fn is_equal(recorded: &Value, found: &Value) -> bool {
    match (recorded, found) {
        (Value::Object(recorded), Value::Object(found)) => {
            let equal = |(name, value): (&String, &Value)| {
                found.get(name).is_some_and(|found| is_equal(value, found))
            };
            recorded.len() == found.len() && recorded.iter().all(equal)
        }
        (Value::Array(recorded), Value::Array(found)) => {
            let mut pairs = recorded.iter().zip(found);
            recorded.len() == found.len() && pairs.all(|(one, other)| is_equal(one, other))
        }
        _ => recorded == found,
    }
}
