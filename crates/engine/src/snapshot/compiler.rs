//! From resources to their compiled parts, taking over what did not change.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;
use outrigger_model::{
    Fault, HostPattern, Id, Invalid, Kind, Place, PluginConfs, PropertyPath, Resources, Ssl,
    UriPattern,
};
use outrigger_telemetry::metrics::RequestLabels;
use serde_json::Value;

use super::certificates::tls_of;
use super::{Route, Service};
use crate::chain::{Built, Chain, merged};
use crate::consumer::{Consumer, Consumers, Identity};
use crate::meta::Meta;
use crate::plugin::{Mark, Owner, Plugin, Registry};
use crate::upstream::Upstream;

/// Compiled parts by what they were compiled from.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) plugins: HashMap<(Owner, String), (Value, Arc<dyn Plugin>)>,
    upstreams: HashMap<Owner, (outrigger_model::Upstream, Arc<Upstream>)>,
    /// Those that can be used.
    pub(super) ssls: HashMap<Id, Arc<Ssl>>,
    /// That of the registry that built the plugins, or found that they can go on.
    mark: Mark,
}

/// What routes refer to.
pub(super) struct Shared<'a> {
    upstreams: HashMap<&'a Id, Arc<Upstream>>,
    services: HashMap<&'a Id, CompiledService<'a>>,
    plugin_configs: HashMap<&'a Id, Vec<Built>>,
}

struct CompiledService<'a> {
    service: Arc<Service>,
    hosts: &'a [HostPattern],
    plugins: Vec<Built>,
    upstream: Option<Arc<Upstream>>,
}

impl<'a> Shared<'a> {
    /// The hosts that a route serves: its own, or its service's.
    pub(super) fn hosts_of(&self, route: &'a outrigger_model::Route) -> &'a [HostPattern] {
        match &route.service_id {
            Some(id) if route.hosts.is_empty() => {
                self.services.get(id).map_or(&[], |service| service.hosts)
            }
            _ => &route.hosts,
        }
    }
}

pub(super) struct Compiler<'a> {
    pub(super) registry: &'a Registry,
    pub(super) previous: &'a Kept,
    pub(super) kept: Kept,
    pub(super) invalid: Vec<Invalid>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(registry: &'a Registry, previous: &'a Kept) -> Self {
        Compiler {
            registry,
            previous,
            kept: Kept {
                mark: registry.mark().clone(),
                ..Kept::default()
            },
            invalid: Vec::new(),
        }
    }

    /// What the next compilation may take over.
    ///
    /// # Errors
    /// Everything that did not hold.
    pub(super) fn finish(self) -> Result<Kept, Vec<Invalid>> {
        if self.invalid.is_empty() {
            Ok(self.kept)
        } else {
            Err(self.invalid)
        }
    }

    pub(super) fn shared<'r>(&mut self, resources: &'r Resources) -> Shared<'r> {
        self.ssls(resources);
        let mut upstreams = HashMap::new();
        for upstream in &resources.upstreams {
            if let Some(id) = &upstream.id {
                upstreams.insert(id, self.upstream(Kind::Upstream, id, upstream));
            }
        }
        let mut services = HashMap::new();
        for service in &resources.services {
            services.insert(&service.id, self.service(service, &upstreams));
        }
        let mut plugin_configs = HashMap::new();
        for config in &resources.plugin_configs {
            let plugins = self.plugins(Kind::PluginConfig, &config.id, &config.plugins);
            plugin_configs.insert(&config.id, plugins);
        }
        Shared {
            upstreams,
            services,
            plugin_configs,
        }
    }

    pub(super) fn global_rules(&mut self, resources: &Resources) -> Vec<Chain> {
        let rules = resources.global_rules.iter();
        rules
            .map(|rule| Chain::new(self.plugins(Kind::GlobalRule, &rule.id, &rule.plugins)))
            .collect()
    }

    pub(super) fn consumers(&mut self, resources: &Resources) -> Consumers {
        let mut groups = HashMap::new();
        for group in &resources.consumer_groups {
            let plugins = self.plugins(Kind::ConsumerGroup, &group.id, &group.plugins);
            groups.insert(&group.id, plugins);
        }
        let mut consumers = Consumers::default();
        for consumer in &resources.consumers {
            let group = consumer.group_id.as_ref().and_then(|id| groups.get(id));
            self.consumer(consumer, group.map_or(&[], Vec::as_slice), &mut consumers);
        }
        for credential in &resources.credentials {
            self.credential(credential, &mut consumers);
        }
        consumers
    }

    /// What plugins are told has to be told to somebody.
    pub(super) fn metadata(&mut self, resources: &Resources) {
        for metadata in &resources.plugin_metadata {
            if let Err(Fault { path, message }) = self.registry.get(metadata.id.as_str()) {
                let (kind, id) = (Kind::PluginMetadata, metadata.id.clone());
                let at = Place { kind, id, path };
                self.invalid.push(Invalid { at, message });
            }
        }
    }

    fn consumer(
        &mut self,
        consumer: &outrigger_model::Consumer,
        of_group: &[Built],
        consumers: &mut Consumers,
    ) {
        let name = &consumer.username;
        let mut credentials = Vec::new();
        let mut plugins = Vec::new();
        for (plugin, conf) in consumer.plugins.iter() {
            let credential = self.registry.get(plugin).ok();
            match credential.and_then(|factory| factory.credential(conf)) {
                Some(Ok(credential)) => credentials.push((plugin, credential)),
                Some(Err(fault)) => self.fault(Kind::Consumer, name, plugin, fault),
                None => plugins.extend(self.one(Kind::Consumer, name, plugin, conf)),
            }
        }
        let custom_id = consumer.labels.get("custom_id");
        let known = Arc::new(Consumer {
            name: name.to_string(),
            group_id: consumer.group_id.as_ref().map(Id::to_string),
            custom_id: custom_id.and_then(|id| HeaderValue::try_from(id).ok()),
            plugins: merged(plugins, of_group),
        });
        consumers.know(&known);
        for (plugin, credential) in credentials {
            let identity = Identity {
                consumer: Arc::clone(&known),
                credential_id: None,
                secret: credential.secret,
            };
            if let Some(other) = consumers.add(plugin, credential.key, identity) {
                self.fault(Kind::Consumer, name, plugin, known_by_the_same(&other));
            }
        }
    }

    fn credential(&mut self, credential: &outrigger_model::Credential, to: &mut Consumers) {
        let (kind, key) = (Kind::Credential, &credential.key);
        let Some(consumer) = to.named(credential.consumer.as_str()).cloned() else {
            self.invalid.push(Invalid {
                at: Place {
                    kind,
                    id: key.clone(),
                    path: PropertyPath::root(),
                },
                message: format!("there is no consumer {}", credential.consumer),
            });
            return;
        };
        for (plugin, conf) in credential.plugins.iter() {
            let read = self.registry.get(plugin).and_then(|factory| {
                let message = "only supports auth type plugins in consumer credential";
                let path = PropertyPath::root();
                let message = message.to_owned();
                let read = factory.credential(conf);
                read.unwrap_or(Err(Fault { path, message }))
            });
            let known = match read {
                Ok(known) => known,
                Err(fault) => {
                    self.fault(kind, key, plugin, fault);
                    continue;
                }
            };
            let identity = Identity {
                consumer: Arc::clone(&consumer),
                credential_id: HeaderValue::try_from(credential.id.as_str()).ok(),
                secret: known.secret,
            };
            if let Some(other) = to.add(plugin, known.key, identity) {
                self.fault(kind, key, plugin, known_by_the_same(&other));
            }
        }
    }

    fn upstream(
        &mut self,
        kind: Kind,
        id: &Id,
        upstream: &outrigger_model::Upstream,
    ) -> Arc<Upstream> {
        let owner = Owner {
            kind,
            id: id.clone(),
        };
        let upstream = &*self.with_identity(&owner, upstream);
        let compiled = match self.previous.upstreams.get(&owner) {
            Some((same, compiled)) if same == upstream => Arc::clone(compiled),
            _ => {
                self.check_tls(&owner, upstream);
                Arc::new(Upstream::new(upstream))
            }
        };
        self.kept
            .upstreams
            .insert(owner, (upstream.clone(), Arc::clone(&compiled)));
        compiled
    }

    fn check_tls(&mut self, owner: &Owner, upstream: &outrigger_model::Upstream) {
        let Some(identity) = &upstream.tls.identity else {
            return;
        };
        if let Err(message) = self.registry.check_identity(identity) {
            self.invalid.push(Invalid {
                at: Place {
                    kind: owner.kind,
                    id: owner.id.clone(),
                    path: tls_of(owner).key("client_key"),
                },
                message: message.to_owned(),
            });
        }
    }

    fn service<'s>(
        &mut self,
        service: &'s outrigger_model::Service,
        upstreams: &HashMap<&Id, Arc<Upstream>>,
    ) -> CompiledService<'s> {
        // What is named goes before what is its own.
        let upstream = match (&service.upstream_id, &service.upstream) {
            (Some(id), _) => upstreams.get(id).cloned(),
            (None, Some(own)) => Some(self.upstream(Kind::Service, &service.id, own)),
            (None, None) => None,
        };
        CompiledService {
            service: Arc::new(Service {
                id: service.id.clone(),
                name: service.name.clone(),
            }),
            hosts: &service.hosts,
            plugins: self.plugins(Kind::Service, &service.id, &service.plugins),
            upstream,
        }
    }

    pub(super) fn route(&mut self, route: &outrigger_model::Route, shared: &Shared<'_>) -> Route {
        let service = route.service_id.as_ref();
        let service = service.and_then(|id| shared.services.get(id));
        let config = route.plugin_config_id.as_ref();
        let config = config.and_then(|id| shared.plugin_configs.get(id));
        let upstream = match (&route.upstream_id, &route.upstream) {
            (Some(id), _) => shared.upstreams.get(id).cloned(),
            (None, Some(own)) => Some(self.upstream(Kind::Route, &route.id, own)),
            (None, None) => service.and_then(|service| service.upstream.clone()),
        };
        let own = self.plugins(Kind::Route, &route.id, &route.plugins);
        let of_config = config.map_or(&[][..], Vec::as_slice);
        let of_service = service.map_or(&[][..], |service| &service.plugins);
        let plugins = merged(merged(own, of_config), of_service);
        let timeout = route
            .timeout
            .or_else(|| upstream.as_ref().map(|upstream| upstream.timeout))
            .unwrap_or_default();
        let service = service.map(|service| Arc::clone(&service.service));
        let uris: Vec<String> = route.uris.iter().map(UriPattern::to_string).collect();
        let requests = self.registry.metrics().requests(RequestLabels {
            route: route.id.as_str(),
            route_name: route.name.as_deref(),
            service: service.as_ref().map_or("", |service| service.id.as_str()),
            service_name: service.as_ref().and_then(|service| service.name.as_deref()),
            uris: &uris,
        });
        Route {
            id: route.id.clone(),
            name: route.name.clone(),
            service,
            uris,
            chain: Chain::new(plugins),
            upstream,
            timeout,
            requests,
        }
    }

    fn plugins(&mut self, kind: Kind, id: &Id, confs: &PluginConfs) -> Vec<Built> {
        let built = confs
            .iter()
            .map(|(name, conf)| self.one(kind, id, name, conf));
        built.flatten().collect()
    }

    fn one(&mut self, kind: Kind, id: &Id, name: &str, conf: &Value) -> Option<Built> {
        let owner = Owner {
            kind,
            id: id.clone(),
        };
        self.plugin(owner, name, conf)
            .map_err(|fault| self.fault(kind, id, name, fault))
            .ok()
    }

    /// A plugin's configuration does not hold.
    fn fault(&mut self, kind: Kind, id: &Id, plugin: &str, fault: Fault) {
        let path = PropertyPath::root().key("plugins").key(plugin);
        let path = path.join(&fault.path);
        let id = id.clone();
        self.invalid.push(Invalid {
            at: Place { kind, id, path },
            message: fault.message,
        });
    }

    fn plugin(&mut self, owner: Owner, name: &str, conf: &Value) -> Result<Built, Fault> {
        let factory = self.registry.get(name)?;
        let (meta, conf) = Meta::take(conf)?;
        let key = (owner, name.to_owned());
        let plugin = match self.previous.plugins.get(&key) {
            Some((same, plugin)) if *same == *conf => {
                if !self.previous.mark.is_of(self.registry) {
                    factory.check(&conf)?;
                }
                Arc::clone(plugin)
            }
            _ => factory.build(&conf, &key.0)?,
        };
        let kept = (Cow::into_owned(conf), Arc::clone(&plugin));
        self.kept.plugins.insert(key, kept);
        Ok(Built {
            name: name.into(),
            priority: meta.priority.unwrap_or(factory.priority()),
            plugin: (!meta.disabled).then(|| meta.apply(plugin)),
        })
    }
}

fn known_by_the_same(other: &str) -> Fault {
    Fault {
        path: PropertyPath::root(),
        message: format!("the consumer {other} is known by the same"),
    }
}
