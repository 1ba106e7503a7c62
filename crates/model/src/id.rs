//! Ids of resources, and the kinds that there are.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits;
use crate::read::At;

/// The id of a resource: 1 to 64 characters of `a-z A-Z 0-9 - _ .`. A positive integer
/// is an id too; `7` and `"7"` are the same.
///
/// Invariant: not empty, at most [`limits::ID_LEN`] bytes, of these characters only;
/// or [made up](Id::of_entry) for an entry without one, or of two, for a credential or
/// a secret manager.
///
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Arc<str>);

/// A text is no [`Id`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an id: 1 to {} of the characters a-z A-Z 0-9 - _ .",
    limits::ID_LEN
)]
pub struct NotAnId;

impl Id {
    /// The id that APISIX gives to an entry of `apisix.yaml` without one: its
    /// kind and its number, counted from 1, as in `routes#2`. No text reads as it.
    pub fn of_entry(kind: Kind, index: usize) -> Self {
        Self(format!("{}#{}", kind.plural(), index + 1).into())
    }

    /// What a credential is called among those of all consumers, as in
    /// `jack/credentials/one`. No text reads as it.
    pub(crate) fn of_credential(consumer: &Self, id: &Self) -> Self {
        Self(format!("{consumer}/credentials/{id}").into())
    }

    /// What a secret manager is called among those of all kinds, as in `vault/one`.
    /// No text reads as it.
    pub(crate) fn of_secret(manager: &str, id: &Self) -> Self {
        Self(format!("{manager}/{id}").into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads an id: a text or a positive integer.
    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let text = match at.value() {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(_) => at.integer(1..=i64::MAX)?.to_string(),
            _ => return at.wrong_type("string or integer"),
        };
        at.accept(text.parse())
    }
}

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || text.len() > limits::ID_LEN || !text.bytes().all(allowed) {
            return Err(NotAnId);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A [`Route`](crate::Route).
    Route,
    /// A [`Service`](crate::Service).
    Service,
    /// An [`Upstream`](crate::Upstream).
    Upstream,
    /// A [`PluginConfig`](crate::PluginConfig).
    PluginConfig,
    /// A [`GlobalRule`](crate::GlobalRule).
    GlobalRule,
    /// A [`Consumer`](crate::Consumer), whose name is its id.
    Consumer,
    /// A [`Credential`](crate::Credential), whose id is its key. They stand among the consumers.
    Credential,
    /// A [`ConsumerGroup`](crate::ConsumerGroup).
    ConsumerGroup,
    /// An [`Ssl`](crate::Ssl).
    Ssl,
    /// A [`PluginMetadata`](crate::PluginMetadata), whose id is the plugin's name.
    PluginMetadata,
    /// A [`Proto`](crate::Proto).
    Proto,
    /// A [`SecretManager`](crate::SecretManager), whose id has the manager's name.
    Secret,
}

impl Kind {
    /// All kinds, in the order in which `apisix.yaml` usually has them.
    pub const ALL: [Self; 12] = [
        Self::Route,
        Self::Service,
        Self::Upstream,
        Self::PluginConfig,
        Self::GlobalRule,
        Self::Consumer,
        Self::Credential,
        Self::ConsumerGroup,
        Self::Ssl,
        Self::PluginMetadata,
        Self::Proto,
        Self::Secret,
    ];

    /// The name of one, as it stands in errors: `route`.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Service => "service",
            Self::Upstream => "upstream",
            Self::PluginConfig => "plugin_config",
            Self::GlobalRule => "global_rule",
            Self::Consumer => "consumer",
            Self::Credential => "credential",
            Self::ConsumerGroup => "consumer_group",
            Self::Ssl => "ssl",
            Self::PluginMetadata => "plugin_metadata",
            Self::Proto => "proto",
            Self::Secret => "secret",
        }
    }

    /// The name of many, as it stands in APISIX's paths and keys: `routes`.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Route => "routes",
            Self::Service => "services",
            Self::Upstream => "upstreams",
            Self::PluginConfig => "plugin_configs",
            Self::GlobalRule => "global_rules",
            Self::Consumer | Self::Credential => "consumers",
            Self::ConsumerGroup => "consumer_groups",
            Self::Ssl => "ssls",
            Self::PluginMetadata => "plugin_metadata",
            Self::Proto => "protos",
            Self::Secret => "secrets",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.singular())
    }
}
