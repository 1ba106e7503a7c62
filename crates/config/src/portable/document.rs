//! From an inventory to a document, and back.

use serde_json::{Map, Value};

use crate::Document;
use crate::store::{Entry, Inventory, Key, NotAKey};

/// Collections in the order of a document; others follow.
const ORDER: [&str; 11] = [
    "routes",
    "services",
    "upstreams",
    "plugin_configs",
    "global_rules",
    "consumers",
    "consumer_groups",
    "ssls",
    "plugin_metadata",
    "protos",
    "secrets",
];

/// Why a resource is not in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// It has a time to live, which a document cannot say.
    #[error("it goes by itself when its time is over (ttl)")]
    Mortal,
    /// It is no object.
    #[error("it is not an object")]
    NoObject,
}

/// All resources of an inventory as one document, by their collections, and what is
/// not in it. Credentials stand among consumers.
pub fn document(inventory: &Inventory) -> (Map<String, Value>, Vec<(Key, LeftOut)>) {
    let mut left_out = Vec::new();
    let mut collections: Map<String, Value> = Map::new();
    for name in ORDER {
        collections.insert(name.to_owned(), Value::Array(Vec::new()));
    }
    // Consumers before their credentials, whatever their keys say.
    let (credentials, others): (Vec<_>, Vec<_>) = inventory.iter().partition(is_credential);
    for (key, entry) in others.into_iter().chain(credentials) {
        match shown(key, entry) {
            Ok(resource) => {
                let collection = key.as_str().split('/').next().unwrap_or_default();
                let all = collections.entry(collection);
                let all = all.or_insert_with(|| Value::Array(Vec::new()));
                all.as_array_mut()
                    .expect("only arrays are put in")
                    .push(resource);
            }
            Err(why) => left_out.push((key.clone(), why)),
        }
    }
    collections.retain(|_, all| all.as_array().is_some_and(|all| !all.is_empty()));
    (collections, left_out)
}

fn is_credential((key, _): &(&Key, &Entry)) -> bool {
    key.kind() == "credentials"
}

/// The resource with an id that says what its key says.
fn shown(key: &Key, entry: &Entry) -> Result<Value, LeftOut> {
    if entry.expires.is_some() {
        return Err(LeftOut::Mortal);
    }
    let resource = entry.value.as_object().ok_or(LeftOut::NoObject)?;
    let (collection, id) = key
        .as_str()
        .split_once('/')
        .expect("a key has two segments");
    let says_so = match resource.get("id") {
        Some(Value::Number(own)) => id.parse().is_ok_and(|id: u64| own.as_u64() == Some(id)),
        Some(own) => own == id,
        // The name is the id.
        None => collection == "consumers" && resource.contains_key("username"),
    };
    if says_so {
        return Ok(entry.value.as_ref().clone());
    }
    let mut resource = resource.clone();
    if !resource.contains_key("id") {
        resource.shift_insert(0, "id".to_owned(), Value::Null);
    }
    resource.insert("id".to_owned(), id.into());
    Ok(Value::Object(resource))
}

/// A resource of a document.
#[derive(Debug)]
pub struct Carried<'d> {
    /// The collection that it stands in, in the document.
    pub collection: &'d str,
    /// Its number there, from 0.
    pub index: usize,
    /// The key that a store has it by; it has none without an id.
    pub key: Result<Key, NotAKey>,
    /// It, as a store keeps it.
    pub value: Value,
}

impl Carried<'_> {
    /// What kind of resource it is: `routes`, `credentials`.
    pub fn kind(&self) -> &str {
        self.key.as_ref().map_or(self.collection, Key::kind)
    }
}

/// The resources of a document.
pub fn resources(document: &Document) -> Vec<Carried<'_>> {
    let mut resources = Vec::new();
    for (collection, all) in document.written() {
        for (index, resource) in all.as_array().into_iter().flatten().enumerate() {
            let (key, value) = kept(collection, resource.clone());
            resources.push(Carried {
                collection,
                index,
                key,
                value,
            });
        }
    }
    resources
}

/// A resource of a document's collection as a store keeps it, with the key that it has
/// there; it has none without an id.
pub fn kept(collection: &str, mut resource: Value) -> (Result<Key, NotAKey>, Value) {
    let id = match (collection, resource.get("id"), resource.get("username")) {
        ("consumers", Some(Value::String(id)), _) if id.contains("/credentials/") => id.clone(),
        ("consumers", _, Some(Value::String(name))) => name.clone(),
        ("consumers", ..) | (_, None, _) => return (Err(NotAKey), resource),
        (_, Some(Value::String(id)), _) => id.clone(),
        (_, Some(id), _) => id.to_string(),
    };
    let key = Key::new(collection, &id);
    if let Ok(key) = &key
        && key.kind() == "credentials"
        && let Some(own) = resource.get_mut("id")
    {
        *own = key.id().into();
    }
    (key, resource)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use serde_json::json;

    use super::*;
    use crate::store::Change;

    #[test]
    fn every_resource_stands_in_its_collection_with_its_id() {
        let put = |key: &str, value: Value, expires| Change::Put {
            key: key.parse().unwrap(),
            value: Arc::new(value),
            expires,
        };
        let inventory = Inventory::default().after(&[
            put("routes/b", json!({"uri": "/b"}), None),
            put("routes/7", json!({"uri": "/a", "id": 7}), None),
            put("routes/soon", json!({}), Some(SystemTime::now())),
            put("routes/odd", json!("x"), None),
            put("consumers/jack", json!({"username": "jack"}), None),
            put("consumers/jack-2", json!({"username": "jack-2"}), None),
            put(
                "consumers/jack/credentials/c1",
                json!({"plugins": {}, "id": "c1"}),
                None,
            ),
            put("secrets/vault/1", json!({"id": "1", "uri": "u"}), None),
            put("later_kinds/x", json!({"id": "x"}), None),
        ]);
        let (document, left_out) = document(&inventory);
        assert_eq!(
            Value::Object(document),
            json!({
                "routes": [{"uri": "/a", "id": 7}, {"id": "b", "uri": "/b"}],
                "consumers": [
                    {"username": "jack"},
                    {"username": "jack-2"},
                    {"plugins": {}, "id": "jack/credentials/c1"},
                ],
                "secrets": [{"id": "vault/1", "uri": "u"}],
                "later_kinds": [{"id": "x"}],
            })
        );
        let left_out: Vec<_> = left_out
            .iter()
            .map(|(key, why)| (key.as_str(), *why))
            .collect();
        assert_eq!(
            left_out,
            [
                ("routes/odd", LeftOut::NoObject),
                ("routes/soon", LeftOut::Mortal)
            ]
        );
    }

    #[test]
    fn a_resource_is_kept_by_the_key_that_its_id_says() {
        let row = |collection: &str, value: Value| {
            let (key, value) = kept(collection, value);
            (key.ok().map(|key| key.to_string()), value)
        };
        let some = |key: &str| Some(key.to_owned());
        for (collection, value, key, own) in [
            ("routes", json!({"id": 7}), some("routes/7"), json!(7)),
            ("routes", json!({"id": "a"}), some("routes/a"), json!("a")),
            ("routes", json!({"uri": "/"}), None, Value::Null),
            ("routes", json!({"id": "a/b"}), None, json!("a/b")),
            (
                "consumers",
                json!({"username": "jack"}),
                some("consumers/jack"),
                Value::Null,
            ),
            (
                "consumers",
                json!({"id": "jack/credentials/c1"}),
                some("consumers/jack/credentials/c1"),
                json!("c1"),
            ),
            (
                "secrets",
                json!({"id": "vault/1"}),
                some("secrets/vault/1"),
                json!("vault/1"),
            ),
        ] {
            let (got, value) = row(collection, value);
            assert_eq!((got, &value["id"]), (key, &own), "{collection}");
        }
    }
}
