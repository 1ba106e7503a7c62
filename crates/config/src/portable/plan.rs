//! What becomes of a store when resources are brought in.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::store::{Change, Condition, Inventory, Key, Write};

/// Collections in the order in which they may be written one after the other: what is named
/// by others before those. Deleted in the other order.
const ORDER: [&str; 10] = [
    "ssls",
    "secrets",
    "protos",
    "upstreams",
    "services",
    "plugin_configs",
    "consumer_groups",
    "consumers",
    "plugin_metadata",
    "routes",
];

/// When a resource was made and last changed, in seconds since 1970.
const CREATED: &str = "create_time";
const UPDATED: &str = "update_time";

/// What has to be done to a store, and what does not.
#[derive(Debug, Default)]
pub struct Plan {
    /// The changes, in an order in which each rests on those before it alone.
    pub changes: Vec<Change>,
    /// What is not there yet.
    pub added: Vec<Key>,
    /// What is there and different.
    pub changed: Vec<Key>,
    /// What is there and the same.
    pub unchanged: Vec<Key>,
    /// What goes.
    pub deleted: Vec<Key>,
}

/// Plans to bring `wanted` in; and, to `replace` everything, to delete what is not
/// wanted. No key stands twice among what is wanted. `now` is in seconds since 1970.
///
/// What is new keeps the times that it has; what is changed is changed now.
pub fn plan(before: &Inventory, wanted: Vec<(Key, Value)>, replace: bool, now: u64) -> Plan {
    let mut plan = Plan::default();
    let mut puts = Vec::new();
    let mut known = HashSet::new();
    for (key, mut value) in wanted {
        known.insert(key.clone());
        let present = before.get(&key).map(|entry| &*entry.value);
        if present.is_some_and(|present| is_same(present, &value)) {
            plan.unchanged.push(key);
            continue;
        }
        set_times(&key, &mut value, present, now);
        match present {
            Some(_) => plan.changed.push(key.clone()),
            None => plan.added.push(key.clone()),
        }
        puts.push((key, value));
    }
    puts.sort_by_key(|(key, _)| place(key));
    let put = |(key, value)| Change::Put {
        key,
        value: Arc::new(value),
        expires: None,
    };
    plan.changes = puts.into_iter().map(put).collect();
    if replace {
        let unwanted = before.iter().filter(|(key, _)| !known.contains(*key));
        plan.deleted = unwanted.map(|(key, _)| key.clone()).collect();
        let mut deleted = plan.deleted.clone();
        deleted.sort_by_key(|key| std::cmp::Reverse(place(key)));
        plan.changes.extend(deleted.into_iter().map(Change::Delete));
    }
    plan
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The store as it is to be.
    pub fn after(&self, before: &Inventory) -> Inventory {
        before.after(&self.changes)
    }
}

impl Write {
    /// Changes that are right only as long as nobody else has changed the same
    /// resources since `before`.
    pub fn of_changes(before: &Inventory, changes: Vec<Change>) -> Self {
        let condition = |change: &Change| {
            let (Change::Put { key, .. } | Change::Delete(key)) = change;
            match before.get(key) {
                Some(_) => Condition::Same(key.clone()),
                None => Condition::Absent(key.clone()),
            }
        };
        Self {
            base: before.revision(),
            conditions: changes.iter().map(condition).collect(),
            changes,
        }
    }
}

/// A consumer comes before its credentials.
fn place(key: &Key) -> (usize, usize) {
    let collection = key.as_str().split('/').next();
    let mut order = ORDER.iter();
    let place = order.position(|known| Some(*known) == collection);
    (
        place.unwrap_or(ORDER.len()),
        usize::from(key.kind() == "credentials"),
    )
}

/// Whether nothing changes by it. Times that are not given do not count.
fn is_same(present: &Value, wanted: &Value) -> bool {
    let (Value::Object(present), Value::Object(wanted)) = (present, wanted) else {
        return present == wanted;
    };
    let is_told = |key: &str| !matches!(key, CREATED | UPDATED | "id") || wanted.contains_key(key);
    let told: HashMap<_, _> = present.iter().filter(|(key, _)| is_told(key)).collect();
    told == wanted.iter().collect()
}

fn set_times(key: &Key, value: &mut Value, present: Option<&Value>, now: u64) {
    let Value::Object(resource) = value else {
        return;
    };
    // What APISIX keeps of plugins as a whole has no times.
    if key.collection() == "plugin_metadata" {
        return;
    }
    if !resource.contains_key(CREATED) {
        let created = present.and_then(|present| present.get(CREATED));
        resource.insert(
            CREATED.to_owned(),
            created.cloned().unwrap_or_else(|| now.into()),
        );
    }
    if present.is_some() || !resource.contains_key(UPDATED) {
        resource.insert(UPDATED.to_owned(), now.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    fn inventory(resources: &[(&str, Value)]) -> Inventory {
        let resources = resources.iter().cloned();
        Inventory::of_revision(
            3,
            resources.map(|(text, value)| (key(text), Arc::new(value))),
        )
    }

    fn names(keys: &[Key]) -> Vec<&str> {
        keys.iter().map(Key::as_str).collect()
    }

    #[test]
    fn what_is_the_same_is_left_alone_and_the_rest_gets_its_times() {
        let before = inventory(&[
            (
                "routes/same",
                json!({"id": "same", "uri": "/", "create_time": 1, "update_time": 2}),
            ),
            (
                "routes/other",
                json!({"id": "other", "uri": "/", "create_time": 1, "update_time": 2}),
            ),
            ("routes/not", json!({"id": "not"})),
        ]);
        let wanted = vec![
            (key("routes/same"), json!({"uri": "/", "id": "same"})),
            (
                key("routes/other"),
                json!({"id": "other", "uri": "/b", "update_time": 2}),
            ),
            (
                key("routes/old"),
                json!({"create_time": 5, "update_time": 6}),
            ),
            (key("routes/new"), json!({})),
            (key("plugin_metadata/x"), json!({})),
        ];
        let plan = plan(&before, wanted, false, 9);
        assert_eq!(names(&plan.unchanged), ["routes/same"]);
        assert_eq!(names(&plan.changed), ["routes/other"]);
        assert_eq!(
            names(&plan.added),
            ["routes/old", "routes/new", "plugin_metadata/x"]
        );
        assert!(plan.deleted.is_empty());
        let after = plan.after(&before);
        let value = |text: &str| Value::clone(&after.get(&key(text)).unwrap().value);
        assert_eq!(
            value("routes/other"),
            json!({"id": "other", "uri": "/b", "create_time": 1, "update_time": 9})
        );
        assert_eq!(
            value("routes/old"),
            json!({"create_time": 5, "update_time": 6})
        );
        assert_eq!(
            value("routes/new"),
            json!({"create_time": 9, "update_time": 9})
        );
        assert_eq!(value("plugin_metadata/x"), json!({}));
        assert!(after.get(&key("routes/not")).is_some());
    }

    #[test]
    fn what_is_named_by_others_comes_first_and_goes_last() {
        let before = inventory(&[
            ("routes/1", json!({})),
            ("upstreams/1", json!({})),
            ("consumers/a", json!({})),
            ("consumers/a/credentials/c", json!({})),
        ]);
        let wanted = vec![
            (key("routes/2"), json!({})),
            (key("consumers/a-2"), json!({})),
            (key("services/2"), json!({})),
            (key("upstreams/2"), json!({})),
        ];
        let plan = plan(&before, wanted, true, 9);
        let order: Vec<_> = plan
            .changes
            .iter()
            .map(|change| match change {
                Change::Put { key, .. } => format!("+{key}"),
                Change::Delete(key) => format!("-{key}"),
            })
            .collect();
        assert_eq!(
            order,
            [
                "+upstreams/2",
                "+services/2",
                "+consumers/a-2",
                "+routes/2",
                "-routes/1",
                "-consumers/a/credentials/c",
                "-consumers/a",
                "-upstreams/1",
            ]
        );
        let write = Write::of_changes(&before, plan.changes);
        assert_eq!(write.base, 3);
        assert_eq!(write.conditions[0], Condition::Absent(key("upstreams/2")));
        assert_eq!(write.conditions[4], Condition::Same(key("routes/1")));
    }
}
