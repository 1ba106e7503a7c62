//! Routes: which requests go where, and through which plugins.

use serde_json::Value;

use crate::described::Described;
use crate::expr::{self, Expr};
use crate::read::{At, Null, Object, read};
use crate::service::{read_hosts, read_id};
use crate::{
    Cidr, Faults, HostPattern, Id, Labels, MethodSet, PluginConfs, Timeout, Upstream, UriPattern,
    unsupported,
};

/// Which requests go where, and through which plugins.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Option<String>,
    /// What it is for, in words.
    pub desc: Option<String>,
    /// Its labels.
    pub labels: Labels,
    /// The paths that it serves, from `uri` or `uris`; not empty.
    pub uris: Vec<UriPattern>,
    /// The hosts that it serves, from `host` or `hosts`; empty for those of its
    /// service, or any.
    pub hosts: Vec<HostPattern>,
    /// The methods that it serves.
    pub methods: MethodSet,
    /// The clients' addresses that it serves, from `remote_addr` or `remote_addrs`;
    /// empty for any.
    pub remote_addrs: Vec<Cidr>,
    /// What else must hold for a request that it serves.
    pub vars: Option<Expr>,
    /// Of several routes that match, the one of the highest priority serves.
    pub priority: i64,
    /// Whether it serves at all; from `status`.
    pub enabled: bool,
    /// How long its upstream may take; goes before the upstream's own.
    pub timeout: Option<Timeout>,
    /// Its plugins.
    pub plugins: PluginConfs,
    /// The plugin config whose plugins it takes besides its own.
    pub plugin_config_id: Option<Id>,
    /// The service whose plugins and upstream it takes where it has none of its own.
    pub service_id: Option<Id>,
    /// The upstream that it names; goes before its own.
    pub upstream_id: Option<Id>,
    /// Its own upstream.
    pub upstream: Option<Box<Upstream>>,
    /// Whether a client may leave HTTP for a websocket, from `enable_websocket`;
    /// where it does not say, its service does.
    pub websocket: Option<bool>,
}

impl Route {
    /// Reads one from APISIX's JSON shape, or reports all that is wrong with it.
    pub fn from_json(json: &Value) -> Result<Self, Faults> {
        read(json, Null::IsAValue, |at| Self::read(at, None))
    }

    /// `given` is the id of a document that holds none.
    pub(crate) fn read(at: &At<'_>, given: Option<Id>) -> Option<Self> {
        let object = at.object()?;
        let id = read_id(&object, given);
        let Described { name, desc, labels } = Described::read(&object);
        let uris = read_uris(&object);
        let hosts = read_host_or_hosts(&object);
        let methods = object.read("methods", MethodSet::read);
        let remote_addrs = read_remote_addrs(&object);
        let vars = object.read("vars", expr::read);
        let priority = object.read("priority", |at| at.integer(i64::MIN..=i64::MAX));
        let status = object.read("status", |at| at.integer(0..=1));
        let timeout = object.read("timeout", Timeout::read);
        let plugins = object.read("plugins", PluginConfs::read);
        let plugin_config_id = object.read("plugin_config_id", Id::read);
        let service_id = object.read("service_id", Id::read);
        let upstream_id = object.read("upstream_id", Id::read);
        let upstream = object.read("upstream", |at| Upstream::read_inline(at).map(Box::new));
        let websocket = object.read("enable_websocket", At::boolean);
        check_purpose(&object);
        refuse_unsupported(&object);
        object.finish();
        Some(Self {
            id: id?,
            name,
            desc,
            labels,
            uris: uris?,
            hosts: hosts.unwrap_or_default(),
            methods: methods.unwrap_or_default(),
            remote_addrs: remote_addrs.unwrap_or_default(),
            vars,
            priority: priority.unwrap_or(0),
            enabled: status != Some(0),
            timeout,
            plugins: plugins.unwrap_or_default(),
            plugin_config_id,
            service_id,
            upstream_id,
            upstream,
            websocket,
        })
    }
}

fn read_uris(object: &Object<'_>) -> Option<Vec<UriPattern>> {
    match (object.get("uri"), object.get("uris")) {
        (Some(uri), None) => Some(vec![UriPattern::read(&uri)?]),
        (None, Some(uris)) => {
            let uris = uris.unique_items_at_least_one()?;
            Some(uris.filter_map(|uri| UriPattern::read(&uri)).collect())
        }
        (Some(_), Some(_)) => {
            object
                .at()
                .fault("expected either \"uri\" or \"uris\", got both");
            None
        }
        (None, None) => {
            object
                .at()
                .fault("property \"uri\" or \"uris\" is required");
            None
        }
    }
}

fn read_host_or_hosts(object: &Object<'_>) -> Option<Vec<HostPattern>> {
    match (object.get("host"), object.get("hosts")) {
        (Some(host), None) => Some(vec![HostPattern::read(&host)?]),
        (None, Some(hosts)) => read_hosts(&hosts),
        (None, None) => None,
        (Some(_), Some(_)) => {
            object
                .at()
                .fault("expected either \"host\" or \"hosts\", got both");
            None
        }
    }
}

fn read_remote_addrs(object: &Object<'_>) -> Option<Vec<Cidr>> {
    let read = |at: &At<'_>| at.accept(at.string()?.parse());
    match (object.get("remote_addr"), object.get("remote_addrs")) {
        (Some(one), None) => Some(vec![read(&one)?]),
        (None, Some(several)) => {
            let several = several.unique_items_at_least_one()?;
            Some(several.filter_map(|one| read(&one)).collect())
        }
        (None, None) => None,
        (Some(_), Some(_)) => {
            object
                .at()
                .fault("expected either \"remote_addr\" or \"remote_addrs\", got both");
            None
        }
    }
}

/// A route must have something to do.
fn check_purpose(object: &Object<'_>) {
    const PURPOSES: [&str; 6] = [
        "plugins",
        "upstream",
        "upstream_id",
        "service_id",
        "plugin_config_id",
        "script",
    ];
    if !PURPOSES.iter().any(|key| object.get(key).is_some()) {
        object.at().fault(
            "at least one of \"plugins\", \"upstream\", \"upstream_id\", \"service_id\" and \
             \"plugin_config_id\" is required",
        );
    }
}

fn refuse_unsupported(object: &Object<'_>) {
    let lua = "because it is Lua: use a plugin, in any language, through a runner";
    unsupported::refuse(
        object,
        &[
            ("filter_func", "because it is Lua: use vars"),
            ("script", lua),
            ("script_id", lua),
        ],
    );
}
