//! Resources as the gateway knows them: `/v1/routes`, `/v1/route/ID`, and the
//! like for services, upstreams and plugin metadata.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use outrigger_config::store::{Entry, Key, Seal};
use serde_json::{Value, json};

use super::{Control, Gateway};
use crate::answer;

/// The path of all of a kind, the path of one, and the kind's collection.
const KINDS: [(&str, &str, &str); 4] = [
    ("/v1/routes", "/v1/route/{id}", "routes"),
    ("/v1/services", "/v1/service/{id}", "services"),
    ("/v1/upstreams", "/v1/upstream/{id}", "upstreams"),
    (
        "/v1/plugin_metadatas",
        "/v1/plugin_metadata/{id}",
        "plugin_metadata",
    ),
];

pub(super) fn router(seal: &Arc<Seal>) -> Router<Arc<dyn Control>> {
    let mut router = Router::new();
    for (all, one, collection) in KINDS {
        let (of_all, of_one) = (Arc::clone(seal), Arc::clone(seal));
        router = router
            .route(
                all,
                get(move |State(gateway): Gateway| {
                    std::future::ready(list(&*gateway, &of_all, collection))
                }),
            )
            .route(
                one,
                get(move |State(gateway): Gateway, Path(id): Path<String>| {
                    std::future::ready(show(&*gateway, &of_one, collection, &id))
                }),
            );
    }
    router
}

fn list(gateway: &dyn Control, seal: &Seal, collection: &str) -> Response {
    let resources = gateway.resources();
    let shown: Vec<Value> = resources
        .collection(collection)
        .map(|(key, entry)| shape(key, entry, seal))
        .collect();
    answer::json(StatusCode::OK, &shown)
}

fn show(gateway: &dyn Control, seal: &Seal, collection: &str, id: &str) -> Response {
    let resources = gateway.resources();
    let found = Key::new(collection, id).ok();
    match found.and_then(|key| Some((resources.get(&key)?, key))) {
        Some((entry, key)) => answer::json(StatusCode::OK, &shape(&key, entry, seal)),
        None => answer::error(StatusCode::NOT_FOUND, format!("{collection} has no {id:?}")),
    }
}

/// One resource in APISIX's shape.
fn shape(key: &Key, entry: &Entry, seal: &Seal) -> Value {
    json!({
        "key": format!("/{key}"),
        "value": seal.seal_all(key, &entry.value),
        "createdIndex": entry.created,
        "modifiedIndex": entry.modified,
        "orig_modifiedIndex": entry.modified,
        "has_domain": has_name(&entry.value),
        "clean_handlers": {},
    })
}

/// Whether the upstream in a resource has a node that is a name.
fn has_name(value: &Value) -> bool {
    let nodes = value.pointer("/upstream/nodes").or(value.get("nodes"));
    let is_name = |host: &str| host.parse::<std::net::IpAddr>().is_err();
    match nodes {
        Some(Value::Object(nodes)) => nodes.keys().any(|node| is_name(host_of(node))),
        Some(Value::Array(nodes)) => nodes
            .iter()
            .filter_map(|node| node["host"].as_str())
            .any(|host| is_name(host.trim_matches(['[', ']']))),
        _ => false,
    }
}

/// The host in `host:port`, `[v6]:port`, or `host`.
fn host_of(node: &str) -> &str {
    match node.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => node.split(':').next().unwrap_or(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_are_names_are_told_from_addresses() {
        for (value, expected) in [
            (json!({"upstream": {"nodes": {"127.0.0.1:80": 1}}}), false),
            (json!({"upstream": {"nodes": {"a.test:80": 1}}}), true),
            (json!({"nodes": {"[::1]:80": 1}}), false),
            (
                json!({"nodes": [{"host": "a.test", "port": 80, "weight": 1}]}),
                true,
            ),
            (
                json!({"nodes": [{"host": "::1", "port": 80, "weight": 1}]}),
                false,
            ),
            (json!({"plugins": {}}), false),
        ] {
            assert_eq!(has_name(&value), expected, "{value}");
        }
    }
}
