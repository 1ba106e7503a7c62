//! Checking a value, with the words for what is wrong.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Number, Value};

use super::{Conditional, Dependency, Format, Node, Others, Type};

type Verdict = Result<(), String>;

/// Checks `value`. The order of the parts is that of APISIX's checker, since it
/// says which of several faults is told.
pub(super) fn check(node: &Node, value: &Value) -> Verdict {
    check_type(node, value)?;
    match value {
        Value::Object(properties) => check_object(node, properties)?,
        Value::Array(items) if items.is_empty() && is_for_objects(node) => {
            check_object(node, &Map::new())?;
        }
        Value::Array(items) => check_array(node, items)?,
        Value::String(text) => check_text(node, text)?,
        Value::Number(number) => check_number(node, number)?,
        Value::Null | Value::Bool(_) => {}
    }
    check_combinations(node, value)
}

fn is_for_objects(node: &Node) -> bool {
    node.types.contains(&Type::Object) && !node.types.contains(&Type::Array)
}

fn check_type(node: &Node, value: &Value) -> Verdict {
    let is = |kind: &Type| match (kind, value) {
        (Type::Null, Value::Null)
        | (Type::Boolean, Value::Bool(_))
        | (Type::Number, Value::Number(_))
        | (Type::String, Value::String(_))
        | (Type::Array, Value::Array(_))
        | (Type::Object, Value::Object(_)) => true,
        (Type::Integer, Value::Number(number)) => is_whole(number),
        (Type::Object, Value::Array(items)) => items.is_empty(),
        _ => false,
    };
    if node.types.is_empty() || node.types.iter().any(is) {
        return Ok(());
    }
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let names: Vec<_> = node.types.iter().map(|kind| name_of(*kind)).collect();
    Err(match &names[..] {
        [name] => format!("wrong type: expected {name}, got {got}"),
        names => format!(
            "wrong type: expected one of {}, got {got}",
            names.join(", ")
        ),
    })
}

fn name_of(kind: Type) -> &'static str {
    match kind {
        Type::Null => "null",
        Type::Boolean => "boolean",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::String => "string",
        Type::Array => "array",
        Type::Object => "object",
    }
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|it| it.fract() == 0.0)
}

fn check_object(node: &Node, properties: &Map<String, Value>) -> Verdict {
    let missing = |name: &str| format!("property \"{name}\" is required");
    for (name, schema) in &node.properties {
        match properties.get(name) {
            Some(value) => check(schema, value)
                .map_err(|why| format!("property \"{name}\" validation failed: {why}"))?,
            None if node.required.contains(name) => return Err(missing(name)),
            None => {}
        }
    }
    if let Some(name) = node
        .required
        .iter()
        .find(|name| !properties.contains_key(*name))
    {
        return Err(missing(name));
    }
    for (name, value) in properties {
        check_unnamed(node, name, value)?;
    }
    for (name, dependency) in &node.dependencies {
        if properties.contains_key(name) {
            check_dependency(name, dependency, properties)?;
        }
    }
    let count = properties.len() as u64;
    if let Some(least) = node.min_properties
        && count < least
    {
        return Err(format!("expect object to have at least {least} properties"));
    }
    match node.max_properties {
        Some(most) if count > most => {
            Err(format!("expect object to have at most {most} properties"))
        }
        _ => Ok(()),
    }
}

/// Checks a property by patterns of names, and where it has no name at all in the schema.
fn check_unnamed(node: &Node, name: &str, value: &Value) -> Verdict {
    let mut matched = node.properties.iter().any(|(known, _)| known == name);
    for (pattern, schema) in &node.patterns {
        if pattern.is_match(name) {
            matched = true;
            check(schema, value).map_err(|why| {
                let pattern = pattern.as_str();
                format!("failed to validate {name} (matching \"{pattern}\"): {why}")
            })?;
        }
    }
    if matched {
        return Ok(());
    }
    match &node.others {
        Others::Allowed => Ok(()),
        Others::Forbidden => Err(format!("additional properties forbidden, found {name}")),
        Others::Checked(schema) => check(schema, value)
            .map_err(|why| format!("failed to validate additional property {name}: {why}")),
    }
}

fn check_dependency(
    name: &str,
    dependency: &Dependency,
    properties: &Map<String, Value>,
) -> Verdict {
    match dependency {
        Dependency::Properties(needed) => {
            match needed.iter().find(|it| !properties.contains_key(*it)) {
                Some(lacking) => Err(format!(
                    "property \"{lacking}\" is required when \"{name}\" is set"
                )),
                None => Ok(()),
            }
        }
        Dependency::Schema(schema) => check(schema, &Value::Object(properties.clone()))
            .map_err(|why| format!("failed to validate dependent schema for \"{name}\": {why}")),
    }
}

fn check_array(node: &Node, items: &[Value]) -> Verdict {
    let count = items.len() as u64;
    if let Some(least) = node.min_items
        && count < least
    {
        return Err(format!("expect array to have at least {least} items"));
    }
    if let Some(most) = node.max_items
        && count > most
    {
        return Err(format!("expect array to have at most {most} items"));
    }
    if let Some(schema) = &node.items {
        for (place, item) in items.iter().enumerate() {
            check(schema, item)
                .map_err(|why| format!("failed to validate item {}: {why}", place + 1))?;
        }
    }
    if node.unique_items {
        let mut seen = HashMap::new();
        for (place, item) in items.iter().enumerate() {
            if let Some(earlier) = seen.insert(item.to_string(), place) {
                return Err(format!(
                    "expected unique items but items {} and {} are equal",
                    earlier + 1,
                    place + 1
                ));
            }
        }
    }
    Ok(())
}

fn check_text(node: &Node, text: &str) -> Verdict {
    let length = text.chars().count() as u64;
    if let Some(least) = node.min_length
        && length < least
    {
        return Err(format!(
            "string too short, expected at least {least}, got {length}"
        ));
    }
    if let Some(most) = node.max_length
        && length > most
    {
        return Err(format!(
            "string too long, expected at most {most}, got {length}"
        ));
    }
    if let Some(pattern) = &node.pattern
        && !pattern.is_match(text)
    {
        return Err(format!(
            "failed to match pattern {} with {}",
            quoted(pattern.as_str()),
            quoted(text)
        ));
    }
    match node.format {
        Some(Format::Ipv4) if text.parse::<Ipv4Addr>().is_err() => {
            Err("expected an IPv4 address".to_owned())
        }
        Some(Format::Ipv6) if text.parse::<Ipv6Addr>().is_err() => {
            Err("expected an IPv6 address".to_owned())
        }
        _ => Ok(()),
    }
}

/// A text as Lua's `%q` writes it, which is in the messages that people know.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' | '\n' => quoted.extend(['\\', c]),
            '\r' => quoted.push_str("\\r"),
            '\0' => quoted.push_str("\\0"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn check_number(node: &Node, number: &Number) -> Verdict {
    let value = number.as_f64().unwrap_or(f64::NAN);
    let limits = [
        (
            node.minimum,
            Ordering::is_ge as fn(Ordering) -> bool,
            "at least",
        ),
        (node.exclusive_minimum, Ordering::is_gt, "greater than"),
        (node.maximum, Ordering::is_le, "at most"),
        (node.exclusive_maximum, Ordering::is_lt, "smaller than"),
    ];
    for (limit, holds, words) in limits {
        if let Some(limit) = limit
            && !value.partial_cmp(&limit).is_some_and(holds)
        {
            return Err(format!("expected {number} to be {words} {limit}"));
        }
    }
    Ok(())
}

fn check_combinations(node: &Node, value: &Value) -> Verdict {
    if let Some(choice) = &node.choice
        && !choice.iter().any(|item| is_equal(item, value))
    {
        return Err("matches none of the enum values".to_owned());
    }
    for (place, schema) in node.all_of.iter().enumerate() {
        check(schema, value).map_err(|why| format!("allOf {} failed: {why}", place + 1))?;
    }
    if !node.any_of.is_empty() && !node.any_of.iter().any(|it| check(it, value).is_ok()) {
        return Err(none_of(&node.any_of));
    }
    check_one_of(&node.one_of, value)?;
    if let Some(schema) = &node.not
        && check(schema, value).is_ok()
    {
        return Err("value wasn't supposed to match schema".to_owned());
    }
    match &node.conditional {
        Some(conditional) => check_conditional(conditional, value),
        None => Ok(()),
    }
}

/// Numbers are equal by value: `1` and `1.0` are.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// What to say where none of several schemas matches: if all of them ask for
/// properties, which.
fn none_of(schemas: &[Node]) -> String {
    let asked: Vec<_> = schemas
        .iter()
        .filter(|schema| !schema.required.is_empty())
        .map(|schema| {
            let names: Vec<_> = schema
                .required
                .iter()
                .map(|name| format!("\"{name}\""))
                .collect();
            format!("[{}]", names.join(","))
        })
        .collect();
    if asked.len() < schemas.len() {
        return "object matches none of the required".to_owned();
    }
    format!(
        "object matches none of the required: {}",
        asked.join(" or ")
    )
}

fn check_one_of(schemas: &[Node], value: &Value) -> Verdict {
    if schemas.is_empty() {
        return Ok(());
    }
    let matching = schemas.iter().enumerate();
    let mut matching = matching.filter(|(_, schema)| check(schema, value).is_ok());
    match (matching.next(), matching.next()) {
        (Some(_), None) => Ok(()),
        (None, _) => Err("value should match only one schema, but matches none".to_owned()),
        (Some((first, _)), Some((second, _))) => Err(format!(
            "value should match only one schema, but matches both schemas {} and {}",
            first + 1,
            second + 1
        )),
    }
}

fn check_conditional(conditional: &Conditional, value: &Value) -> Verdict {
    let holds = check(&conditional.condition, value).is_ok();
    let (branch, name) = if holds {
        (&conditional.then, "then")
    } else {
        (&conditional.otherwise, "else")
    };
    match branch {
        Some(schema) if check(schema, value).is_err() => {
            Err(format!("{name} clause did not match"))
        }
        _ => Ok(()),
    }
}
