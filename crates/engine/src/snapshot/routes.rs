//! Routes: those that serve, and how requests find them.

use std::sync::Arc;

use outrigger_model::{self as model, HostPattern, Id, Invalid, Kind, UriPattern};
use outrigger_telemetry::metrics::RequestLabels;

use super::Route;
use super::compiler::{Compiler, owner};
use super::parts::{Change, Part, Parts, Update, common};
use super::shared::{Shared, SharedChanges, named};
use crate::chain::{Chain, merged};
use crate::router::{Mode, RouteKey, Router};
use crate::slots::Slots;
use crate::upstream::Upstream;

/// All routes, compiled.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    pub(super) router: Router,
    /// Those that serve, by the numbers that the router knows them by.
    pub(super) serving: Slots<Arc<Route>>,
    all: Parts<RoutePart>,
    /// The numbers in the order of the resources; `OFF` for what does not serve.
    order: Vec<usize>,
}

/// The number of a route that is switched off.
const OFF: usize = usize::MAX;

#[derive(Debug, Clone)]
struct RoutePart {
    route: Arc<Route>,
    /// [`OFF`] until it serves.
    number: usize,
}

impl Part for RoutePart {
    type Resource = model::Route;

    fn resource(&self) -> &Arc<model::Route> {
        &self.route.resource
    }
}

impl Routes {
    pub(super) fn empty(mode: Mode) -> Self {
        Routes {
            router: Router::new(mode),
            serving: Slots::default(),
            all: Parts::default(),
            order: Vec::new(),
        }
    }
}

impl Routes {
    /// The upstreams that stand in routes that serve.
    pub(super) fn own_upstreams(&self) -> impl Iterator<Item = ((Kind, &Id), &Arc<Upstream>)> {
        let serving = self.all.iter().filter(|part| part.number != OFF);
        serving.filter_map(|RoutePart { route, .. }| {
            let resource = &route.resource;
            let is_own = resource.upstream_id.is_none() && resource.upstream.is_some();
            let upstream = route.upstream.as_ref().filter(|_| is_own)?;
            Some(((Kind::Route, &route.id), upstream))
        })
    }
}

/// What has become of the routes, before requests can find them.
pub(super) struct RoutesUpdate {
    all: Parts<RoutePart>,
    changes: Vec<Change<RoutePart>>,
}

impl Compiler<'_> {
    pub(super) fn routes(
        &self,
        resources: Vec<Arc<model::Route>>,
        before: &Routes,
        (shared, changed): (&Shared, &SharedChanges),
        invalid: &mut Vec<Invalid>,
    ) -> RoutesUpdate {
        let is_touched = |route: &model::Route| self.is_other_registry || changed.touch(route);
        let may_be_touched = self.is_other_registry || !changed.is_empty();
        let update = Update {
            kind: Kind::Route,
            before: &before.all,
            resources,
            touched: may_be_touched.then_some(&is_touched),
        };
        let (all, changes) = update.carry_out(invalid, |resource, before, invalid| {
            let before = before.map(|part| &*part.route);
            let route = self.route(resource, before, shared, invalid);
            Some(RoutePart {
                route: Arc::new(route),
                number: OFF,
            })
        });
        RoutesUpdate { all, changes }
    }

    fn route(
        &self,
        resource: &Arc<model::Route>,
        before: Option<&Route>,
        shared: &Shared,
        invalid: &mut Vec<Invalid>,
    ) -> Route {
        let owner = owner(Kind::Route, &resource.id);
        let service = resource.service_id.as_ref();
        let service = service.and_then(|id| shared.services.get(id));
        let config = resource.plugin_config_id.as_ref();
        let config = config.and_then(|id| shared.plugin_configs.get(id));
        let upstream = match (&resource.upstream_id, &resource.upstream) {
            (Some(id), _) => named(&shared.upstreams, id),
            (None, Some(own)) => {
                let before = before.and_then(|it| {
                    let own = it.resource.upstream.as_deref();
                    let own = own.filter(|_| it.resource.upstream_id.is_none())?;
                    Some((own, it.upstream.as_ref()?))
                });
                Some(self.upstream(&owner, own, before, &shared.ssls, invalid))
            }
            (None, None) => service.and_then(|service| service.upstream.clone()),
        };
        let before = before.map(|it| (&it.resource.plugins, &*it.built));
        let built = self.plugins(&owner, &resource.plugins, before, invalid);
        let of_config = config.map_or(&[][..], |config| &config.built);
        let of_service = service.map_or(&[][..], |service| &service.built);
        let plugins = merged(merged(built.clone(), of_config), of_service);
        let timeout = resource
            .timeout
            .or_else(|| upstream.as_ref().map(|upstream| upstream.timeout))
            .unwrap_or_default();
        let of_service = service.is_some_and(|service| service.resource.websocket);
        let websocket = resource.websocket.unwrap_or(of_service);
        let uris: Vec<String> = resource.uris.iter().map(UriPattern::to_string).collect();
        let requests = self.registry.metrics().requests(RequestLabels {
            route: resource.id.as_str(),
            route_name: resource.name.as_deref(),
            service: service.map_or("", |service| service.id.as_str()),
            service_name: service.and_then(|service| service.name.as_deref()),
            uris: &uris,
        });
        Route {
            id: resource.id.clone(),
            name: resource.name.clone(),
            service: service.cloned(),
            uris,
            chain: Chain::new(plugins),
            upstream,
            timeout,
            websocket,
            requests,
            built,
            resource: Arc::clone(resource),
        }
    }
}

impl RoutesUpdate {
    /// Has requests find the routes as they are now. A route keeps its number as long
    /// as it serves.
    pub(super) fn put_into(mut self, before: &Routes, mode: Mode) -> Routes {
        let mut serving = before.serving.clone();
        let mut router = before.router.clone();
        let mut to_add = Vec::new();
        for change in self.changes {
            let old = change.before.filter(|part| part.number != OFF);
            if let Some(part) = &old {
                router.remove(part.number, &part.route.key());
            }
            let new = change.after.filter(|part| part.route.resource.enabled);
            let number = match (old, &new) {
                (Some(old), Some(part)) => {
                    serving.replace(old.number, Arc::clone(&part.route));
                    old.number
                }
                (Some(old), None) => {
                    serving.remove(old.number);
                    continue;
                }
                (None, Some(part)) => serving.add(Arc::clone(&part.route)),
                (None, None) => continue,
            };
            to_add.extend(new.map(|part| RoutePart { number, ..part }));
        }
        for part in &to_add {
            self.all.put(part.clone());
        }
        if before.router.mode() != mode || self.all.is_reordered_since(&before.all) {
            router = Router::new(mode);
            to_add = self
                .all
                .iter()
                .filter(|it| it.number != OFF)
                .cloned()
                .collect();
        }
        let order = order(&self.all, before);
        let places = places(&order);
        for part in to_add {
            router.add(part.number, &part.route.key(), &|number| places[number]);
        }
        Routes {
            router,
            serving,
            all: self.all,
            order,
        }
    }
}

/// The numbers of all routes, in the order of their resources.
fn order(all: &Parts<RoutePart>, before: &Routes) -> Vec<usize> {
    let (old, new) = (before.all.resources(), all.resources());
    let (first, last) = common(old, new);
    let middle = new[first..new.len() - last].iter();
    let middle = middle.map(|it| all.get(&it.id).map_or(OFF, |part| part.number));
    let mut order = before.order[..first].to_vec();
    order.extend(middle);
    order.extend(&before.order[old.len() - last..]);
    order
}

/// The places in the order, by numbers.
fn places(order: &[usize]) -> Vec<usize> {
    let serving = || {
        order
            .iter()
            .enumerate()
            .filter(|(_, number)| **number != OFF)
    };
    let highest = serving().map(|(_, number)| *number).max();
    let mut places = vec![0; highest.map_or(0, |number| number + 1)];
    for (place, number) in serving() {
        places[*number] = place;
    }
    places
}

impl Route {
    /// The hosts that it serves: its own, or its service's.
    fn hosts(&self) -> &[HostPattern] {
        match &self.service {
            Some(service) if self.resource.hosts.is_empty() => &service.resource.hosts,
            _ => &self.resource.hosts,
        }
    }

    fn key(&self) -> RouteKey<'_> {
        RouteKey {
            uris: &self.resource.uris,
            hosts: self.hosts(),
            methods: self.resource.methods,
            remote_addrs: &self.resource.remote_addrs,
            vars: self.resource.vars.as_ref(),
            priority: self.resource.priority,
        }
    }
}
