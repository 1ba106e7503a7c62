//! `/v1/runners`: what the runners' processes do, and commands to them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use super::{Control, Gateway};
use crate::answer;

/// One process of a runner, or the place where one is to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunnerStatus {
    /// The runner's name in `config.yaml`; `default` for the one without.
    pub name: String,
    /// Which of its processes, from 1.
    pub instance: u32,
    /// What it is doing.
    pub state: RunnerState,
    /// The process that calls go to, or that is starting, if known.
    pub pid: Option<u32>,
    /// The number of that process among all that the gateway has started.
    pub generation: Option<u64>,
    /// How many processes it has had before, since the gateway was started.
    pub restarts: u64,
    /// When it came into this state; seconds since 1970 in JSON.
    #[serde(serialize_with = "seconds")]
    pub since: Option<SystemTime>,
    /// Where it listens.
    pub socket: Option<PathBuf>,
    /// Calls that it is answering.
    pub in_flight: u64,
    /// Calls that wait for it.
    pub queued: u64,
    /// Whether calls are let through: `closed`, `open` or `half-open`, as
    /// circuit breakers are spoken of. None where there is no breaker.
    pub breaker: Option<String>,
    /// Why it is not running, in words.
    pub trouble: Option<String>,
}

/// What a runner's process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunnerState {
    /// It was started and does not listen yet.
    Starting,
    /// It listens: calls go there.
    Running,
    /// It does not come up; it is tried again and again.
    Failing,
    /// It was told to stop and has not ended yet.
    Stopping,
    /// It was told to stop.
    Stopped,
    /// Somebody else starts it; the gateway only calls it.
    External,
    /// None is configured.
    Absent,
}

/// What to do with a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// Start new processes, switch calls over, stop the old ones.
    Restart,
    /// Stop the processes; none follows.
    Stop,
    /// Start what was stopped.
    Start,
}

/// A command that is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no runner of this name.
    #[error("there is no runner {name:?}; there are: {}", known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The gateway only calls it.
    #[error("the runner {name:?} is started by others, at {}; restart it there", socket.display())]
    External {
        /// The runner.
        name: String,
        /// Where it listens.
        socket: PathBuf,
    },
    /// The gateway is stopping, or something keeps it.
    #[error("{0}")]
    Failed(String),
}

pub(super) fn router() -> Router<Arc<dyn Control>> {
    Router::new()
        .route("/v1/runners", get(list))
        .route("/v1/runners/{name}/{command}", post(command))
}

async fn list(State(gateway): Gateway) -> Response {
    answer::json(StatusCode::OK, &gateway.runners().await)
}

async fn command(
    State(gateway): Gateway,
    Path((name, command)): Path<(String, String)>,
) -> Response {
    let Ok(known) = serde_json::from_value::<Command>(command.clone().into()) else {
        return answer::error(
            StatusCode::NOT_FOUND,
            format!("there is no command {command:?}; there are: restart, stop, start"),
        );
    };
    match gateway.command(name.clone(), known).await {
        Ok(()) => answer::json(StatusCode::OK, &json!({"runner": name, "command": command})),
        Err(error) => {
            let status = match error {
                CommandError::Unknown { .. } => StatusCode::NOT_FOUND,
                CommandError::External { .. } => StatusCode::CONFLICT,
                CommandError::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            answer::error(status, error.to_string())
        }
    }
}

fn seconds<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map(|since| since.as_secs()).serialize(serializer)
}
