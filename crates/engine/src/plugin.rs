//! What a built-in plugin is, and the order in which plugins run.
//!
//! A plugin object belongs to one configuration of one resource and is shared
//! by all workers; its futures are local to the worker that polls them, so
//! that per-worker state (see [`crate::worker::Worker`]) needs no lock.

use std::any::Any;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use outrigger_model::{CertificateDer, Fault, Identity, PropertyPath};
use outrigger_telemetry::metrics::Metrics;
use serde_json::Value;

use crate::consumer::Credential;
use crate::exchange::Exchange;
use crate::finished::Finished;
use crate::meta::Meta;
use crate::response::{Refusal, Response};
use crate::schemas::Schemas;

/// A plugin's future: local to its worker.
pub type PluginFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a plugin wants next.
#[derive(Debug)]
pub enum Flow {
    /// Go on with the next plugin, then the upstream.
    Continue,
    /// Answer the client with this; neither later plugins of the request
    /// phases nor the upstream see the request.
    Respond(Response),
}

/// The phases in which a plugin has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// [`Plugin::rewrite`].
    pub rewrite: bool,
    /// [`Plugin::access`].
    pub access: bool,
    /// [`Plugin::response`].
    pub response: bool,
    /// [`Plugin::log`].
    pub log: bool,
}

impl Phases {
    const NONE: Phases = Phases {
        rewrite: false,
        access: false,
        response: false,
        log: false,
    };
    /// Only the rewrite phase.
    pub const REWRITE: Phases = Phases {
        rewrite: true,
        ..Phases::NONE
    };
    /// Only the access phase.
    pub const ACCESS: Phases = Phases {
        access: true,
        ..Phases::NONE
    };
    /// Only the response phase.
    pub const RESPONSE: Phases = Phases {
        response: true,
        ..Phases::NONE
    };
    /// Only the log phase.
    pub const LOG: Phases = Phases {
        log: true,
        ..Phases::NONE
    };
}

/// A built-in plugin with its configuration.
///
/// All request-phase methods of all plugins run in this order: every
/// `rewrite`, then every `access`, each time by descending priority, as APISIX
/// orders them.
pub trait Plugin: Send + Sync + fmt::Debug {
    /// The phases in which this plugin is called.
    fn phases(&self) -> Phases;

    /// Before access decisions: may change the request or answer it.
    fn rewrite<'a>(&'a self, _: &'a mut Exchange) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(ready(Ok(Flow::Continue)))
    }

    /// After all rewriting: may change the request or answer it.
    fn access<'a>(&'a self, _: &'a mut Exchange) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(ready(Ok(Flow::Continue)))
    }

    /// When the upstream's response head is there and nothing of it has been
    /// sent: may change the response or replace it.
    fn response<'a>(
        &'a self,
        _: &'a mut Exchange,
        _: &'a mut Response,
    ) -> PluginFuture<'a, Result<(), Refusal>> {
        Box::pin(ready(Ok(())))
    }

    /// When the response has been sent in full or was broken off, whoever
    /// made it. Nobody waits for it and the next request of the connection may be under
    /// way: what takes time takes the request along, on a task of its own.
    fn log(&self, _: &Rc<Finished>) {}
}

/// Whose configuration a plugin runs with: the resource's kind and id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Kind of the resource.
    pub kind: outrigger_model::Kind,
    /// Its id.
    pub id: outrigger_model::Id,
}

/// Which properties of a plugin's configurations hold secrets: their paths, such as
/// `password` or `session.secret`. They are APISIX's `encrypt_fields`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Of what it is configured with for requests.
    pub requests: &'static [&'static str],
    /// Of what an authentication plugin knows consumers by.
    pub consumers: &'static [&'static str],
}

/// What a plugin made of its metadata; its own type.
pub type Told = Arc<dyn Any + Send + Sync>;

/// Makes plugins of one kind from their configurations.
pub trait Factory: Send + Sync {
    /// The plugin's name in a route's `plugins`.
    fn name(&self) -> &'static str;

    /// Where the plugin stands among others: higher runs earlier. The numbers
    /// are APISIX's.
    fn priority(&self) -> i32;

    /// The JSON schemas of its configurations. [`build`](Self::build) and
    /// [`credential`](Self::credential) go by them, and say what they do not tell.
    fn schemas(&self) -> &Schemas {
        Schemas::any()
    }

    /// Where secrets stand in its configurations. They are sealed wherever a
    /// configuration is kept or shown.
    fn secrets(&self) -> Secrets {
        Secrets::default()
    }

    /// Parses the configuration.
    ///
    /// # Errors
    /// The [`Fault`] names the property, from the configuration down, that does not hold.
    fn build(&self, conf: &Value, owner: &Owner) -> Result<Arc<dyn Plugin>, Fault>;

    /// For an authentication plugin: parses what a consumer's or a credential's
    /// configuration says the plugin knows the consumer by. `None`: it is no
    /// authentication plugin, and runs for the consumer's requests.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    fn credential(&self, conf: &Value) -> Option<Result<Credential, Fault>> {
        let _ = conf;
        None
    }

    /// Reads what all of its configurations are told: the plugin's metadata. It finds that
    /// again in the snapshot of a request ([`Snapshot::told`](crate::snapshot::Snapshot::told)).
    ///
    /// # Errors
    /// The property that does not hold.
    fn metadata(&self, conf: &Value) -> Result<Told, Fault> {
        let schema = self.schemas().metadata.as_ref();
        schema.map_or(Ok(()), |schema| schema.check(conf))?;
        Ok(Arc::new(()))
    }

    /// Whether a plugin that another registry built from this configuration can
    /// go on: what it names besides is still there.
    ///
    /// # Errors
    /// As those of [`build`](Self::build).
    fn check(&self, _conf: &Value) -> Result<(), Fault> {
        Ok(())
    }
}

/// All plugins that this gateway has, by name, and where requests are counted.
#[derive(Default)]
pub struct Registry {
    factories: IndexMap<&'static str, Box<dyn Factory>>,
    metrics: Metrics,
    check_identity: Option<CheckIdentity>,
    check_authorities: Option<CheckAuthorities>,
    /// Those that the gateway has and that may not be used.
    forbidden: Vec<&'static str>,
    mark: Mark,
}

/// Tells one registry from another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark(Arc<()>);

impl Mark {
    pub(crate) fn is_of(&self, registry: &Registry) -> bool {
        Arc::ptr_eq(&self.0, &registry.mark.0)
    }
}

/// Says whether a certificate and its key can be used, and if not, why.
pub type CheckIdentity = fn(&Identity) -> Result<(), &'static str>;

/// Says whether clients can be verified by these certificates, and if not, why.
pub type CheckAuthorities = fn(&[CertificateDer<'static>]) -> Result<(), &'static str>;

impl Registry {
    /// A registry of these plugins; of two with one name the later counts.
    #[must_use]
    pub fn new(factories: impl IntoIterator<Item = Box<dyn Factory>>) -> Self {
        let factories = factories
            .into_iter()
            .map(|factory| (factory.name(), factory));
        Registry {
            factories: factories.collect(),
            forbidden: Vec::new(),
            mark: Mark::default(),
            metrics: Metrics::default(),
            check_identity: None,
            check_authorities: None,
        }
    }

    /// Has certificates of upstreams checked by whoever can use them.
    #[must_use]
    pub fn checking_identities(self, check: CheckIdentity) -> Self {
        Registry {
            check_identity: Some(check),
            ..self
        }
    }

    /// Has certificates that clients are verified by checked by whoever can do that.
    #[must_use]
    pub fn checking_authorities(self, check: CheckAuthorities) -> Self {
        Registry {
            check_authorities: Some(check),
            ..self
        }
    }

    pub(crate) fn check_authorities(
        &self,
        authorities: &[CertificateDer<'static>],
    ) -> Result<(), &'static str> {
        self.check_authorities
            .map_or(Ok(()), |check| check(authorities))
    }

    pub(crate) fn check_identity(&self, identity: &Identity) -> Result<(), &'static str> {
        self.check_identity.map_or(Ok(()), |check| check(identity))
    }

    /// Has requests counted in `metrics`, as far as plugins count them.
    #[must_use]
    pub fn counting(self, metrics: &Metrics) -> Self {
        Registry {
            metrics: metrics.clone(),
            ..self
        }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The same with those of these names only. Names that nobody has are passed
    /// over.
    #[must_use]
    pub fn only<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        let forbidden = &mut self.forbidden;
        self.factories.retain(|name, _| {
            let allowed = names.iter().any(|allowed| allowed.as_ref() == *name);
            if !allowed {
                forbidden.push(name);
            }
            allowed
        });
        self
    }

    /// The plugin of this name.
    ///
    /// # Errors
    /// There is none, or it may not be used.
    pub fn get(&self, name: &str) -> Result<&dyn Factory, Fault> {
        if let Some(factory) = self.factories.get(name) {
            return Ok(&**factory);
        }
        let message = if self.forbidden.contains(&name) {
            format!(
                "the plugin [{name}] is switched off: it is not in the list `plugins` of config.yaml"
            )
        } else {
            let known: Vec<_> = self.names().collect();
            format!("unknown plugin [{name}]; known are {}", known.join(", "))
        };
        Err(Fault {
            path: PropertyPath::root(),
            message,
        })
    }

    /// Checks a configuration for requests of the plugin `name`, with its `_meta`.
    ///
    /// # Errors
    /// As those of [`get`](Self::get) and [`Factory::build`].
    pub fn check(&self, name: &str, conf: &Value, owner: &Owner) -> Result<(), Fault> {
        let factory = self.get(name)?;
        let (_, conf) = Meta::take(conf)?;
        factory.build(&conf, owner).map(drop)
    }

    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// The names of all plugins.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.factories.keys().copied()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}
