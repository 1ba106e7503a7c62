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
//!
//! A router is made from another by taking routes out and putting routes in; both
//! share what is the same in them.

mod parameters;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use outrigger_model::expr::Expr;
use outrigger_model::{Cidr, HostPattern, MethodSet, UriPattern};

use crate::byte_tree::ByteTree;
use crate::expr;
use crate::limits::HOST_LEN;
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
    /// The number by which the route was put in.
    pub(crate) route: usize,
    /// Index of the pattern among the route's `uris`.
    pub(crate) uri: usize,
    /// The pattern's parameters; none in most modes.
    pub(crate) captured: Captured,
}

/// Says where a route stands among all, by its number.
pub(crate) type Order<'a> = &'a dyn Fn(usize) -> usize;

#[derive(Debug, Clone)]
pub(crate) struct Router {
    mode: Mode,
    /// By the reversed name, or of wildcards what stands after the asterisk.
    hosts: ByteTree<Places<Uris>>,
    no_host: Uris,
}

/// The routes of one host by path, and of patterns by what stands before the first
/// asterisk or parameter.
type Uris = ByteTree<Places<Arc<Vec<Candidate>>>>;

/// What holds for a text as a whole, and for all that begin with it.
#[derive(Debug, Clone)]
struct Places<T> {
    whole: Option<T>,
    beginning: Option<T>,
}

impl Router {
    /// Without routes.
    pub(crate) fn new(mode: Mode) -> Self {
        Router {
            mode,
            hosts: ByteTree::default(),
            no_host: Uris::default(),
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Puts a route in by a number that no other has. Those that are there must be in
    /// `order`.
    pub(crate) fn add(&mut self, route: usize, key: &RouteKey<'_>, order: Order<'_>) {
        let conditions = Conditions::of(key, self.mode);
        self.each_list(key, |uri, path, list| {
            let candidate = Candidate {
                route,
                uri,
                priority: key.priority,
                methods: key.methods,
                path,
                conditions: conditions.clone(),
            };
            let list = Arc::make_mut(list.get_or_insert_default());
            let rank = candidate.rank(order);
            let at = list.partition_point(|other| other.rank(order) < rank);
            list.insert(at, candidate);
        });
    }

    /// Takes a route out. `key` is what it was put in with.
    pub(crate) fn remove(&mut self, route: usize, key: &RouteKey<'_>) {
        self.each_list(key, |_, _, list| {
            if let Some(shared) = list {
                let candidates = Arc::make_mut(shared);
                candidates.retain(|candidate| candidate.route != route);
                if candidates.is_empty() {
                    *list = None;
                }
            }
        });
    }

    /// Shows `change` the list of each of the route's patterns, with the pattern's index
    /// and what of it is still to be checked there.
    fn each_list(
        &mut self,
        key: &RouteKey<'_>,
        mut change: impl FnMut(usize, RestOfPath, &mut Option<Arc<Vec<Candidate>>>),
    ) {
        let mode = self.mode;
        let mut of_host = |uris: &mut Uris| {
            for (index, pattern) in key.uris.iter().enumerate() {
                let (text, place, rest) = place_of(pattern, mode);
                uris.change(text.as_ref(), |places| {
                    change_place(places, place, |list| change(index, rest, list));
                });
            }
        };
        if mode != Mode::HostThenUri || key.hosts.is_empty() {
            return of_host(&mut self.no_host);
        }
        for host in key.hosts {
            let (text, place) = match host {
                HostPattern::Exact(name) => (name.as_str(), Place::Whole),
                HostPattern::Wildcard(suffix) => (suffix.as_str(), Place::Beginning),
                HostPattern::Any => ("", Place::Beginning),
            };
            let reversed: Vec<u8> = text.bytes().rev().collect();
            self.hosts.change(&reversed, |places| {
                change_place(places, place, |uris| {
                    of_host(uris.get_or_insert_default());
                    if uris.as_ref().is_some_and(ByteTree::is_empty) {
                        *uris = None;
                    }
                });
            });
        }
    }

    /// The route for a request.
    pub(crate) fn find(&self, request: &Wanted<'_>) -> Option<Found> {
        if !self.hosts.is_empty() {
            let found = backwards(request.host, |host| {
                self.hosts.find(host, |places, is_whole| {
                    places.find(is_whole, |uris| find_in(uris, request))
                })
            });
            if found.is_some() {
                return found;
            }
        }
        find_in(&self.no_host, request)
    }
}

fn find_in(uris: &Uris, request: &Wanted<'_>) -> Option<Found> {
    uris.find(request.path, |places, is_whole| {
        places.find(is_whole, |candidates| {
            candidates
                .iter()
                .find_map(|candidate| candidate.found_by(request))
        })
    })
}

impl<T> Places<T> {
    fn find<'a, R>(&'a self, is_whole: bool, find: impl Fn(&'a T) -> Option<R>) -> Option<R> {
        let whole = self.whole.as_ref().filter(|_| is_whole);
        whole
            .and_then(&find)
            .or_else(|| self.beginning.as_ref().and_then(find))
    }
}

/// Which of [`Places`].
#[derive(Clone, Copy)]
enum Place {
    Whole,
    Beginning,
}

/// Changes one of the places; both may be empty before and after.
fn change_place<T>(
    places: &mut Option<Places<T>>,
    place: Place,
    change: impl FnOnce(&mut Option<T>),
) {
    let both = places.get_or_insert(Places {
        whole: None,
        beginning: None,
    });
    change(match place {
        Place::Whole => &mut both.whole,
        Place::Beginning => &mut both.beginning,
    });
    if both.whole.is_none() && both.beginning.is_none() {
        *places = None;
    }
}

/// By what a pattern is found, and what of it is still to be checked then.
fn place_of(pattern: &UriPattern, mode: Mode) -> (Cow<'_, [u8]>, Place, RestOfPath) {
    if mode == Mode::UriWithParameters
        && let Some(parameters) = Parameters::of(pattern)
    {
        let prefix = parameters.prefix().to_vec();
        let rest = RestOfPath::Parameters(parameters.into());
        return (prefix.into(), Place::Beginning, rest);
    }
    let (text, place, rest) = match pattern {
        UriPattern::Exact(path) => (path.as_str(), Place::Whole, RestOfPath::Nothing),
        UriPattern::Prefix(prefix) => (prefix.as_str(), Place::Beginning, RestOfPath::Nothing),
        UriPattern::Glob(glob) => {
            let rest = RestOfPath::Glob(glob.clone().into());
            (glob.prefix(), Place::Beginning, rest)
        }
    };
    (text.as_bytes().into(), place, rest)
}

/// Shows `use_it` the text backwards, on the stack if it is as long as hosts are.
fn backwards<R>(text: &str, use_it: impl FnOnce(&[u8]) -> R) -> R {
    let mut short = [0; HOST_LEN];
    match short.get_mut(..text.len()) {
        Some(place) => {
            place.copy_from_slice(text.as_bytes());
            place.reverse();
            use_it(place)
        }
        None => use_it(&text.bytes().rev().collect::<Vec<_>>()),
    }
}

#[derive(Debug, Clone)]
struct Candidate {
    route: usize,
    uri: usize,
    priority: i64,
    methods: MethodSet,
    /// What of its pattern is still to be checked.
    path: RestOfPath,
    conditions: Option<Arc<Conditions>>,
}

#[derive(Debug, Clone)]
enum RestOfPath {
    Nothing,
    /// It has an asterisk in the middle.
    Glob(Arc<outrigger_model::Glob>),
    Parameters(Arc<Parameters>),
}

/// What few routes ask of a request.
#[derive(Debug)]
struct Conditions {
    /// Hosts, where the way to the candidate says nothing of them; empty: any.
    hosts: Vec<HostPattern>,
    remote_addrs: Vec<Cidr>,
    vars: Option<Expr>,
}

impl Conditions {
    fn of(key: &RouteKey<'_>, mode: Mode) -> Option<Arc<Self>> {
        let hosts = match mode {
            Mode::HostThenUri => &[],
            Mode::UriThenHost | Mode::UriWithParameters => key.hosts,
        };
        let vars = key
            .vars
            .filter(|expr| !matches!(expr, Expr::All(all) if all.is_empty()));
        (!hosts.is_empty() || !key.remote_addrs.is_empty() || vars.is_some()).then(|| {
            Arc::new(Self {
                hosts: hosts.to_vec(),
                remote_addrs: key.remote_addrs.to_vec(),
                vars: vars.cloned(),
            })
        })
    }

    fn hold(&self, request: &Wanted<'_>) -> bool {
        let host = |host: &HostPattern| host.matches(request.host);
        let from = |range: &Cidr| range.contains(request.remote);
        (self.hosts.is_empty() || self.hosts.iter().any(host))
            && (self.remote_addrs.is_empty() || self.remote_addrs.iter().any(from))
            && self
                .vars
                .as_ref()
                .is_none_or(|vars| expr::matches(vars, &request.vars))
    }
}

impl Candidate {
    fn found_by(&self, request: &Wanted<'_>) -> Option<Found> {
        if !self.methods.admits(request.method) {
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

    /// Higher priority first, then what says more, then the order of routes; of two
    /// patterns of one route the earlier.
    fn rank(&self, order: Order<'_>) -> impl Ord + use<> {
        let conditions = self.conditions.as_ref();
        let is_bare = |it: &Conditions| it.remote_addrs.is_empty() && it.vars.is_none();
        (
            Reverse(self.priority),
            conditions.is_none_or(|it| it.hosts.is_empty()),
            matches!(self.path, RestOfPath::Nothing),
            conditions.is_none_or(|it| is_bare(it)),
            order(self.route),
            self.uri,
        )
    }
}

#[cfg(test)]
mod tests;
