//! Upstreams: their nodes and the choice among them.
//!
//! The choice is shared by all workers and needs one atomic counter; it is a
//! weighted round robin that is exact over each cycle and spreads a node's
//! turns evenly.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use outrigger_model as model;
use outrigger_model::{Timeout, UpstreamTls};

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An address that needs no look-up.
    Socket(SocketAddr),
    /// A name to be looked up when a connection is made.
    Name(Arc<str>, u16),
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
    weight: u64,
    priority: i64,
}

/// Which `Host` field an upstream gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassHost {
    /// The client's, or what a plugin put in its place.
    Pass,
    /// The node's own.
    Node,
    /// This one.
    Rewrite(HeaderValue),
}

/// How many idle connections are kept per node and worker, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle connections at most.
    pub size: usize,
    /// How long one may be idle.
    pub idle_timeout: Duration,
    /// How many requests one may carry.
    pub requests: u64,
}

/// An upstream, compiled.
#[derive(Debug)]
pub struct Upstream {
    /// Nodes of higher priority first.
    nodes: Vec<Node>,
    groups: Vec<Group>,
    turn: AtomicU64,
    /// How long connecting, sending and reading may take.
    pub timeout: Timeout,
    /// Which `Host` field to send.
    pub pass_host: PassHost,
    /// Idle connections.
    pub keepalive: Keepalive,
    /// How TLS is spoken; none where it is not.
    pub tls: Option<UpstreamTls>,
    /// How many further nodes may be asked after the first.
    pub retries: usize,
    /// How long after the start of the request another node may be asked.
    pub retry_timeout: Option<Duration>,
}

/// Nodes of one priority. Invariant: `ends` are the running sums of weights,
/// all above 0, and `step` has no divisor in common with the last of them.
#[derive(Debug)]
struct Group {
    first: usize,
    ends: Vec<u64>,
    step: u64,
}

impl Upstream {
    /// Compiles an upstream. Nodes of weight 0 are left out unless there is
    /// no other.
    #[must_use]
    pub fn new(upstream: &model::Upstream) -> Self {
        let mut nodes: Vec<Node> = upstream.nodes.iter().filter_map(Node::new).collect();
        if nodes.iter().all(|node| node.weight == 0) {
            nodes.iter_mut().for_each(|node| node.weight = 1);
        }
        nodes.retain(|node| node.weight > 0);
        nodes.sort_by_key(|node| std::cmp::Reverse(node.priority));
        let groups = groups(&nodes);
        let others = nodes.len().saturating_sub(1);
        let retries = upstream
            .retries
            .map_or(others, |n| (n as usize).min(others));
        let pass_host = match &upstream.pass_host {
            model::PassHost::Pass => PassHost::Pass,
            model::PassHost::Node => PassHost::Node,
            model::PassHost::Rewrite(host) => {
                HeaderValue::from_str(host).map_or(PassHost::Pass, PassHost::Rewrite)
            }
        };
        Upstream {
            nodes,
            groups,
            turn: AtomicU64::new(0),
            timeout: upstream.timeout,
            pass_host,
            keepalive: Keepalive {
                size: upstream.keepalive_pool.size as usize,
                idle_timeout: upstream.keepalive_pool.idle_timeout,
                requests: u64::from(upstream.keepalive_pool.requests),
            },
            tls: match upstream.scheme {
                model::Scheme::Http => None,
                model::Scheme::Https => Some(upstream.tls.clone()),
            },
            retries,
            retry_timeout: upstream.retry_timeout,
        }
    }

    /// The node whose turn it is; `None` where there are no nodes.
    #[must_use]
    pub fn pick(&self) -> Option<(usize, &Node)> {
        let group = self.groups.first()?;
        let at = if let [_] = group.ends[..] {
            group.first
        } else {
            group.pick(self.turn.fetch_add(1, Ordering::Relaxed))
        };
        Some((at, &self.nodes[at]))
    }

    /// A node to ask after those of `tried` have failed: the next of the same
    /// priority, then one of a lower.
    #[must_use]
    pub fn pick_after(&self, tried: &[usize]) -> Option<(usize, &Node)> {
        let last = *tried.last()?;
        let same = |at: usize| self.nodes[at].priority == self.nodes[last].priority;
        let after = (last + 1)..self.nodes.len();
        let around = after
            .clone()
            .filter(|at| same(*at))
            .chain((0..last).filter(|at| same(*at)));
        let lower = after.filter(|at| !same(*at));
        let next = around.chain(lower).find(|at| !tried.contains(at))?;
        Some((next, &self.nodes[next]))
    }

    /// The `Host` field that a node is sent as its own (`pass_host: node`);
    /// `None` where it is sent another.
    #[must_use]
    pub fn node_host_field(&self, address: &Address) -> Option<&HeaderValue> {
        if self.pass_host != PassHost::Node {
            return None;
        }
        let node = self.nodes.iter().find(|node| node.address == *address)?;
        Some(&node.host_field)
    }

    /// The only node, where there is just one.
    #[must_use]
    pub fn only_node(&self) -> Option<&Node> {
        if let [node] = &self.nodes[..] {
            Some(node)
        } else {
            None
        }
    }
}

impl Node {
    /// `None` for a host that no `Host` field can name; the model lets none
    /// of these through.
    fn new(node: &model::Node) -> Option<Self> {
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
        })
    }
}

impl Group {
    /// The node of turn number `turn`: the place in the cycle of all weights
    /// moves on by a step that has no divisor in common with the cycle's
    /// length, so each place has its turn once a cycle, and by about the
    /// golden ratio, so neighbours in time are far apart in place.
    fn pick(&self, turn: u64) -> usize {
        let cycle = u128::from(*self.ends.last().expect("a group has a node"));
        let place = u64::try_from(u128::from(turn) * u128::from(self.step) % cycle)
            .expect("less than the cycle's length");
        self.first + self.ends.partition_point(|end| *end <= place)
    }
}

fn groups(nodes: &[Node]) -> Vec<Group> {
    let mut first = 0;
    nodes
        .chunk_by(|a, b| a.priority == b.priority)
        .map(|chunk| {
            let mut sum = 0;
            let ends = chunk.iter().map(|node| {
                sum += node.weight;
                sum
            });
            let group = Group {
                first,
                ends: ends.collect(),
                step: step(sum),
            };
            first += chunk.len();
            group
        })
        .collect()
}

/// About 0.618 times `cycle`, without a common divisor.
fn step(cycle: u64) -> u64 {
    let golden = u64::try_from(u128::from(cycle) * 618 / 1000).expect("less than the cycle");
    (golden.max(1)..)
        .find(|step| gcd(*step, cycle) == 1)
        .expect("cycle + 1 is such a number")
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
