//! From documents to resources of the model.

use std::collections::HashSet;

use outrigger_model::{
    Consumer, ConsumerGroup, Credential, Faults, GlobalRule, Kind, PluginConfig, Resources, Route,
    Service, Upstream,
};
use serde_json::Value;

use super::{Entry, Inventory, Key};

/// What becomes of an inventory's documents.
#[derive(Debug)]
pub struct Reading {
    /// Those that mean something.
    pub resources: Resources,
    /// Those that mean nothing, with what is wrong with them.
    pub refused: Vec<(Key, Faults)>,
}

/// Reads all documents but those `without`. Each stands for itself: what others
/// share a store with writes wrong must not stop what is right. References are not
/// checked.
///
/// Kinds that the model has no type for are passed over.
pub fn read(inventory: &Inventory, without: &HashSet<Key>) -> Reading {
    let mut reading = Reading {
        resources: Resources::default(),
        refused: Vec::new(),
    };
    for kind in Kind::ALL {
        let documents: Vec<_> = match kind {
            Kind::Credential => credentials(inventory).collect(),
            _ => inventory.collection(kind.plural()).collect(),
        };
        for (key, entry) in documents {
            if without.contains(key) {
                continue;
            }
            if let Err(faults) = read_one(kind, key, &entry.value, &mut reading.resources) {
                reading.refused.push((key.clone(), faults));
            }
        }
    }
    reading
}

/// Those of all consumers.
fn credentials(inventory: &Inventory) -> impl Iterator<Item = (&Key, &Entry)> {
    let below = inventory.below(&Key::prefix_of(Kind::Consumer.plural()));
    below.filter(|(key, _)| key.kind() == "credentials")
}

fn read_one(kind: Kind, key: &Key, value: &Value, into: &mut Resources) -> Result<(), Faults> {
    match kind {
        Kind::Route => into.routes.push(Route::from_json(value)?),
        Kind::Service => into.services.push(Service::from_json(value)?),
        Kind::Upstream => into.upstreams.push(Upstream::from_json(value)?),
        Kind::PluginConfig => into.plugin_configs.push(PluginConfig::from_json(value)?),
        Kind::GlobalRule => into.global_rules.push(GlobalRule::from_json(value)?),
        Kind::Consumer => into.consumers.push(Consumer::from_json(value)?),
        Kind::Credential => {
            let below = Key::prefix_of(kind.plural());
            let key = key.as_str().strip_prefix(&below).unwrap_or_default();
            into.credentials.push(Credential::from_json(value, key)?);
        }
        Kind::ConsumerGroup => into.consumer_groups.push(ConsumerGroup::from_json(value)?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_does_not_stop_what_is_right() {
        let key = |text: &str| text.parse::<Key>().unwrap();
        let route = json!({"id": "a", "uri": "/a", "plugins": {}});
        let documents = [
            ("routes/a", route.clone()),
            ("routes/b", json!({"id": "b", "uri": 7})),
            ("routes/c", route),
            (
                "upstreams/u",
                json!({"id": "u", "nodes": {"127.0.0.1:1": 1}}),
            ),
            ("secrets/vault/s", json!({})),
            ("consumers/jack", json!({"username": "jack"})),
            (
                "consumers/jack/credentials/c1",
                json!({"id": "c1", "plugins": {"x": {}}}),
            ),
            ("consumers/jack/credentials/c2", json!({"plugins": 5})),
        ];
        let documents = documents.map(|(text, value)| (key(text), Arc::new(value)));
        let inventory = Inventory::of_revision(1, documents);
        let reading = read(&inventory, &HashSet::from([key("routes/c")]));
        let resources = &reading.resources;
        assert_eq!((resources.routes.len(), resources.upstreams.len()), (1, 1));
        assert_eq!(resources.consumers.len(), 1);
        assert_eq!(resources.credentials.len(), 1);
        assert_eq!(resources.credentials[0].key.as_str(), "jack/credentials/c1");
        assert!(resources.credentials[0].plugins.get("x").is_some());
        let refused: Vec<_> = reading
            .refused
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(refused, ["routes/b", "consumers/jack/credentials/c2"]);
    }
}
