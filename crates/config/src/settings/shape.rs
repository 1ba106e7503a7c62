//! What a key may hold that means nothing here: APISIX would refuse something else, and
//! a name that is misspelt within it is one that somebody relies on.

use outrigger_model::read::At;

use super::units;

/// What a value has to look like.
enum Shape {
    /// `true` or `false`.
    Flag,
    /// A whole number of this range.
    Integer(i64, i64),
    /// A number.
    Number,
    /// A text.
    Text,
    /// A size as nginx writes it.
    Size,
    /// A time as nginx writes it.
    Time,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list of these, of so many at least.
    List(usize, &'static Shape),
    /// An object whose names are the user's choice.
    Map(&'static Shape),
    /// An object of these properties.
    Section(&'static [(&'static str, Shape)]),
    /// Nothing is known of it.
    Any,
}

use Shape::{Any, Flag, Integer, List, Map, Number, OneOf, Section, Size, Text, Time};

const WHOLE: Shape = Integer(0, i64::MAX);
const DICTIONARIES: Shape = Map(&Size);

/// Keys that mean nothing here, by their paths, with what they may hold.
const SHAPES: &[(&str, Shape)] = &[
    ("stream_plugins", List(0, &Text)),
    ("graphql", Section(&[("max_size", WHOLE)])),
    ("apisix.enable_reuseport", Flag),
    ("apisix.enable_http2", Flag),
    ("apisix.extra_lua_path", Text),
    ("apisix.extra_lua_cpath", Text),
    (
        "apisix.proxy_cache",
        Section(&[("cache_ttl", Time), ("zones", List(1, &ZONE))]),
    ),
    ("apisix.dns_resolver", List(1, &Text)),
    ("apisix.dns_resolver_valid", WHOLE),
    ("apisix.resolver_timeout", WHOLE),
    ("apisix.enable_resolv_search_opt", Flag),
    ("apisix.disable_sync_configuration_during_start", Flag),
    ("apisix.worker_startup_time_threshold", WHOLE),
    (
        "apisix.events",
        Section(&[(
            "module",
            OneOf(&["lua-resty-events", "lua-resty-worker-events"]),
        )]),
    ),
    ("apisix.lru", Section(&[("secret", CACHE)])),
    ("apisix.disable_upstream_healthcheck", Flag),
    ("apisix.tracing", Flag),
    ("deployment.role_traditional", ROLE),
    ("deployment.role_control_plane", ROLE),
    ("deployment.role_data_plane", ROLE),
    (
        "deployment.certs",
        Section(&[
            ("cert", Text),
            ("cert_key", Text),
            ("trusted_ca_cert", Text),
        ]),
    ),
    ("deployment.admin.enable_admin_ui", Flag),
    ("nginx_config.user", Text),
    ("nginx_config.error_log", Text),
    ("nginx_config.enable_cpu_affinity", Flag),
    ("nginx_config.worker_rlimit_nofile", WHOLE),
    ("nginx_config.worker_rlimit_core", Size),
    ("nginx_config.max_pending_timers", WHOLE),
    ("nginx_config.max_running_timers", WHOLE),
    (
        "nginx_config.event",
        Section(&[("worker_connections", WHOLE)]),
    ),
    (
        "nginx_config.meta",
        Section(&[("lua_shared_dict", DICTIONARIES)]),
    ),
    ("nginx_config.stream", STREAM),
    ("nginx_config.http.charset", Text),
    ("nginx_config.http.variables_hash_max_size", WHOLE),
    ("nginx_config.http.lua_shared_dict", DICTIONARIES),
    ("nginx_config.http.custom_lua_shared_dict", DICTIONARIES),
    (
        "nginx_config.http.upstream",
        Section(&[
            ("keepalive", WHOLE),
            ("keepalive_requests", WHOLE),
            ("keepalive_timeout", Time),
        ]),
    ),
    ("plugin_attr.prometheus.metric_prefix", Text),
    ("plugin_attr.prometheus.metrics", Map(&Any)),
    ("plugin_attr.prometheus.default_buckets", List(1, &Number)),
    ("plugin_attr.prometheus.refresh_interval", WHOLE),
];

/// The section of a role that the gateway does not have.
const ROLE: Shape = Section(&[
    (
        "config_provider",
        OneOf(&["control_plane", "etcd", "json", "xds", "yaml"]),
    ),
    (
        "conf_server",
        Section(&[
            ("listen", Text),
            ("cert", Text),
            ("cert_key", Text),
            ("client_ca_cert", Text),
        ]),
    ),
]);

const ZONE: Shape = Section(&[
    ("name", Text),
    ("memory_size", Size),
    ("disk_size", Size),
    ("disk_path", Text),
    ("cache_levels", Text),
]);

const CACHE: Shape = Section(&[
    ("ttl", WHOLE),
    ("count", WHOLE),
    ("neg_ttl", WHOLE),
    ("neg_count", WHOLE),
]);

const STREAM: Shape = Section(&[
    ("enable_access_log", Flag),
    ("access_log", Text),
    ("access_log_format", Text),
    (
        "access_log_format_escape",
        OneOf(&["default", "json", "none"]),
    ),
    ("lua_shared_dict", DICTIONARIES),
]);

/// Reports what of a value that means nothing here is not as it has to be.
pub(super) fn check(at: &At<'_>) {
    let path = at.path().to_string();
    if let Some((_, shape)) = SHAPES.iter().find(|(key, _)| *key == path) {
        shape.check(at);
    }
}

impl Shape {
    /// Reports what of the value is not as it has to be.
    fn check(&self, at: &At<'_>) {
        match self {
            Flag => drop(at.boolean()),
            Integer(least, most) => drop(at.integer(*least..=*most)),
            Number => drop(at.number()),
            Text => drop(at.string()),
            Size => drop(units::size(at)),
            Time => drop(units::time(at)),
            OneOf(names) => drop(at.one_of(names)),
            List(least, shape) => {
                let Some(items) = at.items() else { return };
                if items.len() < *least {
                    at.fault(format!("expect array to have at least {least} items"));
                }
                items.for_each(|item| shape.check(&item));
            }
            Map(shape) => {
                let Some(object) = at.object() else { return };
                object.entries().for_each(|(_, value)| shape.check(&value));
            }
            Section(properties) => {
                let Some(object) = at.object() else { return };
                for (key, shape) in *properties {
                    if let Some(value) = object.get(key) {
                        shape.check(&value);
                    }
                }
                object.finish();
            }
            Any => {}
        }
    }
}
