//! Finds the route of a request.
//!
//! The order of precedence is APISIX's: by default (`radixtree_host_uri`) an
//! exact host goes before a wildcard, a longer wildcard before a shorter, any
//! of them before routes without hosts; then an exact path goes before a
//! prefix and a longer prefix before a shorter; only between routes with the
//! same host and path does `priority` decide, then their order. With
//! `radixtree_uri` the path is looked at first, and the host is one more
//! condition. A candidate whose other conditions (methods, addresses, `vars`)
//! fail gives way to the next.

mod parameters;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use outrigger_model::expr::Expr;
use outrigger_model::{Cidr, HostPattern, MethodSet, UriPattern};

use crate::expr;
use crate::prefix_map::PrefixMap;
use parameters::Parameters;

pub(crate) use parameters::Captured;

/// Which of path and host is looked at first (`apisix.router.http`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// `radixtree_host_uri`
    #[default]
    HostThenUri,
    /// `radixtree_uri`
    UriThenHost,
    /// `radixtree_uri_with_parameter`: also takes `:name` and `*name` in a path
    /// for parameters.
    UriWithParameters,
}

/// What the router needs to know of a route.
pub(crate) struct RouteKey<'a> {
    pub(crate) uris: &'a [UriPattern],
    pub(crate) hosts: &'a [HostPattern],
    pub(crate) methods: MethodSet,
    pub(crate) remote_addrs: &'a [Cidr],
    pub(crate) vars: Option<&'a Expr>,
    pub(crate) priority: i64,
}

/// What the router looks at of a request.
pub(crate) struct Wanted<'a> {
    /// Normalised.
    pub(crate) host: &'a str,
    /// Decoded and normalised.
    pub(crate) path: &'a [u8],
    pub(crate) method: &'a Method,
    /// The client's address.
    pub(crate) remote: IpAddr,
    /// The values of variables, by name.
    pub(crate) vars: &'a dyn Fn(&str) -> Option<Cow<'a, [u8]>>,
}

/// Where a match was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Index of the route among those that the router was built from.
    pub(crate) route: usize,
    /// Index of the pattern among the route's `uris`.
    pub(crate) uri: usize,
    /// The pattern's parameters; none in most modes.
    pub(crate) captured: Captured,
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
            let conditions = Conditions::of(&key);
            let kind = Kind {
                mode,
                route,
                conditions: &conditions,
            };
            if mode != Mode::HostThenUri || key.hosts.is_empty() {
                no_host.add(&kind, &key, key.hosts);
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
                table.add(&kind, &key, &[]);
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

    /// The route for a request.
    pub(crate) fn find(&self, request: &Wanted<'_>) -> Option<Found> {
        let host = request.host;
        if let Some(uris) = self.exact_hosts.get(host.as_bytes())
            && let Some(found) = uris.find(request)
        {
            return Some(found);
        }
        if !self.wildcard_hosts.is_empty() {
            let reversed: Vec<u8> = host.bytes().rev().collect();
            let found = self
                .wildcard_hosts
                .prefixes_of(&reversed)
                .find_map(|uris| uris.find(request));
            if found.is_some() {
                return found;
            }
        }
        self.no_host.find(request)
    }
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
                .find_map(|candidate| candidate.found_by(request))
        };
        if let Some(found) = self.exact.get(request.path).and_then(first) {
            return Some(found);
        }
        self.prefixes.prefixes_of(request.path).find_map(first)
    }
}

#[derive(Debug)]
struct Candidate {
    route: usize,
    uri: usize,
    priority: i64,
    methods: MethodSet,
    /// Hosts that are still to be checked; empty: none.
    hosts: Vec<HostPattern>,
    /// What of its pattern is still to be checked.
    path: RestOfPath,
    conditions: Option<Arc<Conditions>>,
}

#[derive(Debug)]
enum RestOfPath {
    Nothing,
    /// It has an asterisk in the middle.
    Glob(outrigger_model::Glob),
    Parameters(Parameters),
}

/// What few routes ask of a request.
#[derive(Debug)]
struct Conditions {
    remote_addrs: Vec<Cidr>,
    vars: Option<Expr>,
}

impl Conditions {
    fn of(key: &RouteKey<'_>) -> Option<Arc<Self>> {
        let vars = key
            .vars
            .filter(|expr| !matches!(expr, Expr::All(all) if all.is_empty()));
        (!key.remote_addrs.is_empty() || vars.is_some()).then(|| {
            Arc::new(Self {
                remote_addrs: key.remote_addrs.to_vec(),
                vars: vars.cloned(),
            })
        })
    }

    fn hold(&self, request: &Wanted<'_>) -> bool {
        let from = |range: &Cidr| range.contains(request.remote);
        (self.remote_addrs.is_empty() || self.remote_addrs.iter().any(from))
            && self
                .vars
                .as_ref()
                .is_none_or(|vars| expr::matches(vars, &request.vars))
    }
}

impl Candidate {
    fn found_by(&self, request: &Wanted<'_>) -> Option<Found> {
        let host = |host: &HostPattern| host.matches(request.host);
        if !self.methods.admits(request.method)
            || !(self.hosts.is_empty() || self.hosts.iter().any(host))
        {
            return None;
        }
        let captured = match &self.path {
            RestOfPath::Nothing => Captured::new(),
            RestOfPath::Glob(glob) => glob.matches(request.path).then(Captured::new)?,
            RestOfPath::Parameters(parameters) => parameters.capture(request.path)?,
        };
        let conditions = self.conditions.as_ref();
        conditions
            .is_none_or(|conditions| conditions.hold(request))
            .then_some(Found {
                route: self.route,
                uri: self.uri,
                captured,
            })
    }

    /// Higher priority first, then what says more, then the order of routes.
    fn rank(&self) -> (std::cmp::Reverse<i64>, bool, bool, bool, usize) {
        (
            std::cmp::Reverse(self.priority),
            self.hosts.is_empty(),
            matches!(self.path, RestOfPath::Nothing),
            self.conditions.is_none(),
            self.route,
        )
    }
}

/// What the patterns of one route have in common.
struct Kind<'a> {
    mode: Mode,
    route: usize,
    conditions: &'a Option<Arc<Conditions>>,
}

#[derive(Default)]
struct Table {
    exact: HashMap<Box<[u8]>, Vec<Candidate>>,
    prefixes: HashMap<Vec<u8>, Vec<Candidate>>,
}

impl Table {
    fn add(&mut self, kind: &Kind<'_>, key: &RouteKey<'_>, hosts: &[HostPattern]) {
        for (uri, pattern) in key.uris.iter().enumerate() {
            let parameters = (kind.mode == Mode::UriWithParameters)
                .then(|| Parameters::of(pattern))
                .flatten();
            let (list, path) = match (parameters, pattern) {
                (Some(parameters), _) => (
                    self.prefixes.entry(parameters.prefix().to_vec()),
                    RestOfPath::Parameters(parameters),
                ),
                (None, UriPattern::Exact(path)) => {
                    let list = self.exact.entry(path.as_bytes().into()).or_default();
                    list.push(candidate(kind, uri, key, hosts, RestOfPath::Nothing));
                    continue;
                }
                (None, UriPattern::Prefix(prefix)) => (
                    self.prefixes.entry(prefix.clone().into_bytes()),
                    RestOfPath::Nothing,
                ),
                (None, UriPattern::Glob(glob)) => (
                    self.prefixes.entry(glob.prefix().as_bytes().to_vec()),
                    RestOfPath::Glob(glob.clone()),
                ),
            };
            list.or_default()
                .push(candidate(kind, uri, key, hosts, path));
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

fn candidate(
    kind: &Kind<'_>,
    uri: usize,
    key: &RouteKey<'_>,
    hosts: &[HostPattern],
    path: RestOfPath,
) -> Candidate {
    Candidate {
        route: kind.route,
        uri,
        priority: key.priority,
        methods: key.methods,
        hosts: hosts.to_vec(),
        path,
        conditions: kind.conditions.clone(),
    }
}

#[cfg(test)]
mod tests;
