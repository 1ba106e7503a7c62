//! The etcd that resources come from: `/v1/etcd`.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use outrigger_config::store::etcd::Health;
use serde_json::{Value, json};

use super::{Control, Gateway};
use crate::answer;

/// What is known of etcd.
#[derive(Debug, Clone)]
pub struct EtcdStatus {
    /// Whether it is there.
    pub health: Health,
    /// The highest revision in which a resource of each collection was written.
    pub modify_indexes: Vec<(&'static str, u64)>,
}

pub(super) fn router() -> Router<Arc<dyn Control>> {
    Router::new().route("/v1/etcd", get(show))
}

async fn show(State(gateway): Gateway) -> Response {
    match gateway.etcd() {
        Some(status) => answer::json(StatusCode::OK, &shape(&status.health)),
        None => answer::error(
            StatusCode::NOT_FOUND,
            "the resources of this gateway do not come from etcd",
        ),
    }
}

fn shape(health: &Health) -> Value {
    json!({
        "reachable": health.reachable,
        "since": seconds(health.since),
        "last_contact": health.last_contact.map(seconds),
        "host": health.host,
        "revision": health.revision,
        "from_snapshot": health.from_snapshot,
        "trouble": health.trouble,
    })
}

/// Since 1970.
fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
