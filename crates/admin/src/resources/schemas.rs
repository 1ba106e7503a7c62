//! The schemas of resources, with APISIX's rules.

use std::sync::LazyLock;

use outrigger_model::schema::Schema;
use serde_json::{Value, json};

use super::Kind;
use super::upstream_schema::{host, upstream};

/// The schema of a kind.
pub(crate) fn schema_of(kind: Kind) -> &'static Schema {
    static ALL: LazyLock<Vec<(Kind, Schema)>> = LazyLock::new(|| {
        let compiled = |kind| {
            let schema = Schema::new(text_of(kind));
            (kind, schema.expect("schemas of resources are tested"))
        };
        Kind::all().map(compiled).collect()
    });
    let found = ALL.iter().find(|(of, _)| *of == kind);
    let (_, schema) = found.expect("every kind has a schema");
    schema
}

fn text_of(kind: Kind) -> Value {
    match kind {
        Kind::Route => route(),
        Kind::Service => service(),
        Kind::Upstream => upstream(),
        Kind::Consumer => consumer(),
        Kind::Credential => credential(),
        Kind::ConsumerGroup | Kind::PluginConfig => plugin_set(),
        Kind::GlobalRule => global_rule(),
        Kind::Ssl => ssl(),
        Kind::PluginMetadata => json!({"type": "object"}),
        Kind::Proto => proto(),
        Kind::Secret => json!({"type": "object", "minProperties": 1}),
    }
}

pub(super) fn id() -> Value {
    json!({"anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-_.]+$"},
        {"type": "integer", "minimum": 1},
    ]})
}

fn name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 256})
}

fn desc() -> Value {
    json!({"type": "string", "maxLength": 256})
}

fn labels() -> Value {
    json!({
        "description": "key/value pairs to specify attributes",
        "type": "object",
        "patternProperties": {
            ".*": {
                "description": "value of label",
                "type": "string",
                "pattern": "^\\S+$",
                "minLength": 1,
                "maxLength": 256,
            },
        },
    })
}

/// When it was made or changed, in seconds since 1970.
fn time() -> Value {
    json!({"type": "integer"})
}

pub(super) fn timeouts() -> Value {
    let seconds = json!({"type": "number", "exclusiveMinimum": 0});
    json!({
        "type": "object",
        "properties": {"connect": seconds, "send": seconds, "read": seconds},
        "required": ["connect", "send", "read"],
    })
}

/// A resource with these rules of its own: it has no other properties, but for its times.
fn resource(mut own: Value) -> Value {
    own["type"] = json!("object");
    own["additionalProperties"] = json!(false);
    for key in ["create_time", "update_time"] {
        own["properties"][key] = time();
    }
    own
}

/// A [`resource`] with an id and what people call it.
pub(super) fn described(mut own: Value) -> Value {
    for (key, schema) in [
        ("id", id()),
        ("name", name()),
        ("desc", desc()),
        ("labels", labels()),
    ] {
        own["properties"][key] = schema;
    }
    resource(own)
}

fn plugins() -> Value {
    json!({"type": "object"})
}

fn hosts() -> Value {
    json!({"type": "array", "items": host(), "minItems": 1, "uniqueItems": true})
}

fn script() -> Value {
    json!({"type": "string", "minLength": 10, "maxLength": 102_400})
}

fn websocket() -> Value {
    json!({"description": "enable websocket for request", "type": "boolean"})
}

fn on_or_off(description: &str) -> Value {
    json!({"description": description, "type": "integer", "enum": [1, 0], "default": 1})
}

/// An address or a range of them.
fn address() -> Value {
    let byte = "([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])";
    let v4_range = format!("^{byte}\\.{byte}\\.{byte}\\.{byte}/([12]?[0-9]|3[0-2])$");
    let group = "[a-fA-F0-9]{0,4}";
    let v6_range = format!("^({group}:){{1,8}}(:{group}){{0,8}}({group})?/[0-9]{{1,3}}$");
    json!({
        "description": "client IP",
        "type": "string",
        "anyOf": [
            {"title": "IPv4", "type": "string", "format": "ipv4"},
            {"title": "IPv4/CIDR", "type": "string", "pattern": v4_range},
            {"title": "IPv6", "type": "string", "format": "ipv6"},
            {"title": "IPv6/CIDR", "type": "string", "pattern": v6_range},
        ],
    })
}

/// Either of two properties, or with `or_none` none of them.
fn either(one: &str, many: &str, or_none: bool) -> Value {
    let mut choice = vec![json!({"required": [one]}), json!({"required": [many]})];
    if or_none {
        let neither = json!({"not": {"anyOf": choice}});
        choice.insert(0, neither);
    }
    json!({"oneOf": choice})
}

/// What a route may be there for, with either property that says where.
fn route_purposes() -> Vec<Value> {
    let purposes = ["plugins", "upstream", "upstream_id", "service_id"];
    let of = |uri: &'static str| purposes.map(|purpose| json!({"required": [purpose, uri]}));
    let script = |uri: &'static str| json!({"required": ["script", uri]});
    let mut all = of("uri").to_vec();
    all.extend(of("uris"));
    all.extend([script("uri"), script("uris")]);
    all
}

fn methods() -> Value {
    json!({
        "type": "array",
        "items": {
            "description": "HTTP method",
            "type": "string",
            "enum": [
                "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE",
                "PURGE",
            ],
        },
        "uniqueItems": true,
    })
}

fn route() -> Value {
    described(json!({
        "properties": {
            "uri": {"type": "string", "minLength": 1, "maxLength": 4096},
            "uris": {
                "type": "array",
                "items": {"description": "HTTP uri", "type": "string"},
                "minItems": 1,
                "uniqueItems": true,
            },
            "priority": {"type": "integer", "default": 0},
            "methods": methods(),
            "host": host(),
            "hosts": hosts(),
            "remote_addr": address(),
            "remote_addrs": {
                "type": "array", "items": address(), "minItems": 1, "uniqueItems": true,
            },
            "timeout": timeouts(),
            "vars": {"type": "array"},
            "filter_func": {"type": "string", "minLength": 10, "pattern": "^function"},
            "script": script(),
            "script_id": id(),
            "plugins": plugins(),
            "plugin_config_id": id(),
            "upstream": upstream(),
            "service_id": id(),
            "upstream_id": id(),
            "enable_websocket": websocket(),
            "status": on_or_off("route status, 1 to enable, 0 to disable"),
        },
        "allOf": [
            either("uri", "uris", false),
            either("host", "hosts", true),
            either("remote_addr", "remote_addrs", true),
        ],
        "anyOf": route_purposes(),
        "not": {"anyOf": [
            {"required": ["script", "plugins"]},
            {"required": ["script", "plugin_config_id"]},
        ]},
    }))
}

fn service() -> Value {
    described(json!({"properties": {
        "plugins": plugins(),
        "upstream": upstream(),
        "upstream_id": id(),
        "script": script(),
        "enable_websocket": websocket(),
        "hosts": hosts(),
    }}))
}

fn consumer() -> Value {
    resource(json!({
        "properties": {
            "username": {
                "type": "string",
                "minLength": 1,
                "maxLength": 256,
                "pattern": "^[a-zA-Z0-9_\\-]+$",
            },
            "group_id": id(),
            "plugins": plugins(),
            "labels": labels(),
            "desc": desc(),
        },
        "required": ["username"],
    }))
}

fn credential() -> Value {
    described(json!({"properties": {
        "plugins": {"type": "object", "maxProperties": 1},
    }}))
}

/// A plugin config, or a consumer group.
fn plugin_set() -> Value {
    resource(json!({
        "properties": {
            "id": id(),
            "name": {"type": "string"},
            "desc": desc(),
            "labels": labels(),
            "plugins": plugins(),
        },
        "required": ["id", "plugins"],
    }))
}

fn global_rule() -> Value {
    resource(json!({
        "properties": {"id": id(), "plugins": plugins()},
        "required": ["id", "plugins"],
    }))
}

fn proto() -> Value {
    described(json!({
        "properties": {
            "content": {"type": "string", "minLength": 1, "maxLength": 1_048_576},
        },
        "required": ["content"],
    }))
}

fn ssl() -> Value {
    let pem = json!({"oneOf": [
        {"type": "string", "minLength": 128, "maxLength": 65_536},
        {"type": "string", "pattern": "^\\$(secret|env|ENV)://"},
    ]});
    described(json!({
        "properties": {
            "type": {
                "description": "ssl certificate type, server to server certificate, \
                                client to client certificate for upstream",
                "type": "string",
                "enum": ["server", "client"],
                "default": "server",
            },
            "cert": pem,
            "key": pem,
            "sni": host(),
            "snis": hosts(),
            "certs": {"type": "array", "items": pem},
            "keys": {"type": "array", "items": pem},
            "client": {
                "type": "object",
                "properties": {
                    "ca": pem,
                    "depth": {"type": "integer", "minimum": 0, "default": 1},
                    "skip_mtls_uri_regex": {
                        "type": "array",
                        "items": {"type": "string"},
                        "minItems": 1,
                        "uniqueItems": true,
                    },
                },
                "required": ["ca"],
            },
            "ssl_protocols": {
                "type": "array",
                "items": {"type": "string", "enum": ["TLSv1.1", "TLSv1.2", "TLSv1.3"]},
                "maxItems": 3,
                "uniqueItems": true,
            },
            "status": on_or_off("ssl status, 1 to enable, 0 to disable"),
        },
        "if": {"properties": {"type": {"enum": ["server"]}}},
        "then": {"oneOf": [
            {"required": ["sni", "key", "cert"]},
            {"required": ["snis", "key", "cert"]},
        ]},
        "else": {"required": ["key", "cert"]},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema_that_is_understood() {
        for kind in Kind::all() {
            assert!(schema_of(kind).json().is_object(), "{kind:?}");
        }
    }
}
