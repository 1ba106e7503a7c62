//! Every key of APISIX's `config.yaml`, and what becomes of it here.

use std::collections::BTreeSet;
use std::path::Path;

use outrigger_config::{Report, Settings};
use serde_json::{Map, Value, json};

use Fate::{Does, Noted, Refused, Silent, Told};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");
const DEFAULTS: &str = include_str!("data/apisix-defaults.yaml");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has its meaning: another value makes other settings.
    Does,
    /// Its only value, or default, is what is done anyhow.
    Silent,
    /// It is accepted and noted, at the key itself or at the section it stands in.
    Noted,
    /// It is refused in words of its own.
    Refused,
    /// It is known; what becomes of it depends on what stands beside it, and is tested
    /// with that.
    Told,
}

/// Paths with a value, in YAML, that is not the default. `[]` stands for a list of one.
const KEYS: &[(&str, &str, Fate)] = &[
    ("apisix.node_listen", "9081", Does),
    ("apisix.node_listen[]", "9081", Does),
    ("apisix.node_listen[].ip", "127.0.0.2", Does),
    ("apisix.node_listen[].port", "9081", Does),
    ("apisix.node_listen[].enable_http2", "true", Told),
    ("apisix.enable_admin", "false", Does),
    ("apisix.enable_dev_mode", "true", Does),
    ("apisix.enable_reuseport", "true", Noted),
    (
        "apisix.show_upstream_status_in_response_header",
        "true",
        Does,
    ),
    ("apisix.enable_ipv6", "true", Does),
    ("apisix.enable_http2", "true", Told),
    ("apisix.proxy_protocol.listen_http_port", "9181", Refused),
    ("apisix.proxy_protocol.listen_https_port", "9182", Refused),
    ("apisix.proxy_protocol.enable_tcp_pp", "true", Refused),
    (
        "apisix.proxy_protocol.enable_tcp_pp_to_upstream",
        "true",
        Refused,
    ),
    ("apisix.enable_server_tokens", "false", Does),
    ("apisix.extra_lua_path", "/a/?.lua", Noted),
    ("apisix.extra_lua_cpath", "/a/?.so", Noted),
    ("apisix.lua_module_hook", "my.hook", Refused),
    ("apisix.proxy_cache.cache_ttl", "10s", Noted),
    ("apisix.proxy_cache.zones[].name", "disk_cache_one", Noted),
    ("apisix.proxy_cache.zones[].memory_size", "50m", Noted),
    ("apisix.proxy_cache.zones[].disk_size", "1G", Noted),
    ("apisix.proxy_cache.zones[].disk_path", "/tmp/cache", Noted),
    ("apisix.proxy_cache.zones[].cache_levels", "'1:2'", Noted),
    ("apisix.delete_uri_tail_slash", "true", Does),
    ("apisix.normalize_uri_like_servlet", "true", Does),
    ("apisix.router.http", "radixtree_uri", Does),
    ("apisix.router.ssl", "radixtree_sni", Silent),
    ("apisix.proxy_mode", "http", Silent),
    ("apisix.stream_proxy.tcp[].addr", "9100", Refused),
    ("apisix.stream_proxy.tcp[].tls", "true", Refused),
    ("apisix.stream_proxy.udp[]", "9200", Refused),
    ("apisix.dns_resolver[]", "1.1.1.1", Noted),
    ("apisix.dns_resolver_valid", "30", Noted),
    ("apisix.resolver_timeout", "5", Noted),
    ("apisix.enable_resolv_search_opt", "true", Noted),
    ("apisix.ssl.enable", "true", Told),
    ("apisix.ssl.listen[].ip", "127.0.0.3", Told),
    ("apisix.ssl.listen[].port", "9443", Told),
    ("apisix.ssl.listen[].enable_http3", "true", Told),
    ("apisix.ssl.ssl_trusted_certificate", "system", Told),
    ("apisix.ssl.ssl_protocols", "TLSv1.2 TLSv1.3", Told),
    (
        "apisix.ssl.ssl_ciphers",
        "ECDHE-RSA-AES128-GCM-SHA256",
        Told,
    ),
    ("apisix.ssl.ssl_session_tickets", "true", Told),
    ("apisix.ssl.fallback_sni", "a.test", Told),
    ("apisix.enable_control", "false", Does),
    ("apisix.control.ip", "127.0.0.2", Does),
    ("apisix.control.port", "9099", Does),
    (
        "apisix.disable_sync_configuration_during_start",
        "true",
        Noted,
    ),
    ("apisix.worker_startup_time_threshold", "60", Noted),
    (
        "apisix.data_encryption.enable_encrypt_fields",
        "false",
        Does,
    ),
    ("apisix.data_encryption.keyring[]", "0123456789abcdef", Does),
    ("apisix.events.module", "lua-resty-events", Noted),
    ("apisix.status.ip", "127.0.0.2", Does),
    ("apisix.status.port", "7086", Does),
    ("apisix.disable_upstream_healthcheck", "true", Told),
    ("apisix.trusted_addresses[]", "10.0.0.0/8", Does),
    ("apisix.lru.secret.ttl", "300", Noted),
    ("apisix.lru.secret.count", "512", Noted),
    ("apisix.id", "gateway-1", Told),
    ("apisix.tracing", "true", Noted),
    ("nginx_config.user", "root", Noted),
    ("nginx_config.error_log", "logs/error.log", Noted),
    ("nginx_config.error_log_level", "error", Does),
    ("nginx_config.worker_processes", "3", Does),
    ("nginx_config.enable_cpu_affinity", "true", Noted),
    ("nginx_config.worker_rlimit_nofile", "20480", Noted),
    ("nginx_config.worker_rlimit_core", "16G", Noted),
    ("nginx_config.worker_shutdown_timeout", "10s", Does),
    ("nginx_config.max_pending_timers", "16384", Noted),
    ("nginx_config.max_running_timers", "4096", Noted),
    ("nginx_config.event.worker_connections", "10620", Noted),
    // It is the environment of runners, of which there is none here.
    ("nginx_config.envs[]", "MY_ENV", Told),
    (
        "nginx_config.meta.lua_shared_dict.prometheus-metrics",
        "15m",
        Noted,
    ),
    ("nginx_config.stream.enable_access_log", "true", Noted),
    ("nginx_config.stream.access_log", "logs/stream.log", Noted),
    (
        "nginx_config.stream.access_log_format",
        "$remote_addr",
        Noted,
    ),
    (
        "nginx_config.stream.access_log_format_escape",
        "json",
        Noted,
    ),
    (
        "nginx_config.stream.lua_shared_dict.tars-stream",
        "1m",
        Noted,
    ),
    (
        "nginx_config.main_configuration_snippet",
        "daemon on;",
        Noted,
    ),
    ("nginx_config.http_configuration_snippet", "gzip on;", Noted),
    (
        "nginx_config.http_server_configuration_snippet",
        "gzip on;",
        Noted,
    ),
    (
        "nginx_config.http_server_location_configuration_snippet",
        "gzip on;",
        Noted,
    ),
    (
        "nginx_config.http_admin_configuration_snippet",
        "gzip on;",
        Noted,
    ),
    (
        "nginx_config.http_end_configuration_snippet",
        "gzip on;",
        Noted,
    ),
    (
        "nginx_config.stream_configuration_snippet",
        "gzip on;",
        Noted,
    ),
    ("nginx_config.http.enable_access_log", "true", Does),
    ("nginx_config.http.access_log", "logs/a.log", Does),
    ("nginx_config.http.access_log_buffer", "8192", Does),
    ("nginx_config.http.access_log_format", "$uri", Does),
    ("nginx_config.http.access_log_format_escape", "json", Does),
    ("nginx_config.http.keepalive_timeout", "61s", Does),
    ("nginx_config.http.client_header_timeout", "61s", Does),
    ("nginx_config.http.client_body_timeout", "61s", Does),
    ("nginx_config.http.client_max_body_size", "1m", Does),
    ("nginx_config.http.send_timeout", "11s", Does),
    ("nginx_config.http.underscores_in_headers", "'off'", Does),
    ("nginx_config.http.real_ip_header", "X-Forwarded-For", Noted),
    ("nginx_config.http.real_ip_recursive", "'on'", Noted),
    ("nginx_config.http.real_ip_from[]", "127.0.0.1", Does),
    ("nginx_config.http.custom_lua_shared_dict.mine", "1m", Noted),
    ("nginx_config.http.proxy_ssl_server_name", "false", Does),
    ("nginx_config.http.upstream.keepalive", "320", Noted),
    (
        "nginx_config.http.upstream.keepalive_requests",
        "1000",
        Noted,
    ),
    ("nginx_config.http.upstream.keepalive_timeout", "60s", Noted),
    ("nginx_config.http.charset", "utf-8", Noted),
    ("nginx_config.http.variables_hash_max_size", "2048", Noted),
    (
        "nginx_config.http.lua_shared_dict.plugin-limit-req",
        "10m",
        Noted,
    ),
    ("discovery.dns.servers[]", "127.0.0.1:8600", Refused),
    ("discovery.eureka.host[]", "http://127.0.0.1:8761", Refused),
    ("graphql.max_size", "1048576", Noted),
    ("ext-plugin.cmd[]", "run", Does),
    ("ext-plugin.path_for_test", "/tmp/x.sock", Does),
    ("plugins[]", "cors", Does),
    ("stream_plugins[]", "mqtt-proxy", Noted),
    ("wasm.plugins[].name", "log", Refused),
    ("xrpc.protocols[].name", "pingpong", Refused),
    ("etcd.host[]", "http://127.0.0.1:2379", Refused),
    ("plugin_attr.log-rotate.timeout", "10000", Noted),
    ("plugin_attr.log-rotate.interval", "3600", Noted),
    ("plugin_attr.log-rotate.max_kept", "168", Noted),
    ("plugin_attr.log-rotate.max_size", "-1", Noted),
    ("plugin_attr.log-rotate.enable_compression", "false", Noted),
    ("plugin_attr.skywalking.service_name", "APISIX", Noted),
    ("plugin_attr.skywalking.service_instance_name", "one", Noted),
    (
        "plugin_attr.skywalking.endpoint_addr",
        "http://127.0.0.1:12800",
        Noted,
    ),
    ("plugin_attr.skywalking.report_interval", "3", Noted),
    (
        "plugin_attr.opentelemetry.trace_id_source",
        "x-request-id",
        Noted,
    ),
    (
        "plugin_attr.opentelemetry.collector.address",
        "127.0.0.1:4318",
        Noted,
    ),
    (
        "plugin_attr.opentelemetry.batch_span_processor.batch_timeout",
        "2",
        Noted,
    ),
    ("plugin_attr.opentelemetry.set_ngx_var", "false", Noted),
    ("plugin_attr.prometheus.export_uri", "/metrics", Does),
    ("plugin_attr.prometheus.metric_prefix", "apisix_", Noted),
    ("plugin_attr.prometheus.enable_export_server", "false", Does),
    ("plugin_attr.prometheus.export_addr.ip", "127.0.0.2", Does),
    ("plugin_attr.prometheus.export_addr.port", "9092", Does),
    ("plugin_attr.prometheus.refresh_interval", "15", Noted),
    (
        "plugin_attr.prometheus.metrics.http_status.expire",
        "0",
        Noted,
    ),
    ("plugin_attr.prometheus.default_buckets[]", "10", Noted),
    ("plugin_attr.server-info.report_ttl", "60", Noted),
    (
        "plugin_attr.dubbo-proxy.upstream_multiplex_count",
        "32",
        Noted,
    ),
    ("plugin_attr.proxy-mirror.timeout.connect", "60s", Noted),
    ("plugin_attr.redirect.https_port", "8443", Does),
    ("plugin_attr.inspect.delay", "3", Noted),
    ("plugin_attr.inspect.hooks_file", "/hooks.lua", Noted),
    ("plugin_attr.zipkin.set_ngx_var", "false", Noted),
    ("plugin_attr.my-own-plugin.secret", "x", Noted),
    ("deployment.role", "traditional", Silent),
    (
        "deployment.role_traditional.config_provider",
        "etcd",
        Silent,
    ),
    ("deployment.role_data_plane.config_provider", "yaml", Told),
    (
        "deployment.role_control_plane.config_provider",
        "etcd",
        Told,
    ),
    ("deployment.admin.admin_key_required", "false", Does),
    ("deployment.admin.admin_key[].key", "k", Does),
    ("deployment.admin.admin_key[].name", "n", Told),
    ("deployment.admin.admin_key[].role", "viewer", Told),
    ("deployment.admin.enable_admin_cors", "false", Does),
    ("deployment.admin.enable_admin_ui", "true", Noted),
    ("deployment.admin.allow_admin[]", "10.0.0.0/8", Does),
    ("deployment.admin.admin_listen.ip", "127.0.0.2", Does),
    ("deployment.admin.admin_listen.port", "9181", Does),
    ("deployment.admin.https_admin", "true", Told),
    (
        "deployment.admin.admin_api_mtls.admin_ssl_cert",
        "a.pem",
        Told,
    ),
    (
        "deployment.admin.admin_api_mtls.admin_ssl_cert_key",
        "a.key",
        Told,
    ),
    (
        "deployment.admin.admin_api_mtls.admin_ssl_ca_cert",
        "ca.pem",
        Told,
    ),
    ("deployment.admin.admin_api_version", "v3", Silent),
    ("deployment.etcd.host[]", "http://127.0.0.1:2379", Told),
    ("deployment.etcd.prefix", "/apisix", Told),
    ("deployment.etcd.timeout", "30", Told),
    ("deployment.etcd.watch_timeout", "50", Told),
    ("deployment.etcd.resync_delay", "5", Told),
    ("deployment.etcd.health_check_timeout", "10", Told),
    ("deployment.etcd.startup_retry", "2", Told),
    ("deployment.etcd.user", "root", Told),
    ("deployment.etcd.password", "secret", Told),
    ("deployment.etcd.tls.cert", "a.pem", Told),
    ("deployment.etcd.tls.key", "a.key", Told),
    ("deployment.etcd.tls.verify", "false", Told),
    ("deployment.etcd.tls.sni", "a.test", Told),
    ("deployment.certs.cert", "a.pem", Told),
    ("deployment.certs.cert_key", "a.key", Told),
    ("deployment.certs.trusted_ca_cert", "ca.pem", Told),
];

/// The steps of a path: `a.b[].c` has the steps `a`, `b[]` and `c`.
fn steps(path: &str) -> Vec<&str> {
    path.split('.').collect()
}

/// A document with nothing but this.
fn document(path: &[&str], value: &str) -> String {
    match path {
        [] => value.to_owned(),
        [step, rest @ ..] => {
            let inner = document(rest, value);
            match step.strip_suffix("[]") {
                Some(key) => format!("{{{key}: [{inner}]}}"),
                None => format!("{{{step}: {inner}}}"),
            }
        }
    }
}

fn read(text: &str) -> Result<Settings, Report> {
    Settings::parse(text, Path::new("/etc/o/config.yaml"), &|_| None)
}

/// The settings without what is only said of them.
fn effect(mut settings: Settings) -> Settings {
    settings.notes.clear();
    settings
}

/// A path as problems and notes show it.
fn shown(path: &str) -> String {
    path.replace("[]", "[0]")
}

#[test]
fn every_key_has_its_fate() {
    let usual = effect(read("").unwrap());
    for (path, value, fate) in KEYS {
        let read = read(&document(&steps(path), value));
        match (fate, read) {
            (Does, Ok(settings)) => {
                assert_eq!(settings.notes, [""; 0], "{path}");
                assert_ne!(effect(settings), usual, "{path} does nothing");
            }
            (Silent, Ok(settings)) => {
                assert_eq!(settings.notes, [""; 0], "{path}");
                assert_eq!(effect(settings), usual, "{path}");
            }
            (Noted, Ok(settings)) => {
                let [note] = &settings.notes[..] else {
                    panic!("{path}: {:?}", settings.notes)
                };
                let about = note.split(": ").nth(1).unwrap();
                assert!(shown(path).starts_with(about), "{path}: {note}");
                assert_eq!(effect(settings), usual, "{path}");
            }
            (Refused, Err(report)) => {
                let text = report.to_string();
                assert!(!text.contains("unknown property"), "{path}: {text}");
            }
            (Told, Ok(_)) => {}
            (Told, Err(report)) => {
                let text = report.to_string();
                assert!(!text.contains("unknown property"), "{path}: {text}");
            }
            (_, Ok(settings)) => panic!("{path} is accepted: {:?}", settings.notes),
            (_, Err(report)) => panic!("{path} is refused: {report}"),
        }
    }
}

/// Whether the names beside the last of this path are the user's choice, or nothing is
/// known of them.
fn is_free(path: &str) -> bool {
    let free = ["lua_shared_dict.", "plugin_attr.prometheus.metrics"];
    let own = ["prometheus.", "redirect."];
    let of_plugin = path.strip_prefix("plugin_attr.");
    free.iter().any(|part| path.contains(part))
        || of_plugin.is_some_and(|rest| !own.iter().any(|name| rest.starts_with(name)))
}

#[test]
fn a_misspelt_key_is_told_its_name_wherever_it_stands() {
    for (path, value, fate) in KEYS {
        let mut misspelt = steps(path);
        let last = misspelt.pop().unwrap();
        if matches!(fate, Refused | Told) || is_free(path) {
            continue;
        }
        // The last letter twice.
        let (name, list) = match last.strip_suffix("[]") {
            Some(name) => (name, "[]"),
            None => (last, ""),
        };
        let wrong = format!("{name}{}{list}", &name[name.len() - 1..]);
        misspelt.push(&wrong);
        let report = read(&document(&misspelt, value))
            .expect_err(path)
            .to_string();
        let hint = format!("unknown property, did you mean \"{name}\"?");
        assert!(report.contains(&hint), "{path}: {report}");
        let mut lines = report.lines();
        let line = lines.find(|line| line.contains(&hint)).unwrap();
        let place = line.split(": ").nth(1).unwrap();
        assert!(
            place.ends_with(wrong.trim_end_matches("[]")),
            "{path}: {report}"
        );
    }
}

#[test]
fn a_value_of_a_wrong_kind_is_refused_even_where_it_means_nothing() {
    for (path, _, fate) in KEYS {
        let free = is_free(path) && !path.contains("lua_shared_dict");
        if matches!(fate, Refused | Told) || free || path.starts_with("ext-plugin") {
            continue;
        }
        // No key is a list of lists.
        let report = read(&document(&steps(path), "[[]]"))
            .expect_err(path)
            .to_string();
        let place = report.split(": ").nth(1).unwrap();
        assert!(place.starts_with(&shown(path)), "{path}: {report}");
    }
}

/// Puts `more` into `whole`, list items into the same item.
fn merge(whole: &mut Value, more: Value) {
    match (whole, more) {
        (Value::Object(whole), Value::Object(more)) => {
            for (key, value) in more {
                merge(whole.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(whole), Value::Array(more)) => {
            for (place, value) in more.into_iter().enumerate() {
                match whole.get_mut(place) {
                    Some(item) => merge(item, value),
                    None => whole.push(value),
                }
            }
        }
        (whole, more) => *whole = more,
    }
}

fn value(path: &[&str], text: &str) -> Value {
    match path {
        [] => {
            let quoted = text.strip_prefix('\'').and_then(|it| it.strip_suffix('\''));
            match quoted {
                Some(text) => json!(text),
                None => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            }
        }
        [step, rest @ ..] => {
            let inner = value(rest, text);
            let mut object = Map::new();
            match step.strip_suffix("[]") {
                Some(key) => object.insert(key.to_owned(), json!([inner])),
                None => object.insert((*step).to_owned(), inner),
            };
            Value::Object(object)
        }
    }
}

#[test]
fn a_file_with_all_keys_that_are_accepted_is_accepted() {
    let mut whole = Value::Null;
    for (path, text, fate) in KEYS {
        if !matches!(fate, Refused | Told) {
            merge(&mut whole, value(&steps(path), text));
        }
    }
    let settings = read(&whole.to_string()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(settings.client.max_body_size, Some(1 << 20));
    assert_eq!(settings.redirect_https_port, Some(8443));
    assert!(settings.notes.len() > 30, "{:#?}", settings.notes);
}

/// The paths of everything in a value, lists as `[]`.
fn paths(value: &Value, above: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let dot = if above.is_empty() { "" } else { "." };
                paths(value, &format!("{above}{dot}{key}"), out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                paths(item, &format!("{above}[]"), out);
            }
        }
        _ => drop(out.insert(above.to_owned())),
    }
}

#[test]
fn no_key_of_the_defaults_is_left_out() {
    let defaults: Value = serde_saphyr::from_str(DEFAULTS).unwrap();
    let mut all = BTreeSet::new();
    paths(&defaults, "", &mut all);
    let known: BTreeSet<&str> = KEYS.iter().map(|(path, ..)| *path).collect();
    let sections: BTreeSet<&str> = KEYS
        .iter()
        .filter(|(path, ..)| is_free(path))
        .filter_map(|(path, ..)| Some(path.rsplit_once('.')?.0))
        .collect();
    let missing: Vec<_> = all
        .iter()
        .filter(|path| !known.contains(path.as_str()))
        .filter(|path| !sections.iter().any(|section| path.starts_with(section)))
        .collect();
    assert_eq!(missing, [""; 0]);
}

/// A section of the reference.
fn section(title: &str) -> &'static str {
    let begin = REFERENCE.find(&format!("### {title}\n")).expect(title);
    let rest = &REFERENCE[begin + 4..];
    let end = rest.find("\n### ").or_else(|| rest.find("\n## "));
    &rest[..end.unwrap_or(rest.len())]
}

/// Whether a text names a key, or the section that it stands in and shares its fate with.
fn named_in(text: &str, path: &str) -> bool {
    /// Sections whose keys have fates of their own.
    const MIXED: [&str; 5] = [
        "apisix",
        "nginx_config",
        "http",
        "deployment",
        "plugin_attr",
    ];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let words: BTreeSet<&str> = text.split(|c| !is_name(c)).collect();
    let names = steps(path)
        .into_iter()
        .map(|step| step.trim_end_matches("[]"));
    names
        .filter(|name| !MIXED.contains(name))
        .any(|name| words.contains(name))
}

#[test]
fn the_reference_tells_the_fate_of_every_key() {
    let before = REFERENCE.find("### Keys without effect").unwrap();
    let effective = &REFERENCE[..before];
    for (path, _, fate) in KEYS {
        let (text, place) = match fate {
            Noted if path.contains("real_ip") => (effective, "the tables"),
            Noted => (section("Keys without effect"), "Keys without effect"),
            Refused => (section("Keys that are refused"), "Keys that are refused"),
            Does | Silent | Told => (REFERENCE, "the reference"),
        };
        assert!(named_in(text, path), "{path} is not told of in {place}");
    }
}
