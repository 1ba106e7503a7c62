//! Consumers and their credentials.
//!
//! What each of them is known by is read when it changes; by what all are found is
//! put together whenever any of them does.

use std::sync::Arc;

use http::HeaderValue;
use outrigger_model::{
    self as model, Fault, Id, Invalid, Kind, Place, PluginSet, PropertyPath, Resources,
};

use super::compiler::{Compiler, of_plugin, owner};
use super::parts::{Changed, Part, Parts, Update};
use super::shared::Plugins;
use crate::chain::{Built, merged};
use crate::consumer::{Consumer, Consumers, Credential, Identity};
use crate::plugin::Owner;

/// All consumers, compiled.
#[derive(Debug, Clone, Default)]
pub(super) struct AllConsumers {
    groups: Parts<Arc<Plugins>>,
    consumers: Parts<Arc<ConsumerPart>>,
    credentials: Parts<Arc<CredentialPart>>,
    pub(super) found: Arc<Consumers>,
}

#[derive(Debug)]
struct ConsumerPart {
    resource: Arc<model::Consumer>,
    consumer: Arc<Consumer>,
    /// Its own plugins, without those of its group.
    built: Vec<Built>,
    /// By the plugin that knows the consumer by it.
    credentials: Vec<(&'static str, Credential)>,
}

#[derive(Debug)]
struct CredentialPart {
    resource: Arc<model::Credential>,
    credentials: Vec<(&'static str, Credential)>,
}

impl Part for Arc<ConsumerPart> {
    type Resource = model::Consumer;

    fn resource(&self) -> &Arc<model::Consumer> {
        &self.resource
    }
}

impl Part for Arc<CredentialPart> {
    type Resource = model::Credential;

    fn resource(&self) -> &Arc<model::Credential> {
        &self.resource
    }
}

impl Compiler<'_> {
    pub(super) fn consumers(
        &self,
        resources: &mut Resources,
        before: &AllConsumers,
        invalid: &mut Vec<Invalid>,
    ) -> AllConsumers {
        let groups: Vec<Arc<PluginSet>> = std::mem::take(&mut resources.consumer_groups);
        let (groups, changes) =
            self.plugin_sets(Kind::ConsumerGroup, groups, &before.groups, invalid);
        let changed_groups = Changed::of(&changes);
        let is_touched = |consumer: &model::Consumer| {
            self.is_other_registry || changed_groups.has(consumer.group_id.as_ref())
        };
        let may_be_touched = self.is_other_registry || !changed_groups.is_empty();
        let update = Update {
            kind: Kind::Consumer,
            before: &before.consumers,
            resources: std::mem::take(&mut resources.consumers),
            touched: may_be_touched.then_some(&is_touched),
        };
        let (consumers, of_consumers) = update.carry_out(invalid, |resource, before, invalid| {
            let group = resource.group_id.as_ref().and_then(|id| groups.get(id));
            let before = before.map(|part| &**part);
            Some(Arc::new(self.consumer(resource, before, group, invalid)))
        });
        let update = Update {
            kind: Kind::Credential,
            before: &before.credentials,
            resources: std::mem::take(&mut resources.credentials),
            touched: self.all(),
        };
        let (credentials, of_credentials) = update.carry_out(invalid, |resource, _, invalid| {
            Some(Arc::new(self.credential(resource, invalid)))
        });
        let found = if of_consumers.is_empty() && of_credentials.is_empty() {
            Arc::clone(&before.found)
        } else {
            Arc::new(found(&consumers, &credentials, invalid))
        };
        AllConsumers {
            groups,
            consumers,
            credentials,
            found,
        }
    }

    fn consumer(
        &self,
        resource: &Arc<model::Consumer>,
        before: Option<&ConsumerPart>,
        group: Option<&Arc<Plugins>>,
        invalid: &mut Vec<Invalid>,
    ) -> ConsumerPart {
        let owner = owner(Kind::Consumer, &resource.username);
        let mut credentials = Vec::new();
        let mut others = resource.plugins.clone();
        let mut are_credentials = Vec::new();
        for (name, conf) in resource.plugins.iter() {
            let Ok(factory) = self.registry.get(name) else {
                continue;
            };
            let Some(credential) = factory.credential(&conf) else {
                continue;
            };
            are_credentials.push(name);
            match credential {
                Ok(credential) => credentials.push((factory.name(), credential)),
                Err(fault) => invalid.push(of_plugin(&owner, name, fault)),
            }
        }
        others.retain(|name| !are_credentials.contains(&name));
        let before = before.map(|it| (&it.resource.plugins, &*it.built));
        let built = self.plugins(&owner, &others, before, invalid);
        let of_group = group.map_or(&[][..], |group| &group.built);
        let custom_id = resource.labels.get("custom_id");
        let consumer = Consumer {
            name: resource.username.to_string(),
            group_id: resource.group_id.as_ref().map(Id::to_string),
            custom_id: custom_id.and_then(|id| HeaderValue::try_from(id).ok()),
            plugins: merged(built.clone(), of_group),
        };
        ConsumerPart {
            resource: Arc::clone(resource),
            consumer: Arc::new(consumer),
            built,
            credentials,
        }
    }

    fn credential(
        &self,
        resource: &Arc<model::Credential>,
        invalid: &mut Vec<Invalid>,
    ) -> CredentialPart {
        let owner = owner(Kind::Credential, &resource.key);
        let mut credentials = Vec::new();
        for (name, conf) in resource.plugins.iter() {
            let read = self.registry.get(name).and_then(|factory| {
                let read = factory.credential(&conf).unwrap_or_else(|| {
                    let message = "only supports auth type plugins in consumer credential";
                    Err(at_root(message.to_owned()))
                });
                Ok((factory.name(), read?))
            });
            match read {
                Ok(credential) => credentials.push(credential),
                Err(fault) => invalid.push(of_plugin(&owner, name, fault)),
            }
        }
        CredentialPart {
            resource: Arc::clone(resource),
            credentials,
        }
    }
}

/// By what all are found.
fn found(
    consumers: &Parts<Arc<ConsumerPart>>,
    credentials: &Parts<Arc<CredentialPart>>,
    invalid: &mut Vec<Invalid>,
) -> Consumers {
    let mut found = Consumers::default();
    for part in consumers.iter() {
        found.know(&part.consumer);
        let owner = owner(Kind::Consumer, &part.resource.username);
        let identity = (&part.consumer, None);
        add(&mut found, &owner, identity, &part.credentials, invalid);
    }
    for part in credentials.iter() {
        let resource = &part.resource;
        let owner = owner(Kind::Credential, &resource.key);
        let Some(consumer) = found.named(resource.consumer.as_str()).cloned() else {
            invalid.push(Invalid {
                at: Place {
                    kind: owner.kind,
                    id: owner.id,
                    path: PropertyPath::root(),
                },
                message: format!("there is no consumer {}", resource.consumer),
            });
            continue;
        };
        let id = HeaderValue::try_from(resource.id.as_str()).ok();
        let identity = (&consumer, id);
        add(&mut found, &owner, identity, &part.credentials, invalid);
    }
    found
}

fn add(
    found: &mut Consumers,
    owner: &Owner,
    (consumer, credential_id): (&Arc<Consumer>, Option<HeaderValue>),
    credentials: &[(&'static str, Credential)],
    invalid: &mut Vec<Invalid>,
) {
    for (plugin, credential) in credentials {
        let identity = Identity {
            consumer: Arc::clone(consumer),
            credential_id: credential_id.clone(),
            secret: Arc::clone(&credential.secret),
        };
        if let Some(other) = found.add(plugin, credential.key.clone(), identity) {
            let fault = at_root(format!("the consumer {other} is known by the same"));
            invalid.push(of_plugin(owner, plugin, fault));
        }
    }
}

fn at_root(message: String) -> Fault {
    Fault {
        path: PropertyPath::root(),
        message,
    }
}
