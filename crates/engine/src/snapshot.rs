//! The configuration that requests run on: immutable, compiled, shared.
//!
//! A request takes the worker's current snapshot when it begins and keeps it
//! to its end. What did not change between two snapshots is the same object in
//! both, so conf tokens, counters and turns survive a change elsewhere; and only what
//! did change is compiled.

mod certificates;
mod compiler;
mod consumers;
mod metadata;
mod parts;
mod routes;
mod shared;

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use outrigger_model::{self as model, Id, Invalid, Resources, Timeout};
use outrigger_telemetry::metrics::{Metrics, RequestLabels, Requests};

use crate::certificates::Certificates;
use crate::chain::{Built, Chain};
use crate::consumer::Consumers;
use crate::exchange::Exchange;
use crate::plugin::{Mark, Owner, Registry};
use crate::router::{Captured, Mode, Wanted};
use crate::upstream::Upstream;
use crate::vars;
use compiler::Compiler;
use consumers::AllConsumers;
use metadata::AllTold;
use parts::Parts;
use routes::Routes;
use shared::{RulePart, Shared};

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
    /// Whether a client may leave HTTP for a websocket.
    pub websocket: bool,
    /// Where its requests are counted, if a plugin does.
    pub requests: Requests,
    /// Its own plugins.
    built: Vec<Built>,
    /// What it was compiled from.
    resource: Arc<model::Route>,
}

/// A route's service, compiled.
#[derive(Debug)]
pub struct Service {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Option<String>,
    /// Its plugins.
    built: Vec<Built>,
    /// Where requests go, if its routes say nothing else.
    upstream: Option<Arc<Upstream>>,
    /// What it was compiled from.
    resource: Arc<model::Service>,
}

/// A whole configuration, compiled.
#[derive(Debug)]
pub struct Snapshot {
    routes: Routes,
    shared: Shared,
    rules: Parts<RulePart>,
    /// In their order.
    global_rules: Vec<Arc<Chain>>,
    consumers: AllConsumers,
    told: AllTold,
    /// Where requests without a route are counted, if a plugin does.
    unrouted: Requests,
    /// That of the registry that built the plugins, or found that they can go on.
    mark: Mark,
}

impl Snapshot {
    /// A configuration without routes.
    #[must_use]
    pub fn empty() -> Self {
        Snapshot {
            routes: Routes::empty(Mode::default()),
            shared: Shared::default(),
            rules: Parts::default(),
            global_rules: Vec::new(),
            consumers: AllConsumers::default(),
            told: AllTold::default(),
            unrouted: Metrics::default().requests(RequestLabels::default()),
            mark: Mark::default(),
        }
    }

    /// Compiles `resources`, taking over from `previous` what did not change: what comes
    /// from the same resources, as objects, and from plugins of the same registry.
    ///
    /// # Errors
    /// Everything that does not hold: unknown plugins, plugin configurations
    /// that their plugin refuses. Nothing of `previous` is changed.
    pub fn compile(
        mut resources: Resources,
        registry: &Registry,
        mode: Mode,
        previous: &Snapshot,
    ) -> Result<Self, Vec<Invalid>> {
        let compiler = Compiler::new(registry, &previous.mark);
        let mut invalid = Vec::new();
        let (shared, changed) = compiler.shared(&mut resources, &previous.shared, &mut invalid);
        // What is switched off, or nobody uses, is checked all the same.
        let routes = compiler.routes(
            std::mem::take(&mut resources.routes),
            &previous.routes,
            (&shared, &changed),
            &mut invalid,
        );
        let rules = compiler.global_rules(&mut resources, &previous.rules, &mut invalid);
        let consumers = compiler.consumers(&mut resources, &previous.consumers, &mut invalid);
        let told = compiler.metadata(&resources, &previous.told, &mut invalid);
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(Snapshot {
            routes: routes.put_into(&previous.routes, mode),
            shared,
            global_rules: rules.iter().map(|rule| Arc::clone(&rule.chain)).collect(),
            rules,
            consumers,
            told,
            unrouted: registry.metrics().requests(RequestLabels::default()),
            mark: registry.mark().clone(),
        })
    }

    /// The plugins of the global rules, rule by rule: they run for every
    /// request, before those of its route.
    #[must_use]
    pub fn global_rules(&self) -> &[Arc<Chain>] {
        &self.global_rules
    }

    /// What clients are shown.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.shared.certificates
    }

    pub(crate) fn consumers(&self) -> &Consumers {
        &self.consumers.found
    }

    /// What a plugin made of its metadata ([`Factory::metadata`](crate::plugin::Factory)),
    /// if it has any.
    #[must_use]
    pub fn told<T: 'static>(&self, plugin: &str) -> Option<&T> {
        self.told.get(plugin)
    }

    /// Where requests without a route are counted.
    #[must_use]
    pub fn unrouted(&self) -> &Requests {
        &self.unrouted
    }

    /// The upstreams whose nodes' health is looked after, with the resources that
    /// they are, or stand in: upstreams, services, then routes.
    #[must_use]
    pub fn checked_upstreams(&self) -> Vec<(Owner, Arc<Upstream>)> {
        let own = self
            .shared
            .own_upstreams()
            .chain(self.routes.own_upstreams());
        own.filter(|(_, upstream)| upstream.checks().is_some())
            .map(|((kind, id), upstream)| (compiler::owner(kind, id), Arc::clone(upstream)))
            .collect()
    }

    /// How many routes serve.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.routes.serving.len()
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
        let found = snapshot.routes.router.find(&Wanted {
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
        &self.snapshot.routes.serving[self.route]
    }
}

#[cfg(test)]
mod tests;
