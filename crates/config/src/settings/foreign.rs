//! Keys of APISIX's `config.yaml` that have no meaning here.
//!
//! Whether such a key is noted or refused depends on what somebody who wrote it would
//! miss: tuning of nginx or Lua, nothing; a listener, a protocol or a source of
//! configuration, everything. A value that asks for nothing (`false`, an empty text, list
//! or object) is accepted without a word either way.

use std::cell::RefCell;
use std::path::Path;

use outrigger_model::PropertyPath;
use outrigger_model::read::{At, Object};
use serde_json::Value;

use super::shape;
use crate::tree::Marks;

/// What was accepted and has no effect.
#[derive(Default)]
pub(super) struct Notes(RefCell<Vec<Note>>);

struct Note {
    path: PropertyPath,
    message: String,
}

impl Notes {
    pub(super) fn add(&self, at: &At<'_>, message: impl Into<String>) {
        let (path, message) = (at.path(), message.into());
        self.0.borrow_mut().push(Note { path, message });
    }

    /// The notes as lines of a log, in the order of the file.
    pub(super) fn into_lines(self, file: &Path, marks: &Marks) -> Vec<String> {
        let mut notes = self.0.into_inner();
        notes.sort_by_cached_key(|note| marks.locate(&note.path));
        let line = |note: Note| {
            let location = marks.locate(&note.path);
            format!(
                "{}:{location}: {}: {}",
                file.display(),
                note.path,
                note.message
            )
        };
        notes.into_iter().map(line).collect()
    }
}

/// What becomes of a key.
pub(super) enum Fate {
    /// Noted: only nginx needs it.
    Nginx,
    /// Noted, with why it has no effect.
    NoEffect(&'static str),
    /// Refused, with what to do about it.
    Refused(&'static str),
}

use Fate::{Nginx, NoEffect, Refused};

/// The keys of one section with their fates.
pub(super) type Table = &'static [(&'static str, Fate)];

/// Notes or refuses the keys of `section` that stand in `table`.
pub(super) fn sort_out(section: &Object<'_>, table: Table, notes: &Notes) {
    for (key, fate) in table {
        let Some(at) = section.get(key) else { continue };
        if !matches!(fate, Refused(_)) {
            shape::check(&at);
        }
        match fate {
            Nginx => notes.add(&at, "only nginx needs this; it has no effect here"),
            NoEffect(_) | Refused(_) if asks_for_nothing(at.value()) => {}
            NoEffect(why) => notes.add(&at, format!("has no effect: {why}")),
            Refused(why) => at.fault(*why),
        }
    }
}

fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(properties) => properties.is_empty(),
    }
}

const NO_LUA: &str = "no Lua runs here";
const NO_DNS: &str = "names are resolved as the system does";
const NOT_YET: &str = "this is not there yet";
const MOVED: &str = "this key of APISIX 2 is not supported: see `deployment`";

/// At the top.
pub(super) const TOP: Table = &[
    ("stream_plugins", NoEffect("there is no stream proxy")),
    ("graphql", NoEffect("GraphQL is not looked into")),
    (
        "discovery",
        Refused("service discovery is not supported yet: give upstreams nodes"),
    ),
    (
        "wasm",
        Refused("WebAssembly plugins are not supported: use a runner"),
    ),
    ("xrpc", Refused("xRPC is not supported: remove it")),
    ("etcd", Refused(MOVED)),
];

const METRICS: &str = "metrics have the names and labels of docs/observability.md";

/// In `plugin_attr.prometheus`.
pub(super) const PROMETHEUS: Table = &[
    ("metric_prefix", NoEffect(METRICS)),
    ("metrics", NoEffect(METRICS)),
    ("default_buckets", NoEffect(METRICS)),
    (
        "refresh_interval",
        NoEffect("metrics are as they are when they are asked for"),
    ),
];

/// In `apisix`.
pub(super) const APISIX: Table = &[
    ("enable_reuseport", Nginx),
    ("extra_lua_path", NoEffect(NO_LUA)),
    ("extra_lua_cpath", NoEffect(NO_LUA)),
    (
        "lua_module_hook",
        Refused("no Lua runs here: use a plugin, in any language, through a runner"),
    ),
    ("proxy_cache", NoEffect("there is no cache")),
    ("dns_resolver", NoEffect(NO_DNS)),
    ("dns_resolver_valid", NoEffect(NO_DNS)),
    ("resolver_timeout", NoEffect(NO_DNS)),
    ("enable_resolv_search_opt", NoEffect(NO_DNS)),
    (
        "disable_sync_configuration_during_start",
        NoEffect("nothing starts before it is configured"),
    ),
    ("worker_startup_time_threshold", Nginx),
    ("events", Nginx),
    ("lru", NoEffect("no secrets are fetched")),
    ("tracing", NoEffect(NOT_YET)),
    (
        "proxy_protocol",
        Refused("the PROXY protocol is not supported yet: remove it"),
    ),
    (
        "stream_proxy",
        Refused("there is no stream proxy: remove it"),
    ),
    ("config_center", Refused(MOVED)),
    ("admin_key", Refused(MOVED)),
    ("allow_admin", Refused(MOVED)),
    ("admin_listen", Refused(MOVED)),
    ("port_admin", Refused(MOVED)),
];

/// In `apisix.ssl`.
pub(super) const SSL: Table = &[
    (
        "key_encrypt_salt",
        Refused("this key of APISIX 2 is not supported: see `apisix.data_encryption`"),
    ),
    (
        "listen_port",
        Refused("this key of APISIX 2 is not supported: see `listen`"),
    ),
];

/// In `deployment`, with the role `data_plane`.
pub(super) const DATA_PLANE: Table = &[
    ("admin", NoEffect("a data plane has no Admin API")),
    ("certs", NoEffect("there is no control plane to connect to")),
    ("role_traditional", NoEffect("the role is data_plane")),
    ("role_control_plane", NoEffect("the role is data_plane")),
];

/// In `deployment`, where resources come from elsewhere than etcd.
pub(super) const WITHOUT_ETCD: Table = &[(
    "etcd",
    NoEffect("config_provider says that resources come from elsewhere"),
)];

/// In `deployment`, with the role `traditional`.
pub(super) const TRADITIONAL: Table = &[
    ("certs", NoEffect("there is no control plane to connect to")),
    ("role_data_plane", NoEffect("the role is traditional")),
    ("role_control_plane", NoEffect("the role is traditional")),
];

/// In `deployment`, with the role `control_plane`.
pub(super) const CONTROL_PLANE: Table = &[
    ("certs", NoEffect(PLANES_MEET)),
    ("role_traditional", NoEffect("the role is control_plane")),
    ("role_data_plane", NoEffect("the role is control_plane")),
];

const PLANES_MEET: &str = "control plane and data planes meet in etcd only";

/// In `deployment.role_control_plane`.
pub(super) const ROLE_CONTROL_PLANE: Table = &[("conf_server", NoEffect(PLANES_MEET))];

/// In `deployment.etcd`.
pub(super) const ETCD: Table = &[(
    "use_grpc",
    NoEffect("etcd is spoken to through its JSON gateway"),
)];

/// In `deployment.admin`.
pub(super) const ADMIN: Table = &[("enable_admin_ui", NoEffect("there is no user interface"))];

/// In `nginx_config`.
pub(super) const NGINX: Table = &[
    (
        "user",
        NoEffect("the gateway keeps the user that it is started as"),
    ),
    ("error_log", NoEffect("the log goes to standard error")),
    ("enable_cpu_affinity", Nginx),
    ("worker_rlimit_nofile", Nginx),
    ("worker_rlimit_core", Nginx),
    ("max_pending_timers", Nginx),
    ("max_running_timers", Nginx),
    ("event", Nginx),
    ("meta", Nginx),
    ("stream", NoEffect("there is no stream proxy")),
];

/// In `nginx_config.http`.
pub(super) const HTTP: Table = &[
    ("charset", Nginx),
    ("variables_hash_max_size", Nginx),
    ("lua_shared_dict", Nginx),
    ("custom_lua_shared_dict", Nginx),
    (
        "upstream",
        NoEffect("connections are kept as each upstream's `keepalive_pool` says"),
    ),
];
