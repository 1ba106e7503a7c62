//! Requests by route, under the names and labels that APISIX's plugin
//! `prometheus` gives them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cells::{Bounds, Counter, Distribution, Histogram};
use super::chain::Chain;
use super::held::Held;
use super::owners::{OTHER, Owner, Owners};
use super::shard::Sharded;
use super::text::{Family, Labels, Text};
use crate::limits::{REQUEST_BUCKETS, REQUEST_PARTIES, REQUEST_STATUSES};

/// Which requests are counted together: those of one route. The default is
/// that of requests without a route.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestLabels<'a> {
    /// The route's id.
    pub route: &'a str,
    /// Its name.
    pub route_name: Option<&'a str>,
    /// Its service's id; empty where it has none.
    pub service: &'a str,
    /// Its service's name.
    pub service_name: Option<&'a str>,
    /// The route's patterns of paths.
    pub uris: &'a [String],
}

/// A request that is over.
#[derive(Debug, Clone, Copy)]
pub struct EndedRequest<'a> {
    /// The response's status.
    pub status: u16,
    /// Which of the route's patterns the path matched.
    pub uri: usize,
    /// The upstream's node that was asked last.
    pub node: Option<IpAddr>,
    /// Who the request was made for.
    pub consumer: Option<&'a str>,
    /// From its head to the last byte of the response.
    pub took: Duration,
    /// The upstream's part of it; none where it was not asked.
    pub upstream: Option<Duration>,
    /// Bytes of the request.
    pub received: u64,
    /// Bytes of the response.
    pub sent: u64,
    /// Whether labels have names of routes and services, where they have
    /// some, instead of ids.
    pub prefer_names: bool,
}

/// Counts the requests of one route.
#[derive(Debug, Clone)]
pub struct Requests(Arc<Series>);

#[derive(Debug)]
struct Series {
    key: Key,
    /// Keeps its place among those that have series.
    _owner: Arc<Owner>,
    parts: Sharded<Chain<Party, Cells>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    route: Named,
    service: Named,
    uris: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Named {
    id: String,
    name: Option<String>,
}

impl Named {
    fn new(id: &str, name: Option<&str>) -> Self {
        Named {
            id: id.to_owned(),
            name: name.map(str::to_owned),
        }
    }

    fn label(&self, prefer_name: bool) -> &str {
        let name = self.name.as_ref().filter(|_| prefer_name);
        name.unwrap_or(&self.id)
    }
}

/// Between whom a request was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Party {
    Known {
        node: Option<IpAddr>,
        consumer: Option<String>,
        prefer_names: bool,
    },
    /// All that are too many.
    Other,
}

#[derive(Debug, Default)]
struct Cells {
    /// By status and pattern.
    statuses: Chain<(u16, usize), Counter>,
    request: Histogram<BUCKETS>,
    upstream: Histogram<BUCKETS>,
    gateway: Histogram<BUCKETS>,
    received: Counter,
    sent: Counter,
}

const BUCKETS: usize = REQUEST_BUCKETS.len() + 1;

static BOUNDS: Bounds = Bounds {
    upper: &REQUEST_BUCKETS,
    unit: Duration::from_millis(1),
};

impl Requests {
    /// A request is over that this worker served.
    pub fn count(&self, worker: usize, request: &EndedRequest<'_>) {
        let parties = self.0.parts.of(worker);
        let is = |party: &Party| match party {
            Party::Known {
                node,
                consumer,
                prefer_names,
            } => {
                *node == request.node
                    && consumer.as_deref() == request.consumer
                    && *prefer_names == request.prefer_names
            }
            Party::Other => false,
        };
        let known = || Party::Known {
            node: request.node,
            consumer: request.consumer.map(str::to_owned),
            prefer_names: request.prefer_names,
        };
        let known = parties.find(REQUEST_PARTIES - 1, is, known);
        let cells = known.or_else(|| {
            let other = |party: &Party| *party == Party::Other;
            parties.find(REQUEST_PARTIES, other, || Party::Other)
        });
        if let Some(cells) = cells {
            cells.count(request);
        }
    }
}

impl Cells {
    fn count(&self, request: &EndedRequest<'_>) {
        let key = (request.status, request.uri);
        let counter = self
            .statuses
            .find(REQUEST_STATUSES, |known| *known == key, || key);
        if let Some(counter) = counter {
            counter.add(1);
        }
        let upstream = request.upstream.unwrap_or_default();
        self.request.observe(&BOUNDS, request.took);
        if request.upstream.is_some() {
            self.upstream.observe(&BOUNDS, upstream);
        }
        let own = request.took.saturating_sub(upstream);
        self.gateway.observe(&BOUNDS, own);
        self.received.add(request.received);
        self.sent.add(request.sent);
    }
}

/// The requests of all routes that are counted.
#[derive(Debug, Default)]
pub(crate) struct AllRequests(Mutex<Present>);

#[derive(Debug, Default)]
struct Present {
    owners: Owners,
    series: Held<Key, Series>,
}

impl AllRequests {
    /// The series of these labels: the one that is there, or a new one.
    pub(crate) fn get(&self, labels: RequestLabels<'_>, workers: usize) -> Requests {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = present.owners.admit("route", labels.route);
        let key = if owner.id == labels.route {
            Key {
                route: Named::new(labels.route, labels.route_name),
                service: Named::new(labels.service, labels.service_name),
                uris: labels.uris.to_vec(),
            }
        } else {
            Key {
                route: Named::new(OTHER, None),
                service: Named::default(),
                uris: Vec::new(),
            }
        };
        if let Some(series) = present.series.get(&key) {
            return Requests(series);
        }
        let series = Arc::new(Series {
            key: key.clone(),
            _owner: owner,
            parts: Sharded::new(workers),
        });
        present.series.insert(key, &series);
        Requests(series)
    }

    pub(crate) fn write(&self, text: &mut Text) {
        let held = {
            let present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            present.series.all()
        };
        let mut sums: Vec<Sum> = held.iter().flat_map(|series| Sum::all_of(series)).collect();
        sums.sort_by(|a, b| a.labels.cmp(&b.labels));
        let statuses = sums.iter().flat_map(|sum| &sum.statuses);
        text.family(STATUS, statuses.cloned());
        let times = sums.iter().flat_map(|sum| &sum.times);
        let times = times.filter(|(_, time)| time.count() > 0);
        text.histograms(LATENCY, &BOUNDS, times.map(|(labels, time)| (labels, time)));
        let bytes = sums.iter().flat_map(|sum| &sum.bytes);
        text.family(BANDWIDTH, bytes.cloned());
    }
}

/// The series of one party, added up over workers, with all labels.
struct Sum {
    labels: Labels,
    statuses: Vec<(Labels, u64)>,
    times: [(Labels, Distribution); 3],
    bytes: [(Labels, u64); 2],
}

impl Sum {
    fn all_of(series: &Series) -> Vec<Self> {
        let mut parties: Vec<(&Party, Vec<&Cells>)> = Vec::new();
        for (party, cells) in series.parts.parts().flat_map(Chain::iter) {
            match parties.iter_mut().find(|(known, _)| *known == party) {
                Some((_, all)) => all.push(cells),
                None => parties.push((party, vec![cells])),
            }
        }
        let sums = parties.into_iter();
        sums.map(|(party, cells)| Self::of(&series.key, party, &cells))
            .collect()
    }

    fn of(key: &Key, party: &Party, cells: &[&Cells]) -> Self {
        let labels = labels(key, party);
        let time = |kind, histogram: fn(&Cells) -> &Histogram<BUCKETS>| {
            let mut time = Distribution::new(BUCKETS);
            for cells in cells {
                time.add(histogram(cells));
            }
            (Labels::none().with("type", kind).and(&labels), time)
        };
        let bytes = |kind, counter: fn(&Cells) -> &Counter| {
            let sum = cells.iter().map(|cells| counter(cells).get()).sum();
            (Labels::none().with("type", kind).and(&labels), sum)
        };
        Sum {
            statuses: statuses(key, party, cells),
            times: [
                time("request", |cells| &cells.request),
                time("upstream", |cells| &cells.upstream),
                time("apisix", |cells| &cells.gateway),
            ],
            bytes: [
                bytes("ingress", |cells| &cells.received),
                bytes("egress", |cells| &cells.sent),
            ],
            labels,
        }
    }
}

fn statuses(key: &Key, party: &Party, cells: &[&Cells]) -> Vec<(Labels, u64)> {
    let mut sums: Vec<((u16, usize), u64)> = Vec::new();
    for (kind, count) in cells.iter().flat_map(|cells| cells.statuses.iter()) {
        match sums.iter_mut().find(|(known, _)| known == kind) {
            Some((_, sum)) => *sum += count.get(),
            None => sums.push((*kind, count.get())),
        }
    }
    sums.sort_unstable();
    let (node, consumer, prefer_names) = party.labels();
    let series = sums.into_iter().map(|((status, uri), sum)| {
        let labels = Labels::none()
            .with("code", status)
            .with("route", key.route.label(prefer_names))
            .with("matched_uri", key.uris.get(uri).map_or("", String::as_str))
            .with("matched_host", "")
            .with("service", key.service.label(prefer_names))
            .with("consumer", &consumer)
            .with("node", &node);
        (labels, sum)
    });
    series.collect()
}

fn labels(key: &Key, party: &Party) -> Labels {
    let (node, consumer, prefer_names) = party.labels();
    Labels::none()
        .with("route", key.route.label(prefer_names))
        .with("service", key.service.label(prefer_names))
        .with("consumer", consumer)
        .with("node", node)
}

impl Party {
    /// Node and consumer, and whether names are preferred.
    fn labels(&self) -> (String, String, bool) {
        match self {
            Party::Known {
                node,
                consumer,
                prefer_names,
            } => (
                node.map(|node| node.to_string()).unwrap_or_default(),
                consumer.clone().unwrap_or_default(),
                *prefer_names,
            ),
            Party::Other => (OTHER.to_owned(), OTHER.to_owned(), false),
        }
    }
}

const STATUS: Family = Family::counter(
    "apisix_http_status",
    "Responses by status, route, node and consumer.",
);
const LATENCY: Family = Family::histogram(
    "apisix_http_latency",
    "Time of requests in milliseconds: the whole, the upstream's part, the gateway's.",
);
const BANDWIDTH: Family = Family::counter(
    "apisix_bandwidth",
    "Bytes of requests (ingress) and responses (egress), heads included.",
);
