//! Changing a resource in part.

use serde_json::{Map, Value};

/// Puts the properties of `patch` into `target`: objects into objects, `null`
/// takes away, everything else replaces.
pub(super) fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match (target.get_mut(name), value) {
            (_, Value::Null) => {
                target.shift_remove(name);
            }
            (Some(Value::Object(inner)), Value::Object(patch)) => merge(inner, patch),
            (Some(there), value) => *there = without_nulls(value),
            (None, value) => {
                target.insert(name.clone(), without_nulls(value));
            }
        }
    }
}

/// There is nothing to take away in what is new.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut clean = Map::new();
            merge(&mut clean, object);
            Value::Object(clean)
        }
        other => other.clone(),
    }
}

/// Puts `value` where `path` leads, with the objects that lack on the way;
/// `null` takes away what is there.
///
/// # Errors
/// Something on the way that has no properties.
pub(super) fn replace(
    target: &mut Map<String, Value>,
    path: &[String],
    value: &Value,
) -> Result<(), String> {
    let Some((last, way)) = path.split_last() else {
        return Ok(());
    };
    let mut inner = target;
    for (depth, name) in way.iter().enumerate() {
        let next = inner
            .entry(name)
            .or_insert_with(|| Value::Object(Map::new()));
        inner = match next {
            Value::Object(object) => object,
            // An empty array passes for an empty object.
            Value::Array(items) if items.is_empty() => {
                *next = Value::Object(Map::new());
                next.as_object_mut().expect("it was just made one")
            }
            _ => return Err(format!("invalid sub-path: /{}", path[..=depth].join("/"))),
        };
    }
    if value.is_null() {
        inner.shift_remove(last);
    } else {
        inner.insert(last.clone(), value.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn objects_are_merged_and_the_rest_is_replaced() {
        let mut target = object(json!({
            "desc": "old", "hosts": ["a"], "upstream": {"nodes": {"x": 1, "y": 1}, "type": "t"},
        }));
        let patch = object(json!({
            "desc": null, "hosts": ["b", "c"], "labels": {"k": "v", "none": null},
            "upstream": {"nodes": {"y": null, "z": 2}},
        }));
        merge(&mut target, &patch);
        let expected = json!({
            "hosts": ["b", "c"], "upstream": {"nodes": {"x": 1, "z": 2}, "type": "t"},
            "labels": {"k": "v"},
        });
        assert_eq!(Value::Object(target), expected);
    }

    #[test]
    fn a_part_is_replaced_whole() {
        let path = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let mut target = object(json!({"upstream": {"nodes": {"x": 1}}, "uri": "/a"}));
        replace(&mut target, &path("upstream/nodes"), &json!({"y": 1})).unwrap();
        replace(&mut target, &path("labels/k"), &json!("v")).unwrap();
        replace(&mut target, &path("uri"), &json!(null)).unwrap();
        let expected = json!({"upstream": {"nodes": {"y": 1}}, "labels": {"k": "v"}});
        assert_eq!(Value::Object(target.clone()), expected);
        assert_eq!(
            replace(&mut target, &path("labels/k/deep"), &json!(1)),
            Err("invalid sub-path: /labels/k".to_owned())
        );
    }
}
