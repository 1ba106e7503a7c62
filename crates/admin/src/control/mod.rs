//! The control API: what the gateway runs on, and what its runners do.
//!
//! `GET /v1/schema`, `/v1/healthcheck`, `/v1/routes`, `/v1/route/ID` and so on,
//! and `PUT /v1/plugins/reload` are APISIX's. `/v1/runners`, `/v1/reload` and
//! `/v1/etcd` are this gateway's own.

mod etcd;
mod guard;
mod health;
mod resources;
mod runners;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::StatusCode;
use outrigger_config::store::{Inventory, Seal};
use serde_json::json;

use crate::answer;
use crate::api;
use crate::resources::Catalogue;

pub use etcd::EtcdStatus;
pub use health::{CheckedNode, CheckedUpstream, Counter};
pub use runners::{Command, CommandError, RunnerState, RunnerStatus};

/// What the gateway does for the control API.
pub trait Control: Send + Sync + 'static {
    /// What every process of every runner is doing.
    fn runners(&self) -> Answer<'_, Vec<RunnerStatus>>;

    /// Gives a command to all processes of a runner. It is under way when this returns.
    fn command(&self, runner: String, command: Command) -> Answer<'_, Result<(), CommandError>>;

    /// Does what SIGHUP does.
    ///
    /// # Errors
    /// What is wrong with the configuration; nothing was reloaded then.
    fn reload(&self) -> Answer<'_, Result<(), String>>;

    /// How the nodes of upstreams are that have health checks.
    fn health(&self) -> Vec<CheckedUpstream>;

    /// The resources that requests run on.
    fn resources(&self) -> Arc<Inventory>;

    /// What is known of the etcd that the resources come from, where they do.
    fn etcd(&self) -> Option<EtcdStatus>;
}

/// What comes after a moment.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

type Gateway = State<Arc<dyn Control>>;

/// The control API of `gateway`, which has the plugins of `catalogue`, listened to on
/// `local`. Secrets of resources are shown sealed by `seal`.
pub fn router(
    gateway: Arc<dyn Control>,
    catalogue: Arc<ArcSwap<Catalogue>>,
    seal: Arc<Seal>,
    local: IpAddr,
) -> Router {
    let schemas = move || std::future::ready(schemas(&catalogue.load()));
    Router::new()
        .route("/v1/schema", get(schemas))
        .route("/v1/plugins/reload", put(reload_plugins))
        .route("/v1/reload", post(reload))
        .merge(health::router())
        .merge(resources::router(&seal))
        .merge(runners::router())
        .merge(etcd::router())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(gateway)
        .layer(middleware::from_fn_with_state(local, guard::refuse_pages))
}

fn schemas(catalogue: &Catalogue) -> Response {
    answer::json(StatusCode::OK, &api::schemas(catalogue))
}

/// APISIX loads the code of plugins anew. Here that is the runners'.
async fn reload_plugins(State(gateway): Gateway) -> Response {
    match gateway.reload().await {
        Ok(()) => (StatusCode::OK, "done").into_response(),
        Err(why) => answer::error(StatusCode::BAD_REQUEST, why),
    }
}

async fn reload(State(gateway): Gateway) -> Response {
    match gateway.reload().await {
        Ok(()) => answer::json(StatusCode::OK, &json!({"message": "reloaded"})),
        Err(why) => answer::error(StatusCode::BAD_REQUEST, why),
    }
}

async fn not_found() -> Response {
    answer::error(StatusCode::NOT_FOUND, "not found")
}

async fn wrong_method() -> Response {
    answer::error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
}

#[cfg(test)]
mod tests;
