//! Upstreams: their nodes and the choice among them.
//!
//! The choice is shared by all workers and takes no lock: turns are one
//! counter, and what is known of a node (its health, how busy it is, how fast)
//! is a few atomics. All of that outlives the configuration: an upstream that is
//! compiled anew takes it over from the one before, node by node.

mod choice;
mod hash_key;
pub mod health;
mod load;
mod node;
mod ring;
mod turns;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use http::HeaderValue;
use outrigger_model as model;
use outrigger_model::{Balancing, Checks, Timeout, UpstreamTls};

use crate::exchange::Exchange;
use hash_key::HashKey;
use health::{Condition, Report};
use ring::Ring;
use turns::Turns;

pub use choice::Choice;
pub use load::Busy;
pub use node::{Address, Node};

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
    /// The same in every configuration that has this upstream.
    turn: Arc<AtomicU64>,
    hash_key: Option<HashKey>,
    /// Whether how busy nodes are counts.
    counts_load: bool,
    /// Whether it has no more than one node, whatever its weight.
    is_lone: bool,
    checks: Option<Arc<Checks>>,
    /// How long connecting, sending and reading may take.
    pub timeout: Timeout,
    /// Which `Host` field to send.
    pub pass_host: PassHost,
    /// Idle connections.
    pub keepalive: Keepalive,
    /// How TLS is spoken; none where it is not.
    pub tls: Option<UpstreamTls>,
    /// How often a request is sent again that has failed.
    pub retries: usize,
    /// How long after it was sent first it is sent again.
    pub retry_timeout: Option<Duration>,
}

/// Nodes of one priority, and what it takes to choose among them.
#[derive(Debug)]
struct Group {
    nodes: Range<usize>,
    spread: Spread,
}

#[derive(Debug)]
enum Spread {
    Turns(Turns),
    Ring(Ring),
    LeastConnections,
    Ewma,
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
        let groups = groups(&nodes, &upstream.balancing);
        let others = upstream.nodes.len().saturating_sub(1);
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
            turn: Arc::default(),
            hash_key: match &upstream.balancing {
                Balancing::ConsistentHash(hash_on) => Some(HashKey::new(hash_on)),
                _ => None,
            },
            counts_load: matches!(
                upstream.balancing,
                Balancing::LeastConnections | Balancing::Ewma
            ),
            is_lone: upstream.nodes.len() == 1,
            checks: upstream.checks.clone().map(Arc::new),
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
            retries: upstream.retries.map_or(others, |retries| retries as usize),
            retry_timeout: upstream.retry_timeout.filter(|limit| !limit.is_zero()),
        }
    }

    /// Compiles what `previous` has become: turns go on, and what is known of
    /// nodes that are still there stays known. Their health does as long as it is
    /// looked after in the same way.
    #[must_use]
    pub fn following(upstream: &model::Upstream, previous: &Upstream) -> Self {
        let mut next = Self::new(upstream);
        next.turn = Arc::clone(&previous.turn);
        let same_checks = next.checks == previous.checks;
        let before = previous.nodes.iter().map(|node| (&node.address, node));
        let before: HashMap<_, _> = before.collect();
        for node in &mut next.nodes {
            if let Some(same) = before.get(&node.address) {
                node.load = Arc::clone(&same.load);
                if same_checks {
                    node.health = Arc::clone(&same.health);
                }
            }
        }
        next
    }

    /// The nodes to send a request to.
    #[must_use]
    pub fn choose(&self, exchange: &Exchange) -> Choice<'_> {
        let hash = self.hash_key.as_ref().map(|key| key.hash(exchange));
        self.choose_by(hash.unwrap_or_default())
    }

    fn choose_by(&self, hash: u32) -> Choice<'_> {
        Choice::new(self, hash)
    }

    /// That `node` is busy with a request from `now` on, where that counts.
    #[must_use]
    pub fn busy(&self, node: &Node, now: Instant) -> Option<Busy> {
        self.counts_load.then(|| Busy::new(&node.load, now))
    }

    /// All nodes that requests may go to.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How nodes are found to be well; none where nobody looks.
    #[must_use]
    pub fn checks(&self) -> Option<&Arc<Checks>> {
        self.checks.as_ref()
    }

    /// What a request has met at `node`. Says so if that made it well, or no
    /// longer is.
    pub fn met(&self, node: &Node, report: Report) -> Option<Condition> {
        let passive = self.checks.as_ref()?.passive.as_ref()?;
        node.health.report(report, &passive.rules)
    }

    /// What a probe has met at `node`; otherwise as [`met`](Self::met).
    pub fn probed(&self, node: &Node, report: Report) -> Option<Condition> {
        let checks = self.checks.as_ref()?;
        node.health.report(report, &checks.active.rules)
    }

    /// From now on all nodes count as well.
    pub fn forget_health(&self) {
        self.nodes.iter().for_each(|node| node.health.reset());
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

fn groups(nodes: &[Node], balancing: &Balancing) -> Vec<Group> {
    let mut first = 0;
    nodes
        .chunk_by(|a, b| a.priority == b.priority)
        .map(|chunk| {
            let nodes = first..first + chunk.len();
            first = nodes.end;
            let weights = || chunk.iter().map(|node| node.weight);
            let spread = match balancing {
                Balancing::RoundRobin => Spread::Turns(Turns::new(weights())),
                Balancing::ConsistentHash(_) => {
                    let names: Vec<_> = chunk.iter().map(Node::name).collect();
                    let names = names.iter().map(String::as_str);
                    Spread::Ring(Ring::new(names.zip(weights())))
                }
                Balancing::LeastConnections => Spread::LeastConnections,
                Balancing::Ewma => Spread::Ewma,
            };
            Group { nodes, spread }
        })
        .collect()
}

#[cfg(test)]
mod tests;
