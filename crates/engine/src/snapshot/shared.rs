//! What routes refer to: certificates, upstreams, services, plugin configs. And the global rules.

use std::sync::Arc;

use outrigger_model::{self as model, GlobalRule, Id, Invalid, Kind, PluginSet, Resources};

use super::Service;
use super::certificates::SslPart;
use super::compiler::{Compiler, owner};
use super::parts::{Change, Changed, Part, Parts, Update};
use crate::certificates::Certificates;
use crate::chain::{Built, Chain};
use crate::upstream::Upstream;

/// What routes refer to, compiled.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    pub(super) ssls: Parts<SslPart>,
    /// Those of them that clients are shown.
    pub(super) certificates: Arc<Certificates>,
    pub(super) upstreams: Parts<UpstreamPart>,
    pub(super) services: Parts<Arc<Service>>,
    pub(super) plugin_configs: Parts<Arc<Plugins>>,
}

impl Shared {
    /// The upstreams, and those that stand in services.
    pub(super) fn own_upstreams(&self) -> impl Iterator<Item = ((Kind, &Id), &Arc<Upstream>)> {
        let named = self.upstreams.iter().filter_map(|part| {
            let id = part.resource.id.as_ref()?;
            Some(((Kind::Upstream, id), &part.upstream))
        });
        let of_services = self.services.iter().filter_map(|service| {
            let resource = &service.resource;
            let is_own = resource.upstream_id.is_none() && resource.upstream.is_some();
            let upstream = service.upstream.as_ref().filter(|_| is_own)?;
            Some(((Kind::Service, &service.id), upstream))
        });
        named.chain(of_services)
    }
}

#[derive(Debug, Clone)]
pub(super) struct UpstreamPart {
    resource: Arc<model::Upstream>,
    pub(super) upstream: Arc<Upstream>,
}

/// A plugin config or a consumer group.
#[derive(Debug)]
pub(super) struct Plugins {
    resource: Arc<PluginSet>,
    pub(super) built: Vec<Built>,
}

#[derive(Debug, Clone)]
pub(super) struct RulePart {
    resource: Arc<GlobalRule>,
    built: Arc<[Built]>,
    pub(super) chain: Arc<Chain>,
}

impl Part for UpstreamPart {
    type Resource = model::Upstream;

    fn resource(&self) -> &Arc<model::Upstream> {
        &self.resource
    }
}

impl Part for Arc<Service> {
    type Resource = model::Service;

    fn resource(&self) -> &Arc<model::Service> {
        &self.resource
    }
}

impl Part for Arc<Plugins> {
    type Resource = PluginSet;

    fn resource(&self) -> &Arc<PluginSet> {
        &self.resource
    }
}

impl Part for RulePart {
    type Resource = GlobalRule;

    fn resource(&self) -> &Arc<GlobalRule> {
        &self.resource
    }
}

/// Which of them are others than before.
pub(super) struct SharedChanges {
    ssls: Changed,
    upstreams: Changed,
    services: Changed,
    plugin_configs: Changed,
}

impl SharedChanges {
    pub(super) fn is_empty(&self) -> bool {
        let SharedChanges {
            ssls,
            upstreams,
            services,
            plugin_configs,
        } = self;
        [ssls, upstreams, services, plugin_configs]
            .iter()
            .all(|changed| changed.is_empty())
    }

    /// Whether a route refers to any of them.
    pub(super) fn touch(&self, route: &model::Route) -> bool {
        names_any(&self.ssls, route.upstream.as_deref())
            || self.upstreams.has(route.upstream_id.as_ref())
            || self.services.has(route.service_id.as_ref())
            || self.plugin_configs.has(route.plugin_config_id.as_ref())
    }
}

impl Compiler<'_> {
    pub(super) fn shared(
        &self,
        resources: &mut Resources,
        before: &Shared,
        invalid: &mut Vec<Invalid>,
    ) -> (Shared, SharedChanges) {
        let (ssls, changes) = self.ssls(resources, &before.ssls, invalid);
        let changed_ssls = Changed::of(&changes);
        let certificates = match changed_ssls.is_empty() {
            true => Arc::clone(&before.certificates),
            false => Arc::new(Certificates::new(ssls.iter().map(|part| &part.ssl))),
        };
        let list = std::mem::take(&mut resources.upstreams);
        let before_upstreams = &before.upstreams;
        let (upstreams, changes) =
            self.upstreams(list, before_upstreams, (&ssls, &changed_ssls), invalid);
        let changed_upstreams = Changed::of(&changes);
        let names_changed = |service: &model::Service| {
            self.is_other_registry
                || changed_upstreams.has(service.upstream_id.as_ref())
                || names_any(&changed_ssls, service.upstream.as_deref())
        };
        let nothing_else = changed_ssls.is_empty() && changed_upstreams.is_empty();
        let may_be_touched = self.is_other_registry || !nothing_else;
        let services = Update {
            kind: Kind::Service,
            before: &before.services,
            resources: std::mem::take(&mut resources.services),
            touched: may_be_touched.then_some(&names_changed),
        };
        let (services, changes) = services.carry_out(invalid, |service, before, invalid| {
            let named = (&ssls, &upstreams);
            Some(Arc::new(self.service(service, before, named, invalid)))
        });
        let changed_services = Changed::of(&changes);
        let (plugin_configs, changes) = self.plugin_sets(
            Kind::PluginConfig,
            std::mem::take(&mut resources.plugin_configs),
            &before.plugin_configs,
            invalid,
        );
        let changed = SharedChanges {
            ssls: changed_ssls,
            upstreams: changed_upstreams,
            services: changed_services,
            plugin_configs: Changed::of(&changes),
        };
        let shared = Shared {
            ssls,
            certificates,
            upstreams,
            services,
            plugin_configs,
        };
        (shared, changed)
    }

    fn upstreams(
        &self,
        resources: Vec<Arc<model::Upstream>>,
        before: &Parts<UpstreamPart>,
        (ssls, changed_ssls): (&Parts<SslPart>, &Changed),
        invalid: &mut Vec<Invalid>,
    ) -> (Parts<UpstreamPart>, Vec<Change<UpstreamPart>>) {
        let is_touched = |upstream: &model::Upstream| names_any(changed_ssls, Some(upstream));
        let update = Update {
            kind: Kind::Upstream,
            before,
            resources,
            touched: (!changed_ssls.is_empty()).then_some(&is_touched),
        };
        update.carry_out(invalid, |resource, before, invalid| {
            let owner = owner(Kind::Upstream, resource.id.as_ref()?);
            let before = before.map(|part| (&*part.resource, &part.upstream));
            Some(UpstreamPart {
                resource: Arc::clone(resource),
                upstream: self.upstream(&owner, resource, before, ssls, invalid),
            })
        })
    }

    fn service(
        &self,
        resource: &Arc<model::Service>,
        before: Option<&Arc<Service>>,
        (ssls, upstreams): (&Parts<SslPart>, &Parts<UpstreamPart>),
        invalid: &mut Vec<Invalid>,
    ) -> Service {
        let owner = owner(Kind::Service, &resource.id);
        // What is named goes before what is its own.
        let upstream = match (&resource.upstream_id, &resource.upstream) {
            (Some(id), _) => named(upstreams, id),
            (None, Some(own)) => {
                let before = before.and_then(|it| {
                    let own = it.resource.upstream.as_deref();
                    let own = own.filter(|_| it.resource.upstream_id.is_none())?;
                    Some((own, it.upstream.as_ref()?))
                });
                Some(self.upstream(&owner, own, before, ssls, invalid))
            }
            (None, None) => None,
        };
        let before = before.map(|it| (&it.resource.plugins, &*it.built));
        Service {
            id: resource.id.clone(),
            name: resource.name.clone(),
            built: self.plugins(&owner, &resource.plugins, before, invalid),
            upstream,
            resource: Arc::clone(resource),
        }
    }

    /// Plugin configs, or consumer groups.
    pub(super) fn plugin_sets(
        &self,
        kind: Kind,
        resources: Vec<Arc<PluginSet>>,
        before: &Parts<Arc<Plugins>>,
        invalid: &mut Vec<Invalid>,
    ) -> (Parts<Arc<Plugins>>, Vec<Change<Arc<Plugins>>>) {
        let update = Update {
            kind,
            before,
            resources,
            touched: self.all(),
        };
        update.carry_out(invalid, |resource, before, invalid| {
            let owner = owner(kind, &resource.id);
            let before = before.map(|it| (&it.resource.plugins, &*it.built));
            Some(Arc::new(Plugins {
                resource: Arc::clone(resource),
                built: self.plugins(&owner, &resource.plugins, before, invalid),
            }))
        })
    }

    pub(super) fn global_rules(
        &self,
        resources: &mut Resources,
        before: &Parts<RulePart>,
        invalid: &mut Vec<Invalid>,
    ) -> Parts<RulePart> {
        let update = Update {
            kind: Kind::GlobalRule,
            before,
            resources: std::mem::take(&mut resources.global_rules),
            touched: self.all(),
        };
        let (rules, _) = update.carry_out(invalid, |resource, before, invalid| {
            let owner = owner(Kind::GlobalRule, &resource.id);
            let before = before.map(|it| (&it.resource.plugins, &*it.built));
            let built = self.plugins(&owner, &resource.plugins, before, invalid);
            Some(RulePart {
                resource: Arc::clone(resource),
                chain: Arc::new(Chain::new(built.clone())),
                built: built.into(),
            })
        });
        rules
    }

    /// What is touched by another registry: everything with plugins.
    pub(super) fn all<M>(&self) -> Option<&'static dyn Fn(&M) -> bool> {
        self.is_other_registry.then_some(&|_| true)
    }
}

/// Whether an upstream is shown one of these certificates.
fn names_any(ssls: &Changed, upstream: Option<&model::Upstream>) -> bool {
    ssls.has(upstream.and_then(|upstream| upstream.tls.client_cert_id.as_ref()))
}

pub(super) fn named(upstreams: &Parts<UpstreamPart>, id: &Id) -> Option<Arc<Upstream>> {
    upstreams.get(id).map(|part| Arc::clone(&part.upstream))
}
