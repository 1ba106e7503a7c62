//! What compiling resources of every kind has in common: plugins, upstreams, faults.

use std::sync::Arc;

use outrigger_model::{self as model, Fault, Id, Invalid, Kind, Place, PluginConfs, PropertyPath};
use serde_json::Value;

use super::certificates::{SslPart, tls_of, with_identity};
use super::parts::Parts;
use crate::chain::Built;
use crate::meta::Meta;
use crate::plugin::{Mark, Owner, Registry};
use crate::upstream::Upstream;

/// Compiles resources, and gathers what does not hold.
pub(super) struct Compiler<'a> {
    pub(super) registry: &'a Registry,
    /// Whether what is there was made by the plugins of another registry, and has to
    /// be looked at anew.
    pub(super) is_other_registry: bool,
}

/// A resource's plugins as they were before: their configurations and what was made of them.
pub(super) type Before<'a> = Option<(&'a PluginConfs, &'a [Built])>;

impl<'a> Compiler<'a> {
    /// `mark` is that of the registry whose plugins are there.
    pub(super) fn new(registry: &'a Registry, mark: &Mark) -> Self {
        Compiler {
            registry,
            is_other_registry: !mark.is_of(registry),
        }
    }

    /// The plugins of one resource.
    pub(super) fn plugins(
        &self,
        owner: &Owner,
        confs: &PluginConfs,
        before: Before<'_>,
        invalid: &mut Vec<Invalid>,
    ) -> Vec<Built> {
        let built = confs.iter().filter_map(|(name, conf)| {
            let before = before.and_then(|(confs, built)| {
                let built = built.iter().find(|built| built.name == name)?;
                Some((confs.get(name)?, built))
            });
            self.plugin(owner, name, &conf, before)
                .map_err(|fault| invalid.push(of_plugin(owner, name, fault)))
                .ok()
        });
        built.collect()
    }

    fn plugin(
        &self,
        owner: &Owner,
        name: &str,
        conf: &Value,
        before: Option<(Value, &Built)>,
    ) -> Result<Built, Fault> {
        let factory = self.registry.get(name)?;
        let (meta, conf) = Meta::take(conf)?;
        let same = before.filter(|(before, _)| {
            let before = Meta::take(before);
            before.is_ok_and(|(_, before)| before == conf)
        });
        let plain = match same {
            Some((_, built)) => {
                if self.is_other_registry {
                    factory.check(&conf)?;
                }
                Arc::clone(&built.plain)
            }
            None => factory.build(&conf, owner)?,
        };
        Ok(Built {
            name: factory.name(),
            priority: meta.priority.unwrap_or(factory.priority()),
            plugin: (!meta.disabled).then(|| meta.apply(Arc::clone(&plain))),
            plain,
        })
    }

    /// An upstream: the one that is there, where nothing was said anew of it.
    pub(super) fn upstream(
        &self,
        owner: &Owner,
        upstream: &model::Upstream,
        before: Option<(&model::Upstream, &Arc<Upstream>)>,
        ssls: &Parts<SslPart>,
        invalid: &mut Vec<Invalid>,
    ) -> Arc<Upstream> {
        let with_identity = with_identity(ssls, owner, upstream, invalid);
        let identity = &with_identity.tls.identity;
        let same = before.filter(|(before, compiled)| {
            let tls = compiled.tls.as_ref();
            *before == upstream && tls.is_none_or(|tls| tls.identity == *identity)
        });
        if let Some((_, compiled)) = same {
            return Arc::clone(compiled);
        }
        invalid.extend(self.check_tls(owner, &with_identity));
        Arc::new(match before {
            Some((_, before)) => Upstream::following(&with_identity, before),
            None => Upstream::new(&with_identity),
        })
    }

    fn check_tls(&self, owner: &Owner, upstream: &model::Upstream) -> Option<Invalid> {
        let identity = upstream.tls.identity.as_ref()?;
        let message = self.registry.check_identity(identity).err()?;
        Some(Invalid {
            at: Place {
                kind: owner.kind,
                id: owner.id.clone(),
                path: tls_of(owner).key("client_key"),
            },
            message: message.to_owned(),
        })
    }
}

pub(super) fn owner(kind: Kind, id: &Id) -> Owner {
    Owner {
        kind,
        id: id.clone(),
    }
}

/// A plugin's configuration does not hold.
pub(super) fn of_plugin(owner: &Owner, plugin: &str, fault: Fault) -> Invalid {
    let path = PropertyPath::root().key("plugins").key(plugin);
    Invalid {
        at: Place {
            kind: owner.kind,
            id: owner.id.clone(),
            path: path.join(&fault.path),
        },
        message: fault.message,
    }
}
