//! The health of upstreams' nodes, as the control API and metrics tell it.

use outrigger_admin::control::{CheckedNode, CheckedUpstream, Counter};
use outrigger_engine::snapshot::Snapshot;
use outrigger_engine::upstream::{Node, Upstream};
use outrigger_model::{ActiveChecks, Kind};

/// All upstreams of `snapshot` whose nodes' health is looked after.
pub(crate) fn told(snapshot: &Snapshot) -> Vec<CheckedUpstream> {
    let all = snapshot.checked_upstreams().into_iter();
    all.filter_map(|(owner, upstream)| {
        let checks = upstream.checks()?;
        let collection = match owner.kind {
            Kind::Upstream => "upstreams",
            Kind::Service => "services",
            _ => "routes",
        };
        Some(CheckedUpstream {
            name: format!("/apisix/{collection}/{}", owner.id),
            r#type: checks.active.probe.name(),
            nodes: nodes(&upstream, &checks.active),
        })
    })
    .collect()
}

fn nodes(upstream: &Upstream, active: &ActiveChecks) -> Vec<CheckedNode> {
    let nodes = upstream.nodes().iter();
    nodes.map(|node| checked(node, active)).collect()
}

fn checked(node: &Node, active: &ActiveChecks) -> CheckedNode {
    let health = node.health();
    let ip = node.address.host();
    CheckedNode {
        hostname: active.host.clone().unwrap_or_else(|| ip.clone()),
        ip,
        port: active.port.unwrap_or(node.address.port()),
        status: health.condition.name(),
        counter: Counter {
            success: health.successes,
            http_failure: health.http_failures,
            tcp_failure: health.tcp_failures,
            timeout_failure: health.timeouts,
        },
    }
}
