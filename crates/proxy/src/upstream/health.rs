//! Saying that a node of an upstream turned out well, or is no longer.

use outrigger_engine::upstream::health::Condition;
use outrigger_engine::upstream::{Node, Upstream};

pub(crate) use outrigger_engine::upstream::health::Report;

/// A request met this at the node.
pub(crate) fn met(upstream: &Upstream, node: &Node, report: Report) {
    if let Some(condition) = upstream.met(node, report) {
        tell(node, condition, "requests");
    }
}

/// A node turned.
pub(crate) fn tell(node: &Node, condition: Condition, seen_by: &str) {
    let node = &node.address;
    if condition.is_well() {
        tracing::info!(%node, seen_by, "an upstream node is healthy again");
    } else {
        tracing::warn!(%node, seen_by, "an upstream node is unhealthy: it gets no more requests");
    }
}
