//! Metrics, handed out to whoever collects them: APISIX's export server.
//!
//! Unlike the control API it only tells, and a collector reaches it under any
//! name, so nobody is asked who they are: the address it listens on decides.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;
use outrigger_telemetry::metrics::{
    BreakerState, CONTENT_TYPE, EtcdState, InstanceState, Metrics, NodeState, RunnerState,
};
use tokio::time::timeout;

use crate::control::{self, CheckedNode, CheckedUpstream, Control, EtcdStatus, RunnerStatus};
use crate::limits;

#[derive(Clone)]
struct Told {
    metrics: Metrics,
    gateway: Arc<dyn Control>,
}

/// Hands `metrics` out at `path`, with what the runners of `gateway` do.
pub fn router(path: &str, metrics: Metrics, gateway: Arc<dyn Control>) -> Router {
    Router::new()
        .route(path, get(tell))
        .with_state(Told { metrics, gateway })
}

async fn tell(State(told): State<Told>) -> Response {
    // A gateway that is stopping has no ear for this any more.
    let runners = timeout(limits::RUNNERS, told.gateway.runners()).await;
    let runners = by_name(&runners.unwrap_or_default());
    let kind = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    let nodes = nodes(told.gateway.health());
    let mut text = told.metrics.render(&runners, &nodes);
    if let Some(etcd) = told.gateway.etcd() {
        text.push_str(&state_of(etcd).render());
    }
    (kind, text).into_response()
}

fn state_of(etcd: EtcdStatus) -> EtcdState {
    EtcdState {
        reachable: etcd.health.reachable,
        last_contact: etcd.health.last_contact,
        revision: etcd.health.revision,
        modify_indexes: etcd.modify_indexes,
    }
}

/// Every node whose health is looked after.
fn nodes(upstreams: Vec<CheckedUpstream>) -> Vec<NodeState> {
    let of = |CheckedUpstream { name, nodes, .. }| {
        nodes.into_iter().map(move |node: CheckedNode| NodeState {
            upstream: String::clone(&name),
            up: node.is_up(),
            ip: node.ip,
            port: node.port,
        })
    };
    upstreams.into_iter().flat_map(of).collect()
}

/// Every runner with its processes.
fn by_name(processes: &[RunnerStatus]) -> Vec<RunnerState> {
    let mut runners: Vec<RunnerState> = Vec::new();
    for process in processes {
        let index = runners.iter().position(|known| known.name == process.name);
        let index = index.unwrap_or_else(|| {
            runners.push(RunnerState {
                name: process.name.clone(),
                breaker: process.breaker.as_deref().and_then(breaker),
                ..RunnerState::default()
            });
            runners.len() - 1
        });
        let runner = &mut runners[index];
        runner.in_flight += process.in_flight;
        // They wait for the runner, whichever of its processes it will be.
        runner.queued = runner.queued.max(process.queued);
        runner.instances.push(instance(process));
    }
    runners
}

fn instance(process: &RunnerStatus) -> InstanceState {
    let external = process.state == control::RunnerState::External;
    InstanceState {
        number: process.instance as usize,
        up: external || process.state == control::RunnerState::Running,
        generation: process.generation,
        restarts: (!external).then_some(process.restarts),
        pid: process.pid,
    }
}

fn breaker(word: &str) -> Option<BreakerState> {
    match word {
        "closed" => Some(BreakerState::Closed),
        "half-open" => Some(BreakerState::HalfOpen),
        "open" => Some(BreakerState::Open),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(instance: u32) -> RunnerStatus {
        RunnerStatus {
            name: "go".to_owned(),
            instance,
            state: control::RunnerState::Running,
            pid: None,
            generation: Some(2),
            restarts: 1,
            since: None,
            socket: None,
            in_flight: 3,
            queued: 4,
            breaker: Some("half-open".to_owned()),
            trouble: None,
        }
    }

    #[test]
    fn the_processes_of_a_runner_are_together() {
        let external = RunnerStatus {
            name: "java".to_owned(),
            state: control::RunnerState::External,
            generation: None,
            breaker: None,
            ..process(1)
        };
        let failing = RunnerStatus {
            state: control::RunnerState::Failing,
            ..process(2)
        };
        let runners = by_name(&[process(1), external, failing]);
        let names: Vec<_> = runners.iter().map(|runner| &*runner.name).collect();
        assert_eq!(names, ["go", "java"]);
        assert_eq!((runners[0].in_flight, runners[0].queued), (6, 4));
        assert_eq!(runners[0].breaker, Some(BreakerState::HalfOpen));
        let up = |runner: &RunnerState| -> Vec<_> {
            let instances = runner.instances.iter();
            instances
                .map(|it| (it.number, it.up, it.restarts))
                .collect()
        };
        assert_eq!(up(&runners[0]), [(1, true, Some(1)), (2, false, Some(1))]);
        assert_eq!(up(&runners[1]), [(1, true, None)]);
    }
}
