//! The configuration that requests run on: immutable, compiled, shared.
//!
//! A request takes the worker's current snapshot when it begins and keeps it
//! to its end. What did not change between two snapshots is the same object in
//! both, so conf tokens, counters and turns survive a change elsewhere.

use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use outrigger_model::{
    Fault, Id, Invalid, Kind, Place, PluginConfs, PropertyPath, Resources, Timeout, UriPattern,
};

use crate::exchange::Exchange;
use crate::plugin::{Chain, Owner, Plugin, Registry};
use crate::router::{Captured, Mode, RouteKey, Router, Wanted};
use crate::upstream::Upstream;
use crate::vars;

/// A route, compiled.
#[derive(Debug)]
pub struct Route {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Option<String>,
    /// The service it belongs to.
    pub service: Option<Arc<Service>>,
    /// Its patterns as they were written.
    pub uris: Vec<String>,
    /// Its plugins, with those of its service.
    pub chain: Chain,
    /// Where requests go; none where neither route nor service says.
    pub upstream: Option<Arc<Upstream>>,
    /// How long the upstream may take.
    pub timeout: Timeout,
}

/// What a request needs to know of its route's service.
#[derive(Debug)]
pub struct Service {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Option<String>,
}

/// A whole configuration, compiled.
#[derive(Debug)]
pub struct Snapshot {
    router: Router,
    routes: Vec<Route>,
    kept: Kept,
}

/// Compiled parts by what they were compiled from.
#[derive(Debug, Default)]
struct Kept {
    plugins: HashMap<(Owner, String), (serde_json::Value, Arc<dyn Plugin>)>,
    upstreams: HashMap<Owner, (outrigger_model::Upstream, Arc<Upstream>)>,
}

impl Snapshot {
    /// A configuration without routes.
    #[must_use]
    pub fn empty() -> Self {
        Snapshot {
            router: Router::new(Mode::default(), []),
            routes: Vec::new(),
            kept: Kept::default(),
        }
    }

    /// Compiles `resources`, taking over from `previous` what did not change.
    ///
    /// # Errors
    /// Everything that does not hold: unknown plugins, plugin configurations
    /// that their plugin refuses. Nothing of `previous` is changed.
    pub fn compile(
        resources: &Resources,
        registry: &Registry,
        mode: Mode,
        previous: &Snapshot,
    ) -> Result<Self, Vec<Invalid>> {
        let mut compiler = Compiler {
            registry,
            previous: &previous.kept,
            kept: Kept::default(),
            invalid: Vec::new(),
        };
        let upstreams: HashMap<&Id, Arc<Upstream>> = resources
            .upstreams
            .iter()
            .filter_map(|upstream| {
                let id = upstream.id.as_ref()?;
                Some((id, compiler.upstream(Kind::Upstream, id, upstream)))
            })
            .collect();
        let services: HashMap<&Id, CompiledService<'_>> = resources
            .services
            .iter()
            .map(|service| (&service.id, compiler.service(service, &upstreams)))
            .collect();
        let enabled = || resources.routes.iter().filter(|route| route.enabled);
        let routes: Vec<Route> = enabled()
            .map(|route| compiler.route(route, &services, &upstreams))
            .collect();
        // What is switched off is checked all the same.
        for route in resources.routes.iter().filter(|route| !route.enabled) {
            compiler.route(route, &services, &upstreams);
        }
        if !compiler.invalid.is_empty() {
            return Err(compiler.invalid);
        }
        let keys = enabled().map(|route| RouteKey {
            uris: &route.uris,
            hosts: match &route.service_id {
                Some(id) if route.hosts.is_empty() => services.get(id).map_or(&[][..], |s| s.hosts),
                _ => &route.hosts,
            },
            methods: route.methods,
            remote_addrs: &route.remote_addrs,
            vars: route.vars.as_ref(),
            priority: route.priority,
        });
        Ok(Snapshot {
            router: Router::new(mode, keys),
            routes,
            kept: compiler.kept,
        })
    }

    /// How many routes serve.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.routes.len()
    }
}

/// A snapshot as a worker holds it: counted without atomics, so that workers
/// do not contend for one counter.
pub type LocalSnapshot = Rc<Arc<Snapshot>>;

/// The route that a request runs on, and the snapshot that it is part of.
#[derive(Debug, Clone)]
pub struct MatchedRoute {
    snapshot: LocalSnapshot,
    route: usize,
    uri: usize,
    /// Empty patterns have none, and cost nothing.
    parameters: Option<Rc<Captured>>,
}

impl MatchedRoute {
    /// Finds the route of a request.
    #[must_use]
    pub fn find(snapshot: &LocalSnapshot, exchange: &Exchange) -> Option<Self> {
        let found = snapshot.router.find(&Wanted {
            host: exchange.host.as_str(),
            path: exchange.target.path(),
            method: &exchange.method,
            remote: exchange.client.peer.ip(),
            vars: &|name| vars::lookup(exchange, name),
        })?;
        Some(MatchedRoute {
            snapshot: Rc::clone(snapshot),
            route: found.route,
            uri: found.uri,
            parameters: (!found.captured.is_empty()).then(|| found.captured.into()),
        })
    }

    /// What the parameter `name` of the matched pattern stands for.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        let mut parameters = self.parameters.as_ref()?.iter();
        let (_, value) = parameters.find(|(its, _)| **its == *name)?;
        Some(value)
    }

    /// The pattern that the path matched, as it was written.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uris[self.uri]
    }
}

impl Deref for MatchedRoute {
    type Target = Route;

    fn deref(&self) -> &Route {
        &self.snapshot.routes[self.route]
    }
}

struct CompiledService<'a> {
    service: Arc<Service>,
    hosts: &'a [outrigger_model::HostPattern],
    plugins: Vec<(String, i32, Arc<dyn Plugin>)>,
    upstream: Option<Arc<Upstream>>,
}

struct Compiler<'a> {
    registry: &'a Registry,
    previous: &'a Kept,
    kept: Kept,
    invalid: Vec<Invalid>,
}

impl Compiler<'_> {
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

    fn route(
        &mut self,
        route: &outrigger_model::Route,
        services: &HashMap<&Id, CompiledService<'_>>,
        upstreams: &HashMap<&Id, Arc<Upstream>>,
    ) -> Route {
        let service = route.service_id.as_ref().and_then(|id| services.get(id));
        let upstream = match (&route.upstream, &route.upstream_id) {
            (Some(own), _) => Some(self.upstream(Kind::Route, &route.id, own)),
            (None, Some(id)) => upstreams.get(id).cloned(),
            (None, None) => service.and_then(|service| service.upstream.clone()),
        };
        let mut plugins = self.plugins(Kind::Route, &route.id, &route.plugins);
        // A route's plugin goes before its service's, whole plugin by whole plugin.
        let of_service = service.into_iter().flat_map(|service| &service.plugins);
        let inherited: Vec<_> = of_service
            .filter(|(name, ..)| route.plugins.get(name).is_none())
            .cloned()
            .collect();
        plugins.extend(inherited);
        let timeout = route
            .timeout
            .or_else(|| upstream.as_ref().map(|upstream| upstream.timeout))
            .unwrap_or_default();
        Route {
            id: route.id.clone(),
            name: route.name.clone(),
            service: service.map(|service| Arc::clone(&service.service)),
            uris: route.uris.iter().map(UriPattern::to_string).collect(),
            chain: Chain::new(
                plugins
                    .into_iter()
                    .map(|(_, priority, plugin)| (priority, plugin))
                    .collect(),
            ),
            upstream,
            timeout,
        }
    }

    fn plugins(
        &mut self,
        kind: Kind,
        id: &Id,
        confs: &PluginConfs,
    ) -> Vec<(String, i32, Arc<dyn Plugin>)> {
        let mut built = Vec::with_capacity(confs.len());
        for (name, conf) in confs.iter() {
            let owner = Owner {
                kind,
                id: id.clone(),
            };
            match self.plugin(&owner, name, conf) {
                Ok((priority, plugin)) => built.push((name.to_owned(), priority, plugin)),
                Err(fault) => {
                    let path = PropertyPath::root()
                        .key("plugins")
                        .key(name)
                        .join(&fault.path);
                    self.invalid.push(Invalid {
                        at: Place {
                            kind,
                            id: id.clone(),
                            path,
                        },
                        message: fault.message,
                    });
                }
            }
        }
        built
    }

    fn plugin(
        &mut self,
        owner: &Owner,
        name: &str,
        conf: &serde_json::Value,
    ) -> Result<(i32, Arc<dyn Plugin>), Fault> {
        let Some(factory) = self.registry.get(name) else {
            let known: Vec<_> = self.registry.names().collect();
            let message = format!("unknown plugin [{name}]; known are {}", known.join(", "));
            return Err(Fault {
                path: PropertyPath::root(),
                message,
            });
        };
        let key = (owner.clone(), name.to_owned());
        let plugin = match self.previous.plugins.get(&key) {
            Some((same, plugin)) if same == conf => Arc::clone(plugin),
            _ => factory.build(conf, owner)?,
        };
        self.kept
            .plugins
            .insert(key, (conf.clone(), Arc::clone(&plugin)));
        Ok((factory.priority(), plugin))
    }
}

#[cfg(test)]
mod tests;
