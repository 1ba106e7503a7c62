//! What the proxy is told: what holds as long as it runs, and what may change meanwhile.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outrigger_engine::real_ip::RealIp;
use outrigger_engine::target::PathRules;
use outrigger_model::{Cidr, Trust};
use outrigger_telemetry::metrics::Metrics;
use outrigger_telemetry::trace::Tracer;

use crate::access_log::AccessLog;
use crate::tls::TlsSettings;

/// What holds as long as the proxy runs.
#[derive(Debug, Clone)]
pub struct Fixed {
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Where clients and requests are counted.
    pub metrics: Metrics,
}

/// What may change while the proxy runs; every duration is a limit.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// How TLS is spoken to clients.
    pub tls: TlsSettings,
    /// What connections of clients are held to.
    pub connections: ConnectionSettings,
    /// Longest request body in bytes; `None`: no limit.
    pub max_body: Option<u64>,
    /// Longest line of a request head, its end not counted, in bytes.
    pub max_line: usize,
    /// Between two parts of a request's body.
    pub body_timeout: Duration,
    /// How routes and plugins see paths.
    pub path_rules: PathRules,
    /// Whether fields of requests with an underscore in their names are left out.
    pub drop_underscores: bool,
    /// Whether every response tells the upstream's status, not only a failed one.
    pub show_upstream_status: bool,
    /// Whether the field `Server` tells the version.
    pub show_version: bool,
    /// What traces requests; none if nothing does.
    pub tracer: Option<Tracer>,
    /// The access log, if there is to be one.
    pub access_log: Option<AccessLog>,
    /// Who may vouch for upstreams whose certificates are verified.
    pub upstream_trust: Trust,
    /// Whether the health of upstreams' nodes is looked after where they ask for it.
    pub health_checks: bool,
    /// Whether upstreams are told by name, before TLS begins, which host is meant.
    pub upstream_sni: bool,
}

/// Where clients are listened to, and what they may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 is chosen by the system.
    pub address: SocketAddr,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Whether HTTP/2 may be spoken: with TLS if both sides want it, else if the client
    /// begins with it.
    pub http2: bool,
}

/// As a URL.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.address)
    }
}

/// What a client's connection is held to from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Peers whose `X-Forwarded-*` fields are believed.
    pub trusted: Vec<Cidr>,
    /// Proxies that are believed about their clients' addresses.
    pub real_ip: Option<Arc<RealIp>>,
    /// Longest request head in bytes.
    pub max_head: usize,
    /// For a request's head to come whole.
    pub head_timeout: Duration,
    /// Between two requests; zero: a connection serves but one.
    pub idle_timeout: Duration,
    /// For a client to take the next part of a response.
    pub send_timeout: Duration,
}
