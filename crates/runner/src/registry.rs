//! Plugins by name, and chains of them as routes configure them.
//!
//! This is where plugins of different types become one: below here nobody knows
//! a plugin's configuration type.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use outrigger_a6::Entries;
use outrigger_a6::error::Code;
use serde::Deserialize;

use crate::limits::MAX_CHAIN;
use crate::shown::{panic_text, shown};
use crate::{BuildError, Plugin, Request, Response, Result};

/// All plugins of a runner.
#[derive(Default)]
pub(crate) struct Registry {
    plugins: HashMap<String, Arc<dyn Configure>>,
}

/// A route's configuration as it came: plugins in order, each with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawConf(pub(crate) Vec<(Bytes, Option<Bytes>)>);

/// The plugins of a route, each with its parsed configuration, in order.
pub(crate) type Chain = Vec<Box<dyn Configured>>;

/// Why a configuration is refused, or not prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfError {
    #[error("there is no plugin {plugin}; this runner has: {known}")]
    UnknownPlugin { plugin: String, known: String },
    #[error("plugin {plugin}: property {property}: {reason}")]
    Invalid {
        plugin: String,
        property: String,
        reason: String,
    },
    #[error("more than {MAX_CHAIN} plugins in one configuration")]
    TooLong,
    #[error("plugin {plugin}: its configuration's type panicked while it was parsed: {panic}")]
    Panicked { plugin: String, panic: String },
}

impl RawConf {
    /// The entries of a message, without copying them: they borrow from `message`.
    /// Of a conf beyond the limit only so much that it shows.
    pub(crate) fn read(conf: Entries<'_>, message: &Bytes) -> Self {
        let text = |bytes: &[u8]| message.slice_ref(bytes);
        let entries = conf.iter().take(MAX_CHAIN + 1);
        Self(
            entries
                .map(|entry| (text(entry.name), entry.value.map(text)))
                .collect(),
        )
    }
}

impl ConfError {
    /// What the host is told.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::UnknownPlugin { .. } | Self::Invalid { .. } | Self::TooLong => Code::BadRequest,
            Self::Panicked { .. } => Code::ServiceUnavailable,
        }
    }
}

impl Registry {
    /// Makes plugins findable.
    ///
    /// # Errors
    /// [`BuildError`] for a name that is empty or taken.
    pub(crate) fn new(plugins: Vec<Registered>) -> Result<Self, BuildError> {
        let mut registry = Self::default();
        for Registered {
            name,
            type_name,
            plugin,
        } in plugins
        {
            if name.is_empty() {
                return Err(BuildError::UnnamedPlugin(type_name));
            }
            if registry.plugins.insert(name.clone(), plugin).is_some() {
                return Err(BuildError::DuplicatePlugin(name));
            }
        }
        Ok(registry)
    }

    /// The plugins' names in alphabetical order.
    pub(crate) fn names(&self) -> String {
        let mut names: Vec<&str> = self.plugins.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.join(", ")
    }

    /// Parses a configuration for the plugins that it names.
    ///
    /// # Errors
    /// [`ConfError`] for the first plugin where that fails; the others do not
    /// run without it.
    pub(crate) fn prepare(&self, conf: &RawConf) -> Result<Chain, ConfError> {
        if conf.0.len() > MAX_CHAIN {
            return Err(ConfError::TooLong);
        }
        conf.0
            .iter()
            .map(|(name, text)| self.configure(name, text.as_deref()))
            .collect()
    }

    fn configure(
        &self,
        name: &[u8],
        text: Option<&[u8]>,
    ) -> Result<Box<dyn Configured>, ConfError> {
        let plugin = std::str::from_utf8(name)
            .ok()
            .and_then(|name| self.plugins.get(name));
        let plugin = plugin.ok_or_else(|| ConfError::UnknownPlugin {
            plugin: shown(name),
            known: self.names(),
        })?;
        let text = match text.map(<[u8]>::trim_ascii) {
            None | Some(b"") => b"{}",
            Some(text) => text,
        };
        // A plugin's own types may do anything while they are parsed.
        let parse = AssertUnwindSafe(|| Arc::clone(plugin).configure(text));
        catch_unwind(parse)
            .map_err(|panic| ConfError::Panicked {
                plugin: shown(name),
                panic: panic_text(&*panic),
            })?
            .map_err(|error| ConfError::Invalid {
                plugin: shown(name),
                property: property(error.path()),
                reason: shown(error.inner().to_string()),
            })
    }
}

/// The path of a property; the configuration as a whole has none.
fn property(path: &serde_path_to_error::Path) -> String {
    let is_unknown = |segment| matches!(segment, &serde_path_to_error::Segment::Unknown);
    if path.iter().all(is_unknown) {
        "(the whole)".to_owned()
    } else {
        shown(path.to_string())
    }
}

/// A plugin that was handed to a runner.
pub(crate) struct Registered {
    name: String,
    /// For the error that there is no name.
    type_name: &'static str,
    plugin: Arc<dyn Configure>,
}

impl Registered {
    pub(crate) fn new<P: Plugin>(plugin: P) -> Self {
        let name = plugin.name().to_owned();
        let type_name = std::any::type_name::<P>();
        Self {
            name: name.clone(),
            type_name,
            plugin: Arc::new(Named { name, plugin }),
        }
    }
}

/// A plugin of whatever configuration type.
trait Configure: Send + Sync {
    fn configure(self: Arc<Self>, text: &[u8]) -> Result<Box<dyn Configured>, Unparsed>;
}

type Unparsed = serde_path_to_error::Error<serde_json::Error>;

/// A plugin with the configuration of one route.
pub(crate) trait Configured: Send + Sync {
    fn name(&self) -> &str;
    fn request<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result>;
    fn response<'a>(&'a self, response: &'a mut Response) -> BoxFuture<'a, Result>;
}

struct Named<P> {
    name: String,
    plugin: P,
}

struct WithConf<P: Plugin> {
    named: Arc<Named<P>>,
    conf: P::Conf,
}

impl<P: Plugin> Configure for Named<P> {
    fn configure(self: Arc<Self>, text: &[u8]) -> Result<Box<dyn Configured>, Unparsed> {
        let mut json = serde_json::Deserializer::from_slice(text);
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
        match P::Conf::deserialize(tracked).and_then(|conf| json.end().map(|()| conf)) {
            Ok(conf) => Ok(Box::new(WithConf { named: self, conf })),
            Err(error) => Err(Unparsed::new(track.path(), error)),
        }
    }
}

impl<P: Plugin> Configured for WithConf<P> {
    fn name(&self) -> &str {
        &self.named.name
    }

    fn request<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result> {
        // In an `async` block, so that a panic before the future's first poll
        // is one of the future, too.
        Box::pin(async move { self.named.plugin.request(&self.conf, request).await })
    }

    fn response<'a>(&'a self, response: &'a mut Response) -> BoxFuture<'a, Result> {
        Box::pin(async move { self.named.plugin.response(&self.conf, response).await })
    }
}

#[cfg(test)]
mod tests;
