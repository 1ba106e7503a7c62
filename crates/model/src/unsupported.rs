//! Properties that APISIX has and this gateway does not support.
//!
//! They are refused by name, unless their value asks for nothing: a route that is
//! served without its conditions is worse than one that is not served.

use serde_json::Value;

use crate::read::Object;

/// Reports each of these properties that is there and asks for something.
/// The second text says what to use in its place.
pub(crate) fn refuse(object: &Object<'_>, properties: &[(&'static str, &str)]) {
    for (key, instead) in properties {
        let Some(at) = object.get(key) else { continue };
        if asks_for_something(at.value()) {
            at.fault(format!("{key:?} is not supported {instead}"));
        }
    }
}

fn asks_for_something(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}
