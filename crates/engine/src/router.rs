//! Finds the route of a request.
//!
//! The order of precedence is APISIX's: by default (`radixtree_host_uri`) an
//! exact host goes before a wildcard, a longer wildcard before a shorter, any
//! of them before routes without hosts; then an exact path goes before a
//! prefix and a longer prefix before a shorter; only between routes with the
//! same host and path does `priority` decide, then their order. With
//! `radixtree_uri` the path is looked at first, and the host is one more
//! condition. A candidate whose other conditions fail gives way to the next.

use std::collections::HashMap;

use http::Method;
use outrigger_model::{HostPattern, MethodSet, UriPattern};

use crate::prefix_map::PrefixMap;

/// Which of path and host is looked at first (`apisix.router.http`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// `radixtree_host_uri`
    #[default]
    HostThenUri,
    /// `radixtree_uri`
    UriThenHost,
}

/// What the router needs to know of a route.
pub(crate) struct RouteKey<'a> {
    pub(crate) uris: &'a [UriPattern],
    pub(crate) hosts: &'a [HostPattern],
    pub(crate) methods: MethodSet,
    pub(crate) priority: i64,
}

/// Where a match was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Index of the route among those that the router was built from.
    pub(crate) route: usize,
    /// Index of the pattern among the route's `uris`.
    pub(crate) uri: usize,
}

#[derive(Debug)]
pub(crate) struct Router {
    exact_hosts: HashMap<Box<[u8]>, Uris>,
    /// By the reversed text after the asterisk.
    wildcard_hosts: PrefixMap<Uris>,
    no_host: Uris,
}

impl Router {
    pub(crate) fn new<'a>(mode: Mode, routes: impl IntoIterator<Item = RouteKey<'a>>) -> Self {
        let mut exact: HashMap<Box<[u8]>, Table> = HashMap::new();
        let mut wildcard: HashMap<Vec<u8>, Table> = HashMap::new();
        let mut no_host = Table::default();
        for (route, key) in routes.into_iter().enumerate() {
            if mode == Mode::UriThenHost || key.hosts.is_empty() {
                no_host.add(route, &key, key.hosts);
                continue;
            }
            for host in key.hosts {
                let table = match host {
                    HostPattern::Exact(name) => exact.entry(name.as_bytes().into()).or_default(),
                    HostPattern::Wildcard(suffix) => {
                        wildcard.entry(suffix.bytes().rev().collect()).or_default()
                    }
                    HostPattern::Any => wildcard.entry(Vec::new()).or_default(),
                };
                table.add(route, &key, &[]);
            }
        }
        Router {
            exact_hosts: exact
                .into_iter()
                .map(|(host, table)| (host, table.finish()))
                .collect(),
            wildcard_hosts: PrefixMap::new(
                wildcard
                    .into_iter()
                    .map(|(suffix, table)| (suffix, table.finish())),
            ),
            no_host: no_host.finish(),
        }
    }

    /// The route for a request; `host` normalised, `path` decoded and
    /// normalised.
    pub(crate) fn find(&self, host: &str, path: &[u8], method: &Method) -> Option<Found> {
        let request = Wanted { host, path, method };
        if let Some(uris) = self.exact_hosts.get(host.as_bytes())
            && let Some(found) = uris.find(&request)
        {
            return Some(found);
        }
        if !self.wildcard_hosts.is_empty() {
            let reversed: Vec<u8> = host.bytes().rev().collect();
            let found = self
                .wildcard_hosts
                .prefixes_of(&reversed)
                .find_map(|uris| uris.find(&request));
            if found.is_some() {
                return found;
            }
        }
        self.no_host.find(&request)
    }
}

struct Wanted<'a> {
    host: &'a str,
    path: &'a [u8],
    method: &'a Method,
}

/// The routes of one host by path.
#[derive(Debug)]
struct Uris {
    exact: HashMap<Box<[u8]>, Vec<Candidate>>,
    prefixes: PrefixMap<Vec<Candidate>>,
}

impl Uris {
    fn find(&self, request: &Wanted<'_>) -> Option<Found> {
        let first = |candidates: &Vec<Candidate>| {
            candidates
                .iter()
                .find(|candidate| candidate.admits(request))
                .map(|c| c.found)
        };
        if let Some(found) = self.exact.get(request.path).and_then(first) {
            return Some(found);
        }
        self.prefixes.prefixes_of(request.path).find_map(first)
    }
}

#[derive(Debug)]
struct Candidate {
    found: Found,
    priority: i64,
    methods: MethodSet,
    /// Hosts that are still to be checked; empty: none.
    hosts: Vec<HostPattern>,
    /// A pattern with an asterisk in the middle, still to be checked.
    glob: Option<outrigger_model::Glob>,
}

impl Candidate {
    fn admits(&self, request: &Wanted<'_>) -> bool {
        self.methods.admits(request.method)
            && self
                .glob
                .as_ref()
                .is_none_or(|glob| glob.matches(request.path))
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(request.host)))
    }

    /// Higher priority first, then what says more, then the order of routes.
    fn rank(&self) -> (std::cmp::Reverse<i64>, bool, bool, usize) {
        let priority = std::cmp::Reverse(self.priority);
        (
            priority,
            self.hosts.is_empty(),
            self.glob.is_none(),
            self.found.route,
        )
    }
}

#[derive(Default)]
struct Table {
    exact: HashMap<Box<[u8]>, Vec<Candidate>>,
    prefixes: HashMap<Vec<u8>, Vec<Candidate>>,
}

impl Table {
    fn add(&mut self, route: usize, key: &RouteKey<'_>, hosts: &[HostPattern]) {
        for (uri, pattern) in key.uris.iter().enumerate() {
            let mut candidate = Candidate {
                found: Found { route, uri },
                priority: key.priority,
                methods: key.methods,
                hosts: hosts.to_vec(),
                glob: None,
            };
            let list = match pattern {
                UriPattern::Exact(path) => self.exact.entry(path.as_bytes().into()).or_default(),
                UriPattern::Prefix(prefix) => self
                    .prefixes
                    .entry(prefix.clone().into_bytes())
                    .or_default(),
                UriPattern::Glob(glob) => {
                    candidate.glob = Some(glob.clone());
                    self.prefixes
                        .entry(glob.prefix().as_bytes().to_vec())
                        .or_default()
                }
            };
            list.push(candidate);
        }
    }

    fn finish(self) -> Uris {
        let ranked = |mut candidates: Vec<Candidate>| {
            candidates.sort_by_key(Candidate::rank);
            candidates
        };
        Uris {
            exact: self
                .exact
                .into_iter()
                .map(|(path, list)| (path, ranked(list)))
                .collect(),
            prefixes: PrefixMap::new(
                self.prefixes
                    .into_iter()
                    .map(|(prefix, list)| (prefix, ranked(list))),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
