//! A server of an upstream, and what is known of it beyond one configuration.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use outrigger_model as model;

use super::health::{self, Health};
use super::load::Load;

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An address that needs no look-up.
    Socket(SocketAddr),
    /// A name to be looked up when a connection is made.
    Name(Arc<str>, u16),
}

impl Address {
    /// The host without its port, as APISIX shows it: IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Address::Socket(SocketAddr::V4(address)) => address.ip().to_string(),
            Address::Socket(SocketAddr::V6(address)) => format!("[{}]", address.ip()),
            Address::Name(name, _) => name.to_string(),
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Address::Socket(address) => address.port(),
            Address::Name(_, port) => *port,
        }
    }

    /// The same host, with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        match self {
            Address::Socket(address) => Address::Socket(SocketAddr::new(address.ip(), port)),
            Address::Name(name, _) => Address::Name(Arc::clone(name), port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Socket(address) => write!(f, "{address}"),
            Address::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// A server of an upstream.
#[derive(Debug)]
pub struct Node {
    /// Where it listens.
    pub address: Address,
    /// Its name and port as a `Host` field (`pass_host: node`).
    pub host_field: HeaderValue,
    pub(super) weight: u64,
    pub(super) priority: i64,
    /// The same in every configuration that has this node in this upstream.
    pub(super) load: Arc<Load>,
    /// As long as the health checks are the same, too.
    pub(super) health: Arc<health::Shared>,
}

impl Node {
    /// `None` for a host that no `Host` field can name; the model lets none
    /// of these through.
    pub(super) fn new(node: &model::Node) -> Option<Self> {
        let host = node.host.to_string();
        let address = match &node.host {
            model::Host::Ip(ip) => Address::Socket(SocketAddr::new(*ip, node.port)),
            model::Host::Name(name) => Address::Name(name.as_str().into(), node.port),
        };
        Some(Node {
            address,
            host_field: HeaderValue::from_str(&format!("{host}:{}", node.port)).ok()?,
            weight: u64::from(node.weight),
            priority: node.priority,
            load: Arc::new(Load::new()),
            health: Arc::default(),
        })
    }

    /// What it is called where nodes are told apart by name.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.address.host(), self.address.port())
    }

    /// Whether it is well, and why.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.get()
    }

    pub(super) fn is_well(&self) -> bool {
        self.health().condition.is_well()
    }
}
