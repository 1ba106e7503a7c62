//! Whether the gateway serves: APISIX's status server, for whoever decides where
//! requests are sent.
//!
//! It listens as soon as the first resources are in effect, and no longer when the gateway
//! stops; so whoever gets an answer gets a good one.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde_json::json;

use crate::answer;

/// Where it is told that the gateway runs.
pub const PATH: &str = "/status";

/// Where it is told that resources are in effect.
const READY: &str = "/status/ready";

/// Tells at [`PATH`] and below.
pub fn router() -> Router {
    Router::new().route(PATH, get(tell)).route(READY, get(tell))
}

async fn tell() -> Response {
    answer::json(StatusCode::OK, &json!({"status": "ok"}))
}
