//! The configuration that requests run on: immutable, compiled, shared.
//!
//! A request takes the worker's current snapshot when it begins and keeps it
//! to its end. What did not change between two snapshots is the same object in
//! both, so conf tokens, counters and turns survive a change elsewhere.

mod certificates;
mod compiler;

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use outrigger_model::{Id, Invalid, Resources, Timeout};
use outrigger_telemetry::metrics::{Metrics, RequestLabels, Requests};

use crate::chain::Chain;
use crate::consumer::Consumers;
use crate::exchange::Exchange;
use crate::plugin::Registry;
use crate::router::{Captured, Mode, RouteKey, Router, Wanted};
use crate::upstream::Upstream;
use crate::vars;
use compiler::{Compiler, Kept};

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
    /// Its plugins, with those of its plugin config and its service.
    pub chain: Chain,
    /// Where requests go; none where neither route nor service says.
    pub upstream: Option<Arc<Upstream>>,
    /// How long the upstream may take.
    pub timeout: Timeout,
    /// Where its requests are counted, if a plugin does.
    pub requests: Requests,
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
    global_rules: Vec<Chain>,
    consumers: Consumers,
    /// Where requests without a route are counted, if a plugin does.
    unrouted: Requests,
    kept: Kept,
}

impl Snapshot {
    /// A configuration without routes.
    #[must_use]
    pub fn empty() -> Self {
        Snapshot {
            router: Router::new(Mode::default(), []),
            routes: Vec::new(),
            global_rules: Vec::new(),
            consumers: Consumers::default(),
            unrouted: Metrics::default().requests(RequestLabels::default()),
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
        let mut compiler = Compiler::new(registry, &previous.kept);
        let shared = compiler.shared(resources);
        let enabled = || resources.routes.iter().filter(|route| route.enabled);
        let routes: Vec<Route> = enabled()
            .map(|route| compiler.route(route, &shared))
            .collect();
        // What is switched off, or nobody uses, is checked all the same.
        for route in resources.routes.iter().filter(|route| !route.enabled) {
            compiler.route(route, &shared);
        }
        let global_rules = compiler.global_rules(resources);
        let consumers = compiler.consumers(resources);
        compiler.metadata(resources);
        let kept = compiler.finish()?;
        let keys = enabled().map(|route| RouteKey {
            uris: &route.uris,
            hosts: shared.hosts_of(route),
            methods: route.methods,
            remote_addrs: &route.remote_addrs,
            vars: route.vars.as_ref(),
            priority: route.priority,
        });
        Ok(Snapshot {
            router: Router::new(mode, keys),
            routes,
            global_rules,
            consumers,
            unrouted: registry.metrics().requests(RequestLabels::default()),
            kept,
        })
    }

    /// The plugins of the global rules, rule by rule: they run for every
    /// request, before those of its route.
    #[must_use]
    pub fn global_rules(&self) -> &[Chain] {
        &self.global_rules
    }

    pub(crate) fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    /// Where requests without a route are counted.
    #[must_use]
    pub fn unrouted(&self) -> &Requests {
        &self.unrouted
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
            remote: exchange.remote_ip(),
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

    /// Which of the route's patterns the path matched.
    #[must_use]
    pub fn uri_index(&self) -> usize {
        self.uri
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

#[cfg(test)]
mod tests;
