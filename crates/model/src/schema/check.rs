//! Checking a value, with the words for what is wrong.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Number, Value};

use super::words::{digits, quoted, type_of, written};
use super::{Conditional, Dependency, Format, Node, Others, Type};
use crate::{Fault, PropertyPath, Segment};

type Verdict = Result<(), Fault>;

/// Checks `value` and gives it the defaults that it lacks. The order of the parts is that
/// of APISIX's checker, since it says which of several faults is told.
pub(super) fn complete(node: &Node, value: &mut Value) -> Verdict {
    check_type(node, value)?;
    as_the_one_that_is_meant(node, value);
    match value {
        Value::Object(properties) => check_object(node, properties)?,
        Value::Array(items) => check_array(node, items)?,
        Value::String(text) => check_text(node, text)?,
        Value::Number(number) => check_number(node, number)?,
        Value::Null | Value::Bool(_) => {}
    }
    check_combinations(node, value)?;
    check_format(node, value)?;
    match &node.constant {
        Some(constant) if !is_equal(constant, value) => Err(wrong("failed to check const value")),
        _ => Ok(()),
    }
}

/// Whether a value holds, whatever would be filled in.
fn holds(node: &Node, value: &Value) -> bool {
    complete(node, &mut value.clone()).is_ok()
}

fn wrong(message: impl Into<String>) -> Fault {
    Fault {
        path: PropertyPath::root(),
        message: message.into(),
    }
}

/// A fault of what is inside a value.
fn within(segment: Segment, fault: Fault) -> Fault {
    let above: PropertyPath = [segment].into_iter().collect();
    let path = above.join(&fault.path);
    Fault { path, ..fault }
}

/// A fault with words before it, where no path leads.
fn because(words: &str, fault: &Fault) -> Fault {
    wrong(format!("{words}: {}", fault.in_words()))
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
        (Type::Array, Value::Object(properties)) => properties.is_empty(),
        _ => false,
    };
    if node.types.is_empty() || node.types.iter().any(is) {
        return Ok(());
    }
    let got = type_of(value);
    let names: Vec<_> = node.types.iter().map(|kind| name_of(*kind)).collect();
    Err(wrong(match &names[..] {
        [name] => format!("wrong type: expected {name}, got {got}"),
        names => format!(
            "wrong type: expected one of {}, got {got}",
            names.join(", ")
        ),
    }))
}

/// What is empty becomes an object or an array, where the schema wants the other; a whole
/// number that is written with a fraction becomes one without.
fn as_the_one_that_is_meant(node: &Node, value: &mut Value) {
    let wants = |one: Type, other: Type| node.types.contains(&one) && !node.types.contains(&other);
    match value {
        Value::Array(items) if items.is_empty() && wants(Type::Object, Type::Array) => {
            *value = Value::Object(Map::new());
        }
        Value::Object(properties) if properties.is_empty() && wants(Type::Array, Type::Object) => {
            *value = Value::Array(Vec::new());
        }
        Value::Number(number) if node.types.contains(&Type::Integer) => {
            if let Some(whole) = whole(number) {
                *number = whole;
            }
        }
        _ => {}
    }
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

/// The same number without a fraction, if it is one of those that have none exactly.
fn whole(number: &Number) -> Option<Number> {
    // Beyond, a float may stand for several whole numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64().filter(|_| number.is_f64())?;
    (float.fract() == 0.0 && float.abs() <= EXACT).then(|| Number::from(float as i64))
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|it| it.fract() == 0.0)
}

fn check_object(node: &Node, properties: &mut Map<String, Value>) -> Verdict {
    let missing = |name: &str| wrong(format!("property \"{name}\" is required"));
    let dependency_of = |name: &str| node.dependencies.iter().find(|(of, _)| of == name);
    for (name, schema) in &node.properties {
        if let Some(value) = properties.get_mut(name) {
            complete(schema, value).map_err(|why| within(Segment::Key(name.clone()), why))?;
            if let Some((_, dependency)) = dependency_of(name) {
                check_dependency(name, dependency, properties)?;
            }
        } else if node.required.contains(name) {
            return Err(missing(name));
        } else if let Some(default) = &schema.default {
            properties.insert(name.clone(), default.clone());
        }
    }
    let mut required = node.required.iter();
    if let Some(name) = required.find(|name| !properties.contains_key(*name)) {
        return Err(missing(name));
    }
    for (name, dependency) in &node.dependencies {
        let is_named = node.properties.iter().any(|(known, _)| known == name);
        if !is_named && properties.contains_key(name) {
            check_dependency(name, dependency, properties)?;
        }
    }
    for (name, value) in properties.iter_mut() {
        check_unnamed(node, name, value)?;
    }
    let count = properties.len() as u64;
    if let Some(least) = node.min_properties
        && count < least
    {
        let message = format!("expect object to have at least {least} properties");
        return Err(wrong(message));
    }
    match node.max_properties {
        Some(most) if count > most => {
            let message = format!("expect object to have at most {most} properties");
            Err(wrong(message))
        }
        _ => Ok(()),
    }
}

/// Checks a property by patterns of names, and where it has no name at all in the schema.
fn check_unnamed(node: &Node, name: &str, value: &mut Value) -> Verdict {
    let mut matched = node.properties.iter().any(|(known, _)| known == name);
    for (pattern, schema) in &node.patterns {
        if pattern.is_match(name) {
            matched = true;
            complete(schema, value).map_err(|why| {
                let pattern = quoted(pattern.text());
                because(
                    &format!("failed to validate {name} (matching {pattern})"),
                    &why,
                )
            })?;
        }
    }
    if matched {
        return Ok(());
    }
    match &node.others {
        Others::Allowed => Ok(()),
        Others::Forbidden => Err(wrong(format!(
            "additional properties forbidden, found {name}"
        ))),
        Others::Checked(schema) => complete(schema, value).map_err(|why| {
            because(
                &format!("failed to validate additional property {name}"),
                &why,
            )
        }),
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
                Some(lacking) => Err(wrong(format!(
                    "property \"{lacking}\" is required when \"{name}\" is set"
                ))),
                None => Ok(()),
            }
        }
        Dependency::Schema(schema) => complete(schema, &mut Value::Object(properties.clone()))
            .map_err(|why| {
                because(
                    &format!("failed to validate dependent schema for \"{name}\""),
                    &why,
                )
            }),
    }
}

fn check_array(node: &Node, items: &mut [Value]) -> Verdict {
    let count = items.len() as u64;
    if let Some(least) = node.min_items
        && count < least
    {
        return Err(wrong(format!(
            "expect array to have at least {least} items"
        )));
    }
    if let Some(most) = node.max_items
        && count > most
    {
        return Err(wrong(format!("expect array to have at most {most} items")));
    }
    if let Some(schema) = &node.items {
        for (place, item) in items.iter_mut().enumerate() {
            complete(schema, item).map_err(|why| within(Segment::Index(place), why))?;
        }
    }
    if node.unique_items {
        let mut seen = HashMap::new();
        for (place, item) in items.iter().enumerate() {
            if let Some(earlier) = seen.insert(item.to_string(), place) {
                return Err(wrong(format!(
                    "expected unique items but items {} and {} are equal",
                    earlier + 1,
                    place + 1
                )));
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
        return Err(wrong(format!(
            "string too short, expected at least {least}, got {length}"
        )));
    }
    if let Some(most) = node.max_length
        && length > most
    {
        return Err(wrong(format!(
            "string too long, expected at most {most}, got {length}"
        )));
    }
    match &node.pattern {
        Some(pattern) if !pattern.is_match(text) => Err(wrong(format!(
            "failed to match pattern {} with {}",
            quoted(pattern.text()),
            quoted(text)
        ))),
        _ => Ok(()),
    }
}

fn check_format(node: &Node, value: &Value) -> Verdict {
    let Value::String(text) = value else {
        return Ok(());
    };
    let name = match node.format {
        Some(Format::Ipv4) if text.parse::<Ipv4Addr>().is_err() => "ipv4",
        Some(Format::Ipv6) if text.parse::<Ipv6Addr>().is_err() => "ipv6",
        _ => return Ok(()),
    };
    Err(wrong(format!(
        "expect valid {name} address but got: {text}"
    )))
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
            let (number, limit) = (written(number), digits(limit));
            return Err(wrong(format!("expected {number} to be {words} {limit}")));
        }
    }
    Ok(())
}

fn check_combinations(node: &Node, value: &Value) -> Verdict {
    if let Some(choice) = &node.choice
        && !choice.iter().any(|item| is_equal(item, value))
    {
        return Err(wrong("matches none of the enum values"));
    }
    for (place, schema) in node.all_of.iter().enumerate() {
        complete(schema, &mut value.clone())
            .map_err(|why| because(&format!("allOf {} failed", place + 1), &why))?;
    }
    if !node.any_of.is_empty() && !node.any_of.iter().any(|it| holds(it, value)) {
        return Err(wrong(none_of(&node.any_of)));
    }
    check_one_of(&node.one_of, value)?;
    if let Some(conditional) = &node.conditional {
        check_conditional(conditional, value)?;
    }
    match &node.not {
        Some(schema) if holds(schema, value) => Err(wrong("value wasn't supposed to match schema")),
        _ => Ok(()),
    }
}

/// Numbers are equal by value: `1` and `1.0` are.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// What to say where none of several schemas matches, with the properties that
/// they ask for.
fn none_of(schemas: &[Node]) -> String {
    let asking = schemas.iter().filter(|schema| !schema.required.is_empty());
    let asked: Vec<_> = asking
        .map(|schema| {
            let names = schema.required.iter().map(|name| format!("\"{name}\""));
            format!("[{}]", names.collect::<Vec<_>>().join(","))
        })
        .collect();
    match asked.is_empty() {
        true => "object matches none of the required".to_owned(),
        false => format!(
            "object matches none of the required: {}",
            asked.join(" or ")
        ),
    }
}

fn check_one_of(schemas: &[Node], value: &Value) -> Verdict {
    if schemas.is_empty() {
        return Ok(());
    }
    let matching = schemas.iter().enumerate();
    let mut matching = matching.filter(|(_, schema)| holds(schema, value));
    match (matching.next(), matching.next()) {
        (Some(_), None) => Ok(()),
        (None, _) => Err(wrong(
            "value should match only one schema, but matches none",
        )),
        (Some((first, _)), Some((second, _))) => Err(wrong(format!(
            "value should match only one schema, but matches both schemas {} and {}",
            first + 1,
            second + 1
        ))),
    }
}

fn check_conditional(conditional: &Conditional, value: &Value) -> Verdict {
    let (branch, name) = if holds(&conditional.condition, value) {
        (&conditional.then, "then")
    } else {
        (&conditional.otherwise, "else")
    };
    match branch {
        Some(schema) if !holds(schema, value) => Err(wrong(format!("{name} clause did not match"))),
        _ => Ok(()),
    }
}
