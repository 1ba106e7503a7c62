//! No document makes the reader panic, and every fault has a place and a message.

use outrigger_model::Resources;
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

/// Names that the reader asks for, so that it gets deep into random documents.
const KEYS: [&str; 36] = [
    "routes",
    "services",
    "upstreams",
    "id",
    "uri",
    "uris",
    "host",
    "hosts",
    "methods",
    "priority",
    "status",
    "timeout",
    "connect",
    "send",
    "read",
    "plugins",
    "upstream",
    "upstream_id",
    "nodes",
    "weight",
    "port",
    "labels",
    "keepalive_pool",
    "127.0.0.1:80",
    "ssls",
    "cert",
    "key",
    "certs",
    "keys",
    "snis",
    "client",
    "skip_mtls_uri_regex",
    "tls",
    "client_cert_id",
    "auth_config",
    "vault/1",
];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|float| Number::from_f64(float).map_or(Value::Null, Value::Number)),
        "[a-z/*:.\\[\\]0-9é ]{0,12}".prop_map(Value::String),
        prop::sample::select(&KEYS).prop_map(Value::from),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(&KEYS).prop_map(str::to_owned),
        1 => "[a-z:*\\[\\].0-9é ]{0,12}",
    ]
}

fn document() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 128, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((key(), inner), 0..8)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn is_read_or_refused(
        routes in document(), upstreams in document(), ssls in document(), secret in document(),
        all in document(),
    ) {
        let whole = serde_json::json!({
            "routes": [routes], "upstreams": [upstreams], "ssls": [ssls],
            "secrets": [{"id": "gcp/1", "auth_config": secret}], "plugin_metadata": [secret],
            "protos": [secret],
        });
        for document in [whole, all] {
            match Resources::from_json(&document) {
                Ok(resources) => drop(resources.check_references()),
                Err(faults) => {
                    prop_assert!(faults.iter().count() > 0);
                    prop_assert!(faults.iter().all(|fault| !fault.message.is_empty()));
                }
            }
        }
    }
}
