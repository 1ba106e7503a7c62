//! Credentials: what tells that a request is a consumer's, as resources of their own.

use serde_json::Value;

use crate::described::Described;
use crate::read::{At, Null, read};
use crate::{Faults, Id, Labels, PluginConfs};

/// What stands between the consumer and the id of a credential's key.
const BETWEEN: &str = "/credentials/";

/// What one authentication plugin knows a consumer by. A consumer may have many.
///
/// Invariant: at most one plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// What it is called among those of all consumers: `CONSUMER/credentials/ID`.
    pub key: Id,
    /// Whose it is.
    pub consumer: Id,
    /// What it is called among those of its consumer.
    pub id: Id,
    /// The name.
    pub name: Option<String>,
    /// What it is for, in words.
    pub desc: Option<String>,
    /// Labels.
    pub labels: Labels,
    /// The authentication plugin, if there is one yet.
    pub plugins: PluginConfs,
}

impl Credential {
    /// Reads the one with this [`key`](Self::key) from APISIX's JSON shape, or reports
    /// all that is wrong with it.
    pub fn from_json(json: &Value, key: &str) -> Result<Self, Faults> {
        read(json, Null::IsAValue, |at| {
            let (consumer, id) = parts(at, key)?;
            Self::read_of(at, consumer, id)
        })
    }

    /// Whether an entry among the `consumers` of `apisix.yaml` is a credential: its
    /// `id` is `CONSUMER/credentials/ID`.
    pub fn is_entry(entry: &Value) -> bool {
        let id = entry.get("id").and_then(Value::as_str);
        id.is_some_and(|id| id.contains(BETWEEN))
    }

    /// Reads such an [entry](Self::is_entry).
    pub(crate) fn read_entry(at: &At<'_>) -> Option<Self> {
        let object = at.object()?;
        let (consumer, id) = object.read("id", |at| parts(at, at.string()?))?;
        Self::read_of(at, consumer, id)
    }

    fn read_of(at: &At<'_>, consumer: Id, id: Id) -> Option<Self> {
        let object = at.object()?;
        let Described { name, desc, labels } = Described::read(&object);
        let plugins = object.read("plugins", |at| {
            let plugins = PluginConfs::read(at)?;
            if plugins.len() > 1 {
                at.fault("expect object to have at most 1 properties");
            }
            Some(plugins)
        });
        object.ignore(&["id"]);
        object.finish();
        Some(Self {
            key: Id::of_credential(&consumer, &id),
            consumer,
            id,
            name,
            desc,
            labels,
            plugins: plugins.unwrap_or_default(),
        })
    }
}

/// The consumer and the id in a key.
fn parts(at: &At<'_>, key: &str) -> Option<(Id, Id)> {
    let Some((consumer, id)) = key.split_once(BETWEEN) else {
        at.fault("expected CONSUMER/credentials/ID");
        return None;
    };
    let consumer = at.accept(consumer.parse());
    consumer.zip(at.accept(id.parse()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Kind, Resources};

    #[test]
    fn it_is_read_of_a_consumer_and_among_consumers() {
        let whole = json!({
            "id": "jack/credentials/c1", "name": "n", "desc": "d", "labels": {"a": "b"},
            "plugins": {"key-auth": {"key": "k"}}, "create_time": 1,
        });
        let resources = json!({"consumers": [{"username": "jack"}, whole]});
        let resources = Resources::from_json(&resources).unwrap();
        assert_eq!(resources.check_references(), Ok(()));
        let credential = &resources.credentials[0];
        assert_eq!(credential.key.as_str(), "jack/credentials/c1");
        assert_eq!(credential.consumer.as_str(), "jack");
        assert_eq!(credential.id.as_str(), "c1");
        assert_eq!(credential.name.as_deref(), Some("n"));
        assert_eq!(credential.plugins.len(), 1);
        assert_eq!(resources.consumers.len(), 1);

        let alone = Credential::from_json(&json!({}), "jack/credentials/c1").unwrap();
        assert_eq!(alone.key, credential.key);
        assert!(alone.plugins.is_empty());
        let said = Credential::from_json(&json!({}), "jack").unwrap_err();
        assert_eq!(said.to_string(), "expected CONSUMER/credentials/ID");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let read = |id: &str, plugins: Value| {
            let entry = json!({"id": id, "plugins": plugins});
            let read = Resources::from_json(&json!({"consumers": [entry]}));
            read.unwrap_err().to_string()
        };
        let two = json!({"key-auth": {"key": "k"}, "basic-auth": {}});
        for (said, expected) in [
            (
                read("jack/credentials/c1", two),
                "consumers[0].plugins: expect object to have at most 1 properties",
            ),
            (
                read("jack/credentials/", json!({})),
                "consumers[0].id: expected an id",
            ),
            (
                read("/credentials/c", json!({})),
                "consumers[0].id: expected an id",
            ),
            (
                read("a/credentials/b/c", json!({})),
                "consumers[0].id: expected an id",
            ),
        ] {
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn it_is_nothing_without_its_consumer() {
        let entry = |id: &str| json!({"id": id});
        let resources = json!({"consumers": [entry("jack/credentials/c1"), {"username": "joe"}]});
        let resources = Resources::from_json(&resources).unwrap();
        let found = resources.check_references().unwrap_err();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at.kind, Kind::Credential);
        assert_eq!(found[0].message, "there is no consumer with the id jack");

        let twice = [
            entry("joe/credentials/a"),
            { json!({"username": "joe"}) },
            entry("joe/credentials/a"),
        ];
        let resources = Resources::from_json(&json!({"consumers": twice})).unwrap();
        let found = resources.check_references().unwrap_err();
        assert_eq!(
            found[0].message,
            "another credential has the id joe/credentials/a too"
        );
    }
}
