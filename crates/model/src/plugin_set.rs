//! Resources that are little more than a set of plugins.

use serde_json::Value;

use crate::described::Described;
use crate::read::{At, Null, Object, read};
use crate::service::read_id;
use crate::{Faults, Id, Labels, PluginConfs};

/// A named set of plugins that others take besides their own.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSet {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Option<String>,
    /// What it is for, in words.
    pub desc: Option<String>,
    /// Its labels.
    pub labels: Labels,
    /// The plugins.
    pub plugins: PluginConfs,
}

/// Plugins for routes (`plugin_config_id`). A route's own plugin of the same name
/// goes before.
pub type PluginConfig = PluginSet;

/// Plugins for consumers (`group_id`). A consumer's own plugin of the same name
/// goes before.
pub type ConsumerGroup = PluginSet;

/// Plugins that run for every request, before those of its route.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalRule {
    /// Its id.
    pub id: Id,
    /// The plugins.
    pub plugins: PluginConfs,
}

impl PluginSet {
    /// Reads one from APISIX's JSON shape, or reports all that is wrong with it.
    pub fn from_json(json: &Value) -> Result<Self, Faults> {
        read(json, Null::IsAValue, |at| Self::read(at, None))
    }

    /// `given` is the id of a document that holds none.
    pub(crate) fn read(at: &At<'_>, given: Option<Id>) -> Option<Self> {
        let object = at.object()?;
        let id = read_id(&object, given);
        let Described { name, desc, labels } = Described::read(&object);
        let plugins = read_plugins(&object);
        object.finish();
        Some(Self {
            id: id?,
            name,
            desc,
            labels,
            plugins: plugins?,
        })
    }
}

impl GlobalRule {
    /// Reads one from APISIX's JSON shape, or reports all that is wrong with it.
    pub fn from_json(json: &Value) -> Result<Self, Faults> {
        read(json, Null::IsAValue, |at| Self::read(at, None))
    }

    /// `given` is the id of a document that holds none.
    pub(crate) fn read(at: &At<'_>, given: Option<Id>) -> Option<Self> {
        let object = at.object()?;
        let id = read_id(&object, given);
        let plugins = read_plugins(&object);
        object.ignore(&["create_time", "update_time"]);
        object.finish();
        Some(Self {
            id: id?,
            plugins: plugins?,
        })
    }
}

fn read_plugins(object: &Object<'_>) -> Option<PluginConfs> {
    PluginConfs::read(&object.require("plugins")?)
}
