//! `/v1/healthcheck`: how the nodes of upstreams are that have health checks.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use outrigger_config::store::Key;
use serde::Serialize;

use super::{Control, Gateway};
use crate::answer;

/// An upstream whose nodes' health is looked after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckedUpstream {
    /// The key of the resource that it is, or stands in: `/apisix/routes/1`.
    pub name: String,
    /// What probes speak: `http`, `https` or `tcp`.
    pub r#type: &'static str,
    /// Its nodes.
    pub nodes: Vec<CheckedNode>,
}

/// One of its nodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckedNode {
    /// Its address, or its name where it is given by that.
    pub ip: String,
    /// The port that probes go to.
    pub port: u16,
    /// Which host probes ask for.
    pub hostname: String,
    /// `healthy`, `mostly_healthy`, `mostly_unhealthy` or `unhealthy`.
    pub status: &'static str,
    /// What has been counted since the status was settled.
    pub counter: Counter,
}

impl CheckedNode {
    /// Whether requests go there.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.status, "healthy" | "mostly_healthy")
    }
}

/// How often what has happened at a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// It was well.
    pub success: u8,
    /// It answered with a bad status.
    pub http_failure: u8,
    /// It could not be connected to.
    pub tcp_failure: u8,
    /// It did not answer in time.
    pub timeout_failure: u8,
}

pub(super) fn router() -> Router<Arc<dyn Control>> {
    Router::new()
        .route("/v1/healthcheck", get(list))
        .route("/v1/healthcheck/{collection}", get(without_id))
        .route("/v1/healthcheck/{collection}/{id}", get(show))
}

/// Routes first, then services, then upstreams, as in APISIX.
const COLLECTIONS: [&str; 3] = ["routes", "services", "upstreams"];

async fn list(State(gateway): Gateway) -> Response {
    let mut all = gateway.health();
    let place = |upstream: &CheckedUpstream| {
        let mut collections = COLLECTIONS.iter();
        collections.position(|it| upstream.name.split('/').any(|part| part == *it))
    };
    all.sort_by(|a, b| (place(a), &a.name).cmp(&(place(b), &b.name)));
    answer::json(StatusCode::OK, &all)
}

async fn without_id(Path(collection): Path<String>) -> Response {
    let why = format!("missing src id for src type {collection}");
    answer::error(StatusCode::NOT_FOUND, why)
}

async fn show(State(gateway): Gateway, Path((collection, id)): Path<(String, String)>) -> Response {
    if !COLLECTIONS.contains(&&*collection) {
        let why = format!("invalid src type {collection}");
        return answer::error(StatusCode::BAD_REQUEST, why);
    }
    let end = format!("/{collection}/{id}");
    let mut all = gateway.health().into_iter();
    if let Some(found) = all.find(|upstream| upstream.name.ends_with(&end)) {
        return answer::json(StatusCode::OK, &found);
    }
    let key = Key::new(&collection, &id).ok();
    let exists = key.is_some_and(|key| gateway.resources().get(&key).is_some());
    let why = match exists {
        true => format!("no checker for {collection}[{id}]"),
        false => format!("{collection}[{id}] not found"),
    };
    answer::error(StatusCode::NOT_FOUND, why)
}
