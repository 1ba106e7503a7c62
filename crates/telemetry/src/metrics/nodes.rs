//! Nodes of upstreams that have health checks, under the name that APISIX has for it.

use super::text::{Family, Labels, Text};

/// One of them, as it is at the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeState {
    /// The key of the resource that its upstream is, or stands in.
    pub upstream: String,
    /// Its address or name.
    pub ip: String,
    /// Its port.
    pub port: u16,
    /// Whether requests go there.
    pub up: bool,
}

pub(super) fn write(nodes: &[NodeState], text: &mut Text) {
    let each = nodes.iter().map(|node| {
        let labels = Labels::none()
            .with("name", &node.upstream)
            .with("ip", &node.ip)
            .with("port", node.port);
        (labels, u8::from(node.up))
    });
    text.family(UP, each);
}

const UP: Family = Family::gauge(
    "apisix_upstream_status",
    "Nodes that have health checks: 1 if requests go there, 0 if not.",
);
