//! Upstreams: where requests go.

use std::time::Duration;

use serde_json::Value;

use crate::described::Described;
use crate::read::{At, Null, Object, read};
use crate::{Balancing, Checks, Faults, Id, Labels, Node, Timeout, UpstreamTls};
use crate::{balancing, limits, node, timeout, unsupported};

/// The protocol that the nodes speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 without TLS.
    #[default]
    Http,
    /// HTTP/1.1 over TLS.
    Https,
}

impl Scheme {
    /// The port of a node that is given without one.
    pub(crate) fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Which `Host` a node is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum PassHost {
    /// The client's.
    #[default]
    Pass,
    /// The node's own.
    Node,
    /// This one: `upstream_host`. Not empty.
    Rewrite(String),
}

/// The connections to the nodes that are kept for further requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeepalivePool {
    /// How many idle ones there are at most; at least 1.
    pub size: u32,
    /// How long one stays idle; zero means without end.
    pub idle_timeout: Duration,
    /// How many requests one serves; at least 1.
    pub requests: u32,
}

impl Default for KeepalivePool {
    /// APISIX's defaults.
    fn default() -> Self {
        Self {
            size: 320,
            idle_timeout: Duration::from_secs(60),
            requests: 1000,
        }
    }
}

/// A set of servers that do the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its id; none if it stands inside of a route or service.
    pub id: Option<Id>,
    /// Its name.
    pub name: Option<String>,
    /// What it is for, in words.
    pub desc: Option<String>,
    /// Its labels.
    pub labels: Labels,
    /// How requests are spread over the nodes.
    pub balancing: Balancing,
    /// How the nodes are found to be well; none where nobody looks.
    pub checks: Option<Checks>,
    /// The servers. There may be none: then requests are answered with 503.
    pub nodes: Vec<Node>,
    /// What the nodes speak.
    pub scheme: Scheme,
    /// How TLS is spoken to them, where it is.
    pub tls: UpstreamTls,
    /// How long they may take.
    pub timeout: Timeout,
    /// How often a failed request is sent again; by default as often as there
    /// are further nodes. The only node is asked again itself.
    pub retries: Option<u32>,
    /// For how long a failed request may be sent again; none or zero for no limit.
    pub retry_timeout: Option<Duration>,
    /// Which `Host` they are sent.
    pub pass_host: PassHost,
    /// The connections that are kept.
    pub keepalive_pool: KeepalivePool,
}

const SCHEMES: [&str; 8] = [
    "grpc", "grpcs", "http", "https", "tcp", "tls", "udp", "kafka",
];

impl Upstream {
    /// Reads one from APISIX's JSON shape, or reports all that is wrong with it.
    pub fn from_json(json: &Value) -> Result<Self, Faults> {
        read(json, Null::IsAValue, Self::read)
    }

    /// Reads one that stands inside of another resource. An id that it may have
    /// means nothing there.
    pub(crate) fn read_inline(at: &At<'_>) -> Option<Self> {
        let upstream = Self::read(at)?;
        Some(Self {
            id: None,
            ..upstream
        })
    }

    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object()?;
        let id = object.read("id", Id::read);
        let Described { name, desc, labels } = Described::read(&object);
        let balancing = balancing::read(&object);
        let checks = object.read("checks", Checks::read);
        let scheme = read_scheme(&object);
        let tls = object.read("tls", UpstreamTls::read);
        unsupported::refuse(
            &object,
            &[
                ("discovery_type", "yet: use nodes"),
                ("discovery_args", "yet: use nodes"),
                ("service_name", "yet: use nodes"),
            ],
        );
        let nodes = |at: &At<'_>| node::read(at, scheme.default_port());
        // With service discovery, the missing nodes are not what is wrong.
        let nodes = match object.get("discovery_type") {
            Some(_) => object.read("nodes", nodes),
            None => object.require("nodes").and_then(|at| nodes(&at)),
        };
        let timeout = object.read("timeout", Timeout::read);
        let retries = object.read("retries", |at| at.integer(0..=limits::RETRIES));
        let retry_timeout = object.read("retry_timeout", timeout::seconds);
        let pass_host = read_pass_host(&object);
        let keepalive_pool = object.read("keepalive_pool", read_pool);
        object.finish();
        Some(Self {
            id,
            name,
            desc,
            labels,
            balancing: balancing?,
            checks,
            nodes: nodes?,
            scheme,
            tls: tls.unwrap_or_default(),
            timeout: timeout.unwrap_or_default(),
            retries: retries.and_then(|retries| u32::try_from(retries).ok()),
            retry_timeout,
            pass_host: pass_host?,
            keepalive_pool: keepalive_pool.unwrap_or_default(),
        })
    }
}

fn read_scheme(object: &Object<'_>) -> Scheme {
    let Some(at) = object.get("scheme") else {
        return Scheme::default();
    };
    match at.one_of(&SCHEMES) {
        None | Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(known) => {
            let instead = "is not supported yet: use \"http\" or \"https\"";
            at.fault(format!("{known:?} {instead}"));
            Scheme::Http
        }
    }
}

fn read_pass_host(object: &Object<'_>) -> Option<PassHost> {
    let upstream_host = object.get("upstream_host");
    let rewritten = upstream_host.and_then(|at| {
        let host = at.string()?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        if host.is_empty() || !host.bytes().all(allowed) {
            at.fault("expected a host name, with a port or without");
            return None;
        }
        Some(host.to_owned())
    });
    let mode = match object.get("pass_host") {
        Some(at) => at.one_of(&["pass", "node", "rewrite"])?,
        None => "pass",
    };
    match mode {
        "node" => Some(PassHost::Node),
        "rewrite" if upstream_host.is_none() => {
            let message = "`upstream_host` can't be empty when `pass_host` is `rewrite`";
            object.at().fault(message);
            None
        }
        "rewrite" => rewritten.map(PassHost::Rewrite),
        _ => Some(PassHost::Pass),
    }
}

fn read_pool(at: &At<'_>) -> Option<KeepalivePool> {
    let object = at.object()?;
    let defaults = KeepalivePool::default();
    let count = |key| {
        let count = object.read(key, |at| at.integer(1..=limits::KEEPALIVE))?;
        u32::try_from(count).ok()
    };
    let pool = KeepalivePool {
        size: count("size").unwrap_or(defaults.size),
        idle_timeout: object
            .read("idle_timeout", timeout::seconds)
            .unwrap_or(defaults.idle_timeout),
        requests: count("requests").unwrap_or(defaults.requests),
    };
    object.finish();
    Some(pool)
}
