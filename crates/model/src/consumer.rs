//! Consumers: who makes requests, and what tells them apart.

use serde_json::Value;

use crate::described::Described;
use crate::read::{At, Null, read};
use crate::{Faults, Id, Labels, PluginConfs};

/// Somebody who makes requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Consumer {
    /// The name, which is the id, too.
    pub username: Id,
    /// What the consumer is for, in words.
    pub desc: Option<String>,
    /// Labels.
    pub labels: Labels,
    /// The group whose plugins the consumer's requests pass besides the consumer's own.
    pub group_id: Option<Id>,
    /// Plugins for the consumer's requests, which go before the route's of the
    /// same name; and what an authentication plugin knows the consumer by.
    pub plugins: PluginConfs,
}

impl Consumer {
    /// Reads one from APISIX's JSON shape, or reports all that is wrong with it.
    pub fn from_json(json: &Value) -> Result<Self, Faults> {
        read(json, Null::IsAValue, Self::read)
    }

    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object()?;
        let username = object.require("username");
        let username = username.and_then(|at| at.accept(at.string()?.parse()));
        let Described { desc, labels, .. } = Described::read(&object);
        let group_id = object.read("group_id", Id::read);
        let plugins = object.read("plugins", PluginConfs::read);
        // APISIX takes an id, and goes by the name.
        object.ignore(&["id"]);
        object.finish();
        Some(Self {
            username: username?,
            desc,
            labels,
            group_id,
            plugins: plugins.unwrap_or_default(),
        })
    }
}
