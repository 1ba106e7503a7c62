//! The schema of upstreams, which stand alone and in routes and services.

use serde_json::{Value, json};

use super::schemas::{described, id, timeouts};

/// A host, with or without a wildcard.
pub(super) fn host() -> Value {
    json!({"type": "string", "pattern": "^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$"})
}

pub(super) fn upstream() -> Value {
    described(json!({
        "properties": {
            "nodes": nodes(),
            "retries": {"type": "integer", "minimum": 0},
            "retry_timeout": {"type": "number", "minimum": 0},
            "timeout": timeouts(),
            "tls": tls(),
            "keepalive_pool": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer", "default": 320, "minimum": 1},
                    "idle_timeout": {"type": "number", "default": 60, "minimum": 0},
                    "requests": {"type": "integer", "default": 1000, "minimum": 1},
                },
            },
            "type": {
                "description": "algorithms of load balancing",
                "type": "string",
                "default": "roundrobin",
            },
            "checks": checks(),
            "hash_on": {
                "type": "string",
                "default": "vars",
                "enum": ["vars", "header", "cookie", "consumer", "vars_combinations"],
            },
            "key": {
                "description": "the key of chash for dynamic load balancing",
                "type": "string",
            },
            "scheme": {
                "description": "The scheme of the upstream. \
                    For L7 proxy, it can be one of grpc/grpcs/http/https. \
                    For L4 proxy, it can be one of tcp/tls/udp. \
                    For specific protocols, it can be kafka.",
                "enum": ["grpc", "grpcs", "http", "https", "tcp", "tls", "udp", "kafka"],
                "default": "http",
            },
            "discovery_type": {"description": "discovery type", "type": "string"},
            "discovery_args": {
                "type": "object",
                "properties": {
                    "namespace_id": {"description": "namespace id", "type": "string"},
                    "group_name": {"description": "group name", "type": "string"},
                },
            },
            "pass_host": {
                "description": "mod of host passing",
                "type": "string",
                "enum": ["pass", "node", "rewrite"],
                "default": "pass",
            },
            "upstream_host": host(),
            "service_name": {"type": "string", "minLength": 1, "maxLength": 256},
        },
        "oneOf": [
            {"required": ["nodes"]},
            {"required": ["service_name", "discovery_type"]},
        ],
    }))
}

fn nodes() -> Value {
    let weight = json!({"description": "weight of node", "type": "integer", "minimum": 0});
    let port = json!({
        "description": "port of node", "type": "integer", "minimum": 1, "maximum": 65535,
    });
    let priority = json!({
        "description": "priority of node", "type": "integer", "default": 0,
    });
    json!({"anyOf": [
        {"type": "object", "patternProperties": {".*": weight}},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "host": host(),
                    "port": port,
                    "weight": weight,
                    "priority": priority,
                    "metadata": {"description": "metadata of node", "type": "object"},
                },
                "required": ["host", "weight"],
            },
        },
    ]})
}

fn tls() -> Value {
    let pem = json!({"type": "string", "minLength": 128, "maxLength": 65_536});
    json!({
        "type": "object",
        "properties": {
            "client_cert_id": id(),
            "client_cert": pem,
            "client_key": pem,
            "verify": {
                "description": "Turn on server certificate verification, \
                                currently only kafka upstream is supported",
                "type": "boolean",
                "default": false,
            },
        },
        "dependencies": {
            "client_cert": {"required": ["client_key"]},
            "client_key": {"required": ["client_cert"]},
            "client_cert_id": {"not": {"required": ["client_cert", "client_key"]}},
        },
    })
}

/// How often in a row before a node's state changes.
fn times(default: u64, least: u64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": 254, "default": default})
}

fn seconds() -> Value {
    json!({"type": "integer", "minimum": 1, "default": 1})
}

fn statuses(default: &[u16]) -> Value {
    json!({
        "type": "array",
        "items": {"type": "integer", "minimum": 200, "maximum": 599},
        "minItems": 1,
        "uniqueItems": true,
        "default": default,
    })
}

fn probe_type() -> Value {
    json!({"type": "string", "enum": ["http", "https", "tcp"], "default": "http"})
}

fn checks() -> Value {
    json!({
        "type": "object",
        "properties": {"active": active_checks(), "passive": passive_checks()},
        "anyOf": [{"required": ["active"]}, {"required": ["active", "passive"]}],
    })
}

fn active_checks() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": probe_type(),
            "timeout": {"type": "number", "default": 1},
            "concurrency": {"type": "integer", "default": 10},
            "host": host(),
            "port": {"type": "integer", "minimum": 1, "maximum": 65535},
            "http_path": {"type": "string", "default": "/"},
            "https_verify_certificate": {"type": "boolean", "default": true},
            "healthy": {
                "type": "object",
                "properties": {
                    "interval": seconds(),
                    "http_statuses": statuses(&[200, 302]),
                    "successes": times(2, 1),
                },
            },
            "unhealthy": {
                "type": "object",
                "properties": {
                    "interval": seconds(),
                    "http_statuses": statuses(&[429, 404, 500, 501, 502, 503, 504, 505]),
                    "http_failures": times(5, 1),
                    "tcp_failures": times(2, 1),
                    "timeouts": times(3, 1),
                },
            },
            "req_headers": {
                "type": "array",
                "items": {"type": "string", "uniqueItems": true},
                "minItems": 1,
            },
        },
    })
}

fn passive_checks() -> Value {
    let well: Vec<u16> = (200..=208).chain([226]).chain(300..=308).collect();
    json!({
        "type": "object",
        "properties": {
            "type": probe_type(),
            "healthy": {
                "type": "object",
                "properties": {"http_statuses": statuses(&well), "successes": times(5, 0)},
            },
            "unhealthy": {
                "type": "object",
                "properties": {
                    "http_statuses": statuses(&[429, 500, 503]),
                    "tcp_failures": times(2, 0),
                    "timeouts": times(7, 0),
                    "http_failures": times(5, 0),
                },
            },
        },
    })
}
