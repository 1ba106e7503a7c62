//! Services: what several routes have in common.

use serde_json::Value;

use crate::described::Described;
use crate::read::{At, Null, Object, read};
use crate::unsupported;
use crate::{Faults, HostPattern, Id, Labels, PluginConfs, Upstream};

/// What several routes have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Option<String>,
    /// What it is for, in words.
    pub desc: Option<String>,
    /// Its labels.
    pub labels: Labels,
    /// The hosts of those of its routes that name none; empty for any host.
    pub hosts: Vec<HostPattern>,
    /// Its plugins. A route's own plugin of the same name goes before.
    pub plugins: PluginConfs,
    /// The upstream that it names; goes before its own.
    pub upstream_id: Option<Id>,
    /// Its own upstream.
    pub upstream: Option<Box<Upstream>>,
    /// Whether clients may leave HTTP for a websocket, where the route does not
    /// say; from `enable_websocket`.
    pub websocket: bool,
}

impl Service {
    /// Reads one from APISIX's JSON shape, or reports all that is wrong with it.
    pub fn from_json(json: &Value) -> Result<Self, Faults> {
        read(json, Null::IsAValue, |at| Self::read(at, None))
    }

    /// `given` is the id of a document that holds none.
    pub(crate) fn read(at: &At<'_>, given: Option<Id>) -> Option<Self> {
        let object = at.object()?;
        let id = read_id(&object, given);
        let Described { name, desc, labels } = Described::read(&object);
        let hosts = object.read("hosts", read_hosts);
        let plugins = object.read("plugins", PluginConfs::read);
        let upstream_id = object.read("upstream_id", Id::read);
        let upstream = object.read("upstream", |at| Upstream::read_inline(at).map(Box::new));
        let websocket = object.read("enable_websocket", At::boolean);
        unsupported::refuse(
            &object,
            &[(
                "script",
                "because it is Lua: use a plugin, in any language, through a runner",
            )],
        );
        object.finish();
        Some(Self {
            id: id?,
            name,
            desc,
            labels,
            hosts: hosts.unwrap_or_default(),
            plugins: plugins.unwrap_or_default(),
            upstream_id,
            upstream,
            websocket: websocket.unwrap_or(false),
        })
    }
}

/// Reads a resource's own id. A `given` id serves where there is none.
pub(crate) fn read_id(object: &Object<'_>, given: Option<Id>) -> Option<Id> {
    match given {
        Some(given) => match object.get("id") {
            Some(at) => Id::read(&at),
            None => Some(given),
        },
        None => object.require("id").and_then(|at| Id::read(&at)),
    }
}

/// Reads `hosts`: one or more patterns.
pub(crate) fn read_hosts(at: &At<'_>) -> Option<Vec<HostPattern>> {
    let hosts = at.unique_items_at_least_one()?;
    Some(hosts.filter_map(|host| HostPattern::read(&host)).collect())
}
