//! All resources of one configuration, and what they say of each other.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::read::{At, Null, Object, read};
use crate::{
    Consumer, ConsumerGroup, Credential, Faults, GlobalRule, Id, Invalid, Kind, Place,
    PluginConfig, PluginMetadata, PropertyPath, Proto, Route, SecretManager, Service, Ssl, SslType,
    Upstream, UpstreamTls,
};

/// All resources of one configuration.
///
/// Ids and references are checked by [`Resources::check_references`] alone.
///
/// Resources are shared: one that is the same object in two configurations has not
/// changed between them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// The routes.
    pub routes: Vec<Arc<Route>>,
    /// The services.
    pub services: Vec<Arc<Service>>,
    /// The upstreams; each with an id.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Plugins that several routes share.
    pub plugin_configs: Vec<Arc<PluginConfig>>,
    /// Plugins for all requests.
    pub global_rules: Vec<Arc<GlobalRule>>,
    /// Those who make requests.
    pub consumers: Vec<Arc<Consumer>>,
    /// What they are known by, where that is not their own; in `consumers`, too.
    pub credentials: Vec<Arc<Credential>>,
    /// Plugins that several consumers share.
    pub consumer_groups: Vec<Arc<ConsumerGroup>>,
    /// Certificates with their keys.
    pub ssls: Vec<Arc<Ssl>>,
    /// What plugins are told once for all.
    pub plugin_metadata: Vec<Arc<PluginMetadata>>,
    /// Definitions of Protocol Buffers.
    pub protos: Vec<Arc<Proto>>,
    /// Managers of secrets.
    pub secrets: Vec<Arc<SecretManager>>,
}

impl Resources {
    /// Reads an object of arrays, such as `{"routes": […], "upstreams": […]}`, or
    /// reports all that is wrong in it. An entry without an id gets
    /// [one by its place](Id::of_entry).
    pub fn from_json(json: &Value) -> Result<Self, Faults> {
        read(json, Null::IsAValue, |at| {
            let object = at.object()?;
            let resources = Self::read(&object);
            object.finish();
            Some(resources)
        })
    }

    /// As [`Resources::from_json`], from an object that may hold more than resources.
    pub fn read(object: &Object<'_>) -> Self {
        let routes = object.read("routes", |at| read_all(at, Kind::Route, Route::read));
        let services = object.read("services", |at| read_all(at, Kind::Service, Service::read));
        let upstreams = object.read("upstreams", |at| {
            read_all(at, Kind::Upstream, read_upstream)
        });
        let plugin_configs = object.read("plugin_configs", |at| {
            read_all(at, Kind::PluginConfig, PluginConfig::read)
        });
        let global_rules = object.read("global_rules", |at| {
            read_all(at, Kind::GlobalRule, GlobalRule::read)
        });
        let consumers = object.read("consumers", |at| {
            read_all(at, Kind::Consumer, |at, _| {
                Some(if Credential::is_entry(at.value()) {
                    Err(Credential::read_entry(at)?)
                } else {
                    Ok(Consumer::read(at)?)
                })
            })
        });
        let (consumers, credentials) = apart(consumers.unwrap_or_default());
        let groups = object.read("consumer_groups", |at| {
            read_all(at, Kind::ConsumerGroup, ConsumerGroup::read)
        });
        let ssls = object.read("ssls", |at| read_all(at, Kind::Ssl, Ssl::read));
        let metadata = object.read("plugin_metadata", |at| {
            read_all(at, Kind::PluginMetadata, |at, _| {
                PluginMetadata::read_entry(at)
            })
        });
        let protos = object.read("protos", |at| read_all(at, Kind::Proto, Proto::read));
        let secrets = object.read("secrets", |at| {
            read_all(at, Kind::Secret, |at, _| SecretManager::read_entry(at))
        });
        Self {
            routes: shared(routes),
            services: shared(services),
            upstreams: shared(upstreams),
            plugin_configs: shared(plugin_configs),
            global_rules: shared(global_rules),
            consumers,
            credentials,
            consumer_groups: shared(groups),
            ssls: shared(ssls),
            plugin_metadata: shared(metadata),
            protos: shared(protos),
            secrets: shared(secrets),
        }
    }

    /// Has those that are equal to one of `before` be the same objects, so that everybody
    /// can tell at a glance what has not changed.
    pub fn take_over(&mut self, before: &Self) {
        same(&mut self.routes, &before.routes, |it| Some(&it.id));
        same(&mut self.services, &before.services, |it| Some(&it.id));
        same(&mut self.upstreams, &before.upstreams, |it| it.id.as_ref());
        same(&mut self.plugin_configs, &before.plugin_configs, |it| {
            Some(&it.id)
        });
        same(&mut self.global_rules, &before.global_rules, |it| {
            Some(&it.id)
        });
        same(&mut self.consumers, &before.consumers, |it| {
            Some(&it.username)
        });
        same(&mut self.credentials, &before.credentials, |it| {
            Some(&it.key)
        });
        same(&mut self.consumer_groups, &before.consumer_groups, |it| {
            Some(&it.id)
        });
        same(&mut self.ssls, &before.ssls, |it| Some(&it.id));
        same(&mut self.plugin_metadata, &before.plugin_metadata, |it| {
            Some(&it.id)
        });
        same(&mut self.protos, &before.protos, |it| Some(&it.id));
        same(&mut self.secrets, &before.secrets, |it| Some(&it.key));
    }

    /// The ids of all resources of one kind, in their order.
    pub fn ids(&self, kind: Kind) -> Vec<&Id> {
        match kind {
            Kind::Route => self.routes.iter().map(|it| &it.id).collect(),
            Kind::Service => self.services.iter().map(|it| &it.id).collect(),
            Kind::Upstream => {
                let upstreams = self.upstreams.iter();
                upstreams.filter_map(|it| it.id.as_ref()).collect()
            }
            Kind::PluginConfig => self.plugin_configs.iter().map(|it| &it.id).collect(),
            Kind::GlobalRule => self.global_rules.iter().map(|it| &it.id).collect(),
            Kind::Consumer => self.consumers.iter().map(|it| &it.username).collect(),
            Kind::Credential => self.credentials.iter().map(|it| &it.key).collect(),
            Kind::ConsumerGroup => self.consumer_groups.iter().map(|it| &it.id).collect(),
            Kind::Ssl => self.ssls.iter().map(|it| &it.id).collect(),
            Kind::PluginMetadata => self.plugin_metadata.iter().map(|it| &it.id).collect(),
            Kind::Proto => self.protos.iter().map(|it| &it.id).collect(),
            Kind::Secret => self.secrets.iter().map(|it| &it.key).collect(),
        }
    }

    /// Whether all ids differ within their kind, and everything that is named by
    /// its id is there. Returns all that is not so; as long as several resources
    /// have one id, that alone.
    pub fn check_references(&self) -> Result<(), Vec<Invalid>> {
        let mut check = Check::default();
        let mut ids = Kind::ALL.map(|kind| (kind, check.unique(kind, self.ids(kind))));
        if !check.found.is_empty() {
            return Err(check.found);
        }
        let mut known = |kind| {
            let found = ids.iter_mut().find(|(of, _)| *of == kind);
            found
                .map(|(_, ids)| std::mem::take(ids))
                .unwrap_or_default()
        };
        let upstreams = known(Kind::Upstream);
        let services = known(Kind::Service);
        let plugin_configs = known(Kind::PluginConfig);
        let groups = known(Kind::ConsumerGroup);
        let consumers = known(Kind::Consumer);
        for service in &self.services {
            let by = (Kind::Service, &service.id);
            check.reference(by, &service.upstream_id, (Kind::Upstream, &upstreams));
        }
        for route in &self.routes {
            let by = (Kind::Route, &route.id);
            check.reference(by, &route.service_id, (Kind::Service, &services));
            check.reference(by, &route.upstream_id, (Kind::Upstream, &upstreams));
            let of_plugins = (Kind::PluginConfig, &plugin_configs);
            check.reference(by, &route.plugin_config_id, of_plugins);
        }
        for consumer in &self.consumers {
            let by = (Kind::Consumer, &consumer.username);
            check.reference(by, &consumer.group_id, (Kind::ConsumerGroup, &groups));
        }
        for credential in &self.credentials {
            let known = (Kind::Consumer, &consumers);
            let consumer = Some(credential.consumer.clone());
            check.reference((Kind::Credential, &credential.key), &consumer, known);
        }
        self.check_certificates(&mut check);
        if check.found.is_empty() {
            Ok(())
        } else {
            Err(check.found)
        }
    }

    /// Whether the certificates that upstreams name are there, and for upstreams.
    fn check_certificates(&self, check: &mut Check) {
        let ssls: HashMap<_, _> = self.ssls.iter().map(|ssl| (&ssl.id, ssl.purpose)).collect();
        let tls_path = PropertyPath::root().key("tls");
        let inline = PropertyPath::root().key("upstream").key("tls");
        for upstream in &self.upstreams {
            if let Some(id) = &upstream.id {
                check.certificate((Kind::Upstream, id), &tls_path, &upstream.tls, &ssls);
            }
        }
        for (by, upstream) in self
            .services
            .iter()
            .map(|it| ((Kind::Service, &it.id), &it.upstream))
            .chain(
                self.routes
                    .iter()
                    .map(|it| ((Kind::Route, &it.id), &it.upstream)),
            )
        {
            if let Some(upstream) = upstream {
                check.certificate(by, &inline, &upstream.tls, &ssls);
            }
        }
    }
}

/// Replaces resources by those of the same id in `before` that are equal.
fn same<T: PartialEq>(now: &mut [Arc<T>], before: &[Arc<T>], id: fn(&T) -> Option<&Id>) {
    let by_id: HashMap<_, _> = before.iter().map(|it| (id(it), it)).collect();
    for it in now {
        if let Some(same) = by_id.get(&id(it)).filter(|same| **same == it) {
            *it = Arc::clone(same);
        }
    }
}

fn read_all<T>(
    at: &At<'_>,
    kind: Kind,
    read: impl Fn(&At<'_>, Option<Id>) -> Option<T>,
) -> Option<Vec<T>> {
    let items = at.items()?.enumerate();
    let made = items.filter_map(|(index, item)| read(&item, Some(Id::of_entry(kind, index))));
    Some(made.collect())
}

fn shared<T>(all: Option<Vec<T>>) -> Vec<Arc<T>> {
    let all = all.unwrap_or_default().into_iter();
    all.map(Arc::new).collect()
}

/// What is `Ok` and what is `Err`, each in its order.
fn apart<A, B>(all: Vec<Result<A, B>>) -> (Vec<Arc<A>>, Vec<Arc<B>>) {
    let (mut these, mut those) = (Vec::new(), Vec::new());
    for one in all {
        match one {
            Ok(one) => these.push(Arc::new(one)),
            Err(one) => those.push(Arc::new(one)),
        }
    }
    (these, those)
}

fn read_upstream(at: &At<'_>, given: Option<Id>) -> Option<Upstream> {
    let mut upstream = Upstream::read(at)?;
    upstream.id = upstream.id.or(given);
    Some(upstream)
}

#[derive(Default)]
struct Check {
    found: Vec<Invalid>,
}

impl Check {
    /// The ids of one kind as a set; reports those that several resources have.
    fn unique<'r>(&mut self, kind: Kind, ids: Vec<&'r Id>) -> HashSet<&'r Id> {
        let mut seen = HashSet::new();
        for id in ids {
            if !seen.insert(id) {
                let message = format!("another {kind} has the id {id} too");
                self.report((kind, id), "id", message);
            }
        }
        seen
    }

    /// Reports a reference from `by` to what is not there.
    fn reference(
        &mut self,
        by: (Kind, &Id),
        id: &Option<Id>,
        (kind, known): (Kind, &HashSet<&Id>),
    ) {
        let Some(id) = id else { return };
        if !known.contains(id) {
            let key = match by.0 {
                // Its key begins with its consumer.
                Kind::Credential => "id",
                _ => reference_key(kind),
            };
            self.report(by, key, format!("there is no {kind} with the id {id}"));
        }
    }

    /// Reports a certificate that an upstream names and cannot use.
    fn certificate(
        &mut self,
        by: (Kind, &Id),
        tls_path: &PropertyPath,
        tls: &UpstreamTls,
        ssls: &HashMap<&Id, SslType>,
    ) {
        let Some(id) = &tls.client_cert_id else {
            return;
        };
        let message = match ssls.get(id) {
            Some(SslType::Client) => return,
            Some(SslType::Server) => {
                format!("the ssl with the id {id} is not of the type \"client\"")
            }
            None => format!("there is no ssl with the id {id}"),
        };
        self.report_at(by, tls_path.clone().key("client_cert_id"), message);
    }

    fn report(&mut self, by: (Kind, &Id), key: &str, message: String) {
        self.report_at(by, PropertyPath::root().key(key), message);
    }

    fn report_at(&mut self, (kind, id): (Kind, &Id), path: PropertyPath, message: String) {
        let id = id.clone();
        self.found.push(Invalid {
            at: Place { kind, id, path },
            message,
        });
    }
}

/// The property by which others name a resource of this kind.
fn reference_key(kind: Kind) -> &'static str {
    match kind {
        Kind::Route => "route_id",
        Kind::Service => "service_id",
        Kind::Upstream => "upstream_id",
        Kind::PluginConfig => "plugin_config_id",
        Kind::GlobalRule => "global_rule_id",
        Kind::Consumer => "username",
        Kind::Credential => "id",
        Kind::ConsumerGroup => "group_id",
        Kind::Ssl => "client_cert_id",
        Kind::PluginMetadata | Kind::Proto | Kind::Secret => "id",
    }
}
