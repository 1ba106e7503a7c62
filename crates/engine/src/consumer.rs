//! Consumers: who requests are made for, and how authentication plugins find
//! them.
//!
//! What such a plugin knows a consumer by (a key, a user name) is a
//! [`Credential`], read from the consumer's `plugins`; what is secret of it is
//! known to that plugin alone. The other plugins of a consumer run for its
//! requests, before those of the route that have the same names.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::chain::Built;

/// Who a request is made for.
#[derive(Debug)]
pub struct Consumer {
    /// The name.
    pub name: String,
    /// The group.
    pub group_id: Option<String>,
    /// The label `custom_id`, which upstreams are told.
    pub custom_id: Option<HeaderValue>,
    /// With those of the group.
    pub(crate) plugins: Vec<Built>,
}

/// What one authentication plugin knows a consumer by.
pub struct Credential {
    /// What a request names: unique among the credentials of one plugin.
    pub key: Vec<u8>,
    /// What the plugin compares the request with.
    pub secret: Secret,
}

/// The plugin's own type, which it gets back by `downcast_ref`.
pub type Secret = Arc<dyn Any + Send + Sync>;

/// Never shows the secret or the key, which may be one.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").finish_non_exhaustive()
    }
}

/// A consumer that was found by a credential.
#[derive(Clone)]
pub struct Identity {
    /// Who it is.
    pub consumer: Arc<Consumer>,
    /// The id of the credential, where it is a resource of its own.
    pub credential_id: Option<HeaderValue>,
    /// What the plugin compares the request with.
    pub secret: Secret,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity of {}", self.consumer.name)
    }
}

/// All consumers of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    by_name: HashMap<String, Arc<Consumer>>,
    by_plugin: HashMap<Box<str>, HashMap<Vec<u8>, Identity>>,
}

impl Consumers {
    pub(crate) fn know(&mut self, consumer: &Arc<Consumer>) {
        let name = consumer.name.clone();
        self.by_name.insert(name, Arc::clone(consumer));
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Consumer>> {
        self.by_name.get(name)
    }

    /// Adds a credential of `plugin`; gives back the name of the other consumer
    /// who has the same.
    pub(crate) fn add(&mut self, plugin: &str, key: Vec<u8>, identity: Identity) -> Option<String> {
        let known = self.by_plugin.entry(plugin.into()).or_default();
        let other = known.insert(key, identity)?;
        Some(other.consumer.name.clone())
    }

    pub(crate) fn find(&self, plugin: &str, key: &[u8]) -> Option<&Identity> {
        self.by_plugin.get(plugin)?.get(key)
    }
}
