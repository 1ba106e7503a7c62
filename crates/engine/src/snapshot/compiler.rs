//! From resources to their compiled parts, taking over what did not change.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use outrigger_model::{
    Fault, HostPattern, Id, Invalid, Kind, Place, PluginConfs, PropertyPath, Resources, UriPattern,
};
use serde_json::Value;

use super::{Route, Service};
use crate::meta::Meta;
use crate::plugin::{Chain, Owner, Plugin, Registry};
use crate::upstream::Upstream;

/// Compiled parts by what they were compiled from.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) plugins: HashMap<(Owner, String), (Value, Arc<dyn Plugin>)>,
    upstreams: HashMap<Owner, (outrigger_model::Upstream, Arc<Upstream>)>,
}

/// A plugin of a resource.
#[derive(Clone)]
struct Built {
    name: String,
    priority: i32,
    /// None for one that is switched off. It still goes before others of its name.
    plugin: Option<Arc<dyn Plugin>>,
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
    registry: &'a Registry,
    previous: &'a Kept,
    kept: Kept,
    invalid: Vec<Invalid>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(registry: &'a Registry, previous: &'a Kept) -> Self {
        Compiler {
            registry,
            previous,
            kept: Kept::default(),
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
            .map(|rule| chain(self.plugins(Kind::GlobalRule, &rule.id, &rule.plugins)))
            .collect()
    }

    pub(super) fn consumers(&mut self, resources: &Resources) {
        for consumer in &resources.consumers {
            self.plugins(Kind::Consumer, &consumer.username, &consumer.plugins);
        }
        for group in &resources.consumer_groups {
            self.plugins(Kind::ConsumerGroup, &group.id, &group.plugins);
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
        let compiled = match self.previous.upstreams.get(&owner) {
            Some((same, compiled)) if same == upstream => Arc::clone(compiled),
            _ => Arc::new(Upstream::new(upstream)),
        };
        self.kept
            .upstreams
            .insert(owner, (upstream.clone(), Arc::clone(&compiled)));
        compiled
    }

    fn service<'s>(
        &mut self,
        service: &'s outrigger_model::Service,
        upstreams: &HashMap<&Id, Arc<Upstream>>,
    ) -> CompiledService<'s> {
        let upstream = match (&service.upstream, &service.upstream_id) {
            (Some(own), _) => Some(self.upstream(Kind::Service, &service.id, own)),
            (None, Some(id)) => upstreams.get(id).cloned(),
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
        let upstream = match (&route.upstream, &route.upstream_id) {
            (Some(own), _) => Some(self.upstream(Kind::Route, &route.id, own)),
            (None, Some(id)) => shared.upstreams.get(id).cloned(),
            (None, None) => service.and_then(|service| service.upstream.clone()),
        };
        let own = self.plugins(Kind::Route, &route.id, &route.plugins);
        let inherited = config.into_iter().chain(service.map(|it| &it.plugins));
        let timeout = route
            .timeout
            .or_else(|| upstream.as_ref().map(|upstream| upstream.timeout))
            .unwrap_or_default();
        Route {
            id: route.id.clone(),
            name: route.name.clone(),
            service: service.map(|service| Arc::clone(&service.service)),
            uris: route.uris.iter().map(UriPattern::to_string).collect(),
            chain: chain(merged(own, inherited)),
            upstream,
            timeout,
        }
    }

    fn plugins(&mut self, kind: Kind, id: &Id, confs: &PluginConfs) -> Vec<Built> {
        let mut built = Vec::with_capacity(confs.len());
        for (name, conf) in confs.iter() {
            let owner = Owner {
                kind,
                id: id.clone(),
            };
            match self.plugin(owner, name, conf) {
                Ok(plugin) => built.push(plugin),
                Err(fault) => {
                    let path = PropertyPath::root().key("plugins").key(name);
                    let path = path.join(&fault.path);
                    let id = id.clone();
                    self.invalid.push(Invalid {
                        at: Place { kind, id, path },
                        message: fault.message,
                    });
                }
            }
        }
        built
    }

    fn plugin(&mut self, owner: Owner, name: &str, conf: &Value) -> Result<Built, Fault> {
        let Some(factory) = self.registry.get(name) else {
            let known: Vec<_> = self.registry.names().collect();
            let message = format!("unknown plugin [{name}]; known are {}", known.join(", "));
            return Err(Fault {
                path: PropertyPath::root(),
                message,
            });
        };
        let (meta, conf) = Meta::take(conf)?;
        let key = (owner, name.to_owned());
        let plugin = match self.previous.plugins.get(&key) {
            Some((same, plugin)) if *same == *conf => Arc::clone(plugin),
            _ => factory.build(&conf, &key.0)?,
        };
        let kept = (Cow::into_owned(conf), Arc::clone(&plugin));
        self.kept.plugins.insert(key, kept);
        Ok(Built {
            name: name.to_owned(),
            priority: meta.priority.unwrap_or(factory.priority()),
            plugin: (!meta.disabled).then(|| meta.apply(plugin)),
        })
    }
}

/// Plugins with those that are `inherited`, of which earlier ones go before later
/// ones, whole plugin by whole plugin.
fn merged<'b>(own: Vec<Built>, inherited: impl Iterator<Item = &'b Vec<Built>>) -> Vec<Built> {
    let mut merged = own;
    for plugins in inherited {
        let names: HashSet<_> = merged.iter().map(|built| built.name.clone()).collect();
        let others = plugins.iter().filter(|built| !names.contains(&built.name));
        merged.extend(others.cloned());
    }
    merged
}

fn chain(plugins: Vec<Built>) -> Chain {
    let enabled = plugins.into_iter();
    Chain::new(
        enabled
            .filter_map(|built| Some((built.priority, built.plugin?)))
            .collect(),
    )
}
