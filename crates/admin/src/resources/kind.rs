//! The kinds, with their names in paths, keys and messages.

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Route,
    Service,
    Upstream,
    Consumer,
    Credential,
    ConsumerGroup,
    PluginConfig,
    GlobalRule,
    Ssl,
    PluginMetadata,
    Proto,
    Secret,
}

/// Kinds by the collections that their paths name. Credentials stand below
/// their consumers.
const COLLECTIONS: [(&str, Kind); 11] = [
    ("routes", Kind::Route),
    ("services", Kind::Service),
    ("upstreams", Kind::Upstream),
    ("consumers", Kind::Consumer),
    ("consumer_groups", Kind::ConsumerGroup),
    ("plugin_configs", Kind::PluginConfig),
    ("global_rules", Kind::GlobalRule),
    ("ssls", Kind::Ssl),
    ("plugin_metadata", Kind::PluginMetadata),
    ("protos", Kind::Proto),
    ("secrets", Kind::Secret),
];

impl Kind {
    /// All kinds.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let named = COLLECTIONS.iter().map(|(_, kind)| *kind);
        named.chain([Self::Credential])
    }

    /// The kind of a collection in a path: `routes`.
    pub(crate) fn of_collection(name: &str) -> Option<Self> {
        let mut collections = COLLECTIONS.iter();
        let found = collections.find(|(collection, _)| *collection == name)?;
        Some(found.1)
    }

    /// The collection of the kind; credentials stand in one below their consumer.
    pub(crate) fn collection(self) -> &'static str {
        let mut collections = COLLECTIONS.iter();
        let found = collections.find(|(_, kind)| *kind == self);
        found.map_or("credentials", |(collection, _)| collection)
    }

    /// The kind by the name of its schema: `route`, `plugin_config`.
    pub(crate) fn of_schema(name: &str) -> Option<Self> {
        Self::all().find(|kind| kind.schema_name() == name)
    }

    /// One of the kind, as it stands in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Service => "service",
            Self::Upstream => "upstream",
            Self::Consumer => "consumer",
            Self::Credential => "credential",
            Self::ConsumerGroup => "consumer group",
            Self::PluginConfig => "plugin config",
            Self::GlobalRule => "global rule",
            Self::Ssl => "ssl",
            Self::PluginMetadata => "plugin_metadata",
            Self::Proto => "proto",
            Self::Secret => "secret",
        }
    }

    /// One of the kind, as its schema is asked for.
    pub(crate) fn schema_name(self) -> &'static str {
        match self {
            Self::ConsumerGroup => "consumer_group",
            Self::PluginConfig => "plugin_config",
            Self::GlobalRule => "global_rule",
            other => other.name(),
        }
    }

    /// Whether an id can be left to the gateway: `POST`.
    pub(crate) fn takes_post(self) -> bool {
        use Kind::{Proto, Route, Service, Ssl, Upstream};
        matches!(self, Route | Service | Upstream | Ssl | Proto)
    }

    /// Whether it can be changed in part: `PATCH`.
    pub(crate) fn takes_patch(self) -> bool {
        use Kind::{Consumer, Credential, PluginMetadata};
        !matches!(self, Consumer | Credential | PluginMetadata)
    }

    /// Whether the gateway notes in it when it was made and changed.
    pub(crate) fn has_times(self) -> bool {
        self != Self::PluginMetadata
    }

    /// An id that one of the kind may have.
    pub(crate) fn any_id(self) -> &'static str {
        match self {
            Self::Secret => "vault/1",
            _ => "1",
        }
    }

    /// The model's name for it.
    pub(crate) fn of_model(self) -> outrigger_model::Kind {
        match self {
            Self::Route => outrigger_model::Kind::Route,
            Self::Service => outrigger_model::Kind::Service,
            Self::Upstream => outrigger_model::Kind::Upstream,
            Self::Consumer => outrigger_model::Kind::Consumer,
            Self::Credential => outrigger_model::Kind::Credential,
            Self::ConsumerGroup => outrigger_model::Kind::ConsumerGroup,
            Self::PluginConfig => outrigger_model::Kind::PluginConfig,
            Self::GlobalRule => outrigger_model::Kind::GlobalRule,
            Self::Ssl => outrigger_model::Kind::Ssl,
            Self::PluginMetadata => outrigger_model::Kind::PluginMetadata,
            Self::Proto => outrigger_model::Kind::Proto,
            Self::Secret => outrigger_model::Kind::Secret,
        }
    }
}
