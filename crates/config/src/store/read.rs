//! From documents to resources of the model.

use std::collections::HashSet;
use std::sync::Arc;

use outrigger_model::{
    Consumer, ConsumerGroup, Credential, Faults, GlobalRule, Kind, PluginConfig, PluginMetadata,
    Proto, Resources, Route, SecretManager, Service, Ssl, Upstream,
};
use serde_json::Value;

use super::{Inventory, Key};
use crate::references;

/// What becomes of an inventory's documents.
#[derive(Debug)]
pub struct Reading {
    /// Those that mean something.
    pub resources: Resources,
    /// Those that mean nothing, with what is wrong with them.
    pub refused: Vec<(Key, Arc<Faults>)>,
}

/// Reads inventories one after the other: a document that is the same object as in the
/// one before is not read again, and makes the same resource.
#[derive(Debug)]
pub struct Reader {
    env: ReaderEnv,
    /// What was read last, by keys.
    known: Vec<Known>,
}

/// Looks up what documents refer to in the environment.
pub type ReaderEnv = fn(&str) -> Option<String>;

/// A document, and what it means.
#[derive(Debug)]
struct Known {
    key: Key,
    document: Arc<Value>,
    meaning: Result<Meaning, Arc<Faults>>,
}

#[derive(Debug)]
enum Meaning {
    Route(Arc<Route>),
    Service(Arc<Service>),
    Upstream(Arc<Upstream>),
    PluginConfig(Arc<PluginConfig>),
    GlobalRule(Arc<GlobalRule>),
    Consumer(Arc<Consumer>),
    Credential(Arc<Credential>),
    ConsumerGroup(Arc<ConsumerGroup>),
    Ssl(Arc<Ssl>),
    PluginMetadata(Arc<PluginMetadata>),
    Proto(Arc<Proto>),
    Secret(Arc<SecretManager>),
    /// The model has no type for it.
    Nothing,
}

impl Reader {
    /// Has read nothing yet. What documents refer to in the environment is taken from
    /// `env`, and stays as it was when they were read.
    pub fn new(env: ReaderEnv) -> Self {
        let known = Vec::new();
        Self { env, known }
    }

    /// Reads all documents but those `without`. Each stands for itself: what others
    /// share a store with writes wrong must not stop what is right. References are not
    /// checked.
    ///
    /// Kinds that the model has no type for are passed over.
    pub fn read(&mut self, inventory: &Inventory, without: &HashSet<Key>) -> Reading {
        let mut reading = Reading {
            resources: Resources::default(),
            refused: Vec::new(),
        };
        // Both come in the order of keys.
        let mut known = std::mem::take(&mut self.known).into_iter().peekable();
        for (key, entry) in inventory.iter() {
            let same = loop {
                match known.next_if(|known| known.key == *key) {
                    Some(same) => break Some(same),
                    None if known.next_if(|known| known.key < *key).is_none() => break None,
                    None => {}
                }
            };
            let same = same.filter(|known| Arc::ptr_eq(&known.document, &entry.value));
            let read = same.unwrap_or_else(|| Known::of(key, &entry.value, self.env));
            if !without.contains(key) {
                reading.add(&read);
            }
            self.known.push(read);
        }
        reading
    }
}

impl Known {
    fn of(key: &Key, document: &Arc<Value>, env: ReaderEnv) -> Self {
        Self {
            key: key.clone(),
            document: Arc::clone(document),
            meaning: meaning(key, document, env).map_err(Arc::new),
        }
    }
}

impl Reading {
    fn add(&mut self, known: &Known) {
        let into = &mut self.resources;
        match &known.meaning {
            Ok(Meaning::Route(it)) => into.routes.push(Arc::clone(it)),
            Ok(Meaning::Service(it)) => into.services.push(Arc::clone(it)),
            Ok(Meaning::Upstream(it)) => into.upstreams.push(Arc::clone(it)),
            Ok(Meaning::PluginConfig(it)) => into.plugin_configs.push(Arc::clone(it)),
            Ok(Meaning::GlobalRule(it)) => into.global_rules.push(Arc::clone(it)),
            Ok(Meaning::Consumer(it)) => into.consumers.push(Arc::clone(it)),
            Ok(Meaning::Credential(it)) => into.credentials.push(Arc::clone(it)),
            Ok(Meaning::ConsumerGroup(it)) => into.consumer_groups.push(Arc::clone(it)),
            Ok(Meaning::Ssl(it)) => into.ssls.push(Arc::clone(it)),
            Ok(Meaning::PluginMetadata(it)) => into.plugin_metadata.push(Arc::clone(it)),
            Ok(Meaning::Proto(it)) => into.protos.push(Arc::clone(it)),
            Ok(Meaning::Secret(it)) => into.secrets.push(Arc::clone(it)),
            Ok(Meaning::Nothing) => {}
            Err(faults) => self.refused.push((known.key.clone(), Arc::clone(faults))),
        }
    }
}

fn meaning(key: &Key, document: &Value, env: ReaderEnv) -> Result<Meaning, Faults> {
    let Some(kind) = kind_of(key) else {
        return Ok(Meaning::Nothing);
    };
    let document = &*references::resolve(kind, document, &env)?;
    Ok(match kind {
        Kind::Route => Meaning::Route(Route::from_json(document)?.into()),
        Kind::Service => Meaning::Service(Service::from_json(document)?.into()),
        Kind::Upstream => Meaning::Upstream(Upstream::from_json(document)?.into()),
        Kind::PluginConfig => Meaning::PluginConfig(PluginConfig::from_json(document)?.into()),
        Kind::GlobalRule => Meaning::GlobalRule(GlobalRule::from_json(document)?.into()),
        Kind::Consumer => Meaning::Consumer(Consumer::from_json(document)?.into()),
        Kind::Credential => {
            let below = Key::prefix_of(kind.plural());
            let name = key.as_str().strip_prefix(&below).unwrap_or_default();
            Meaning::Credential(Credential::from_json(document, name)?.into())
        }
        Kind::ConsumerGroup => Meaning::ConsumerGroup(ConsumerGroup::from_json(document)?.into()),
        Kind::Ssl => Meaning::Ssl(Ssl::from_json(document)?.into()),
        Kind::PluginMetadata => {
            Meaning::PluginMetadata(PluginMetadata::from_json(document, key.id())?.into())
        }
        Kind::Proto => Meaning::Proto(Proto::from_json(document)?.into()),
        Kind::Secret => Meaning::Secret(SecretManager::from_json(document, key.id())?.into()),
    })
}

fn kind_of(key: &Key) -> Option<Kind> {
    let collection = key.collection();
    if collection.contains('/') {
        // The only ones that are below a resource are a consumer's.
        let of_consumer = collection.starts_with(&Key::prefix_of(Kind::Consumer.plural()));
        return (of_consumer && key.kind() == "credentials").then_some(Kind::Credential);
    }
    // A credential is no entry of a collection of its own.
    let mut kinds = Kind::ALL.into_iter().filter(|it| *it != Kind::Credential);
    kinds.find(|kind| kind.plural() == collection)
}

#[cfg(test)]
mod tests {
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
        let reading = Reader::new(|_| None).read(&inventory, &HashSet::from([key("routes/c")]));
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
        assert_eq!(
            refused,
            [
                "consumers/jack/credentials/c2",
                "routes/b",
                "secrets/vault/s"
            ]
        );
    }

    #[test]
    fn only_what_has_changed_is_read_again() {
        let key = |id: &str| Key::new("routes", id).unwrap();
        let document = |id: &str| Arc::new(json!({"id": id, "uri": "/", "plugins": {}}));
        let documents: Vec<_> = ["b", "c", "d"].map(|id| (key(id), document(id))).into();
        let all = HashSet::new();
        let mut reader = Reader::new(|_| None);
        let mut read = |documents: &[(Key, Arc<Value>)]| {
            let inventory = Inventory::of_revision(1, documents.iter().cloned());
            reader.read(&inventory, &all).resources.routes
        };
        let before = read(&documents);

        // One comes before all, one changes, one goes, and one comes after all.
        let mut documents = documents;
        documents[1].1 = document("c");
        documents.remove(0);
        documents.extend(["a", "e"].map(|id| (key(id), document(id))));
        let after = read(&documents);
        let kept: Vec<_> = after
            .iter()
            .map(|route| {
                (
                    route.id.as_str(),
                    before.iter().any(|it| Arc::ptr_eq(it, route)),
                )
            })
            .collect();
        let expected = [("a", false), ("c", false), ("d", true), ("e", false)];
        assert_eq!(kept, expected);
    }
}
