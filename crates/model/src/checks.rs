//! Health checks of an upstream's nodes: `checks`, with APISIX's properties,
//! defaults and limits.

use std::time::Duration;

use crate::read::{At, Object};
use crate::{limits, timeout};

/// How the nodes of an upstream are found to be well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// By asking them.
    pub active: ActiveChecks,
    /// By what requests meet there.
    pub passive: Option<PassiveChecks>,
}

/// What a probe speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Probe {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// Nothing: it connects.
    Tcp,
}

impl Probe {
    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Probe::Http => "http",
            Probe::Https => "https",
            Probe::Tcp => "tcp",
        }
    }
}

/// Probes that are sent at intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveChecks {
    /// What they speak.
    pub probe: Probe,
    /// How long one may take; not zero.
    pub timeout: Duration,
    /// How many are under way at once at most; at least 1.
    pub concurrency: usize,
    /// Which host is asked for; by default what requests ask for, or the node.
    pub host: Option<String>,
    /// The port, where it is not the node's.
    pub port: Option<u16>,
    /// Which path is asked for.
    pub path: String,
    /// Whether the node's certificate is verified.
    pub verify: bool,
    /// Further header fields, each as a line without its end.
    pub fields: Vec<String>,
    /// How often a node that is well is asked.
    pub healthy_interval: Duration,
    /// How often one that is not is asked.
    pub unhealthy_interval: Duration,
    /// What follows from what probes meet.
    pub rules: HealthRules,
}

/// What requests tell of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassiveChecks {
    /// The `type`, which tells nothing more.
    pub probe: Probe,
    /// What follows from what requests meet.
    pub rules: HealthRules,
}

/// How often something must happen in a row until a node counts as well, or
/// does no more. 0: it does not count at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRules {
    /// The statuses that a node answers with that is well.
    pub healthy_statuses: Vec<u16>,
    /// How many of them make it count as well.
    pub successes: u8,
    /// The statuses of one that is not.
    pub unhealthy_statuses: Vec<u16>,
    /// How many of them are too many.
    pub http_failures: u8,
    /// How many connections that fail are too many.
    pub tcp_failures: u8,
    /// How many answers that do not come in time are too many.
    pub timeouts: u8,
}

/// The numbers that differ between active and passive checks.
struct Defaults {
    healthy_statuses: fn() -> Vec<u16>,
    successes: u8,
    unhealthy_statuses: &'static [u16],
    timeouts: u8,
    /// The least that a number may be.
    least: i64,
}

const ACTIVE: Defaults = Defaults {
    healthy_statuses: || vec![200, 302],
    successes: 2,
    unhealthy_statuses: &[429, 404, 500, 501, 502, 503, 504, 505],
    timeouts: 3,
    least: 1,
};

const PASSIVE: Defaults = Defaults {
    healthy_statuses: || (200..=208).chain([226]).chain(300..=308).collect(),
    successes: 5,
    unhealthy_statuses: &[429, 500, 503],
    timeouts: 7,
    least: 0,
};

const TCP_FAILURES: u8 = 2;
const HTTP_FAILURES: u8 = 5;
const PROBES: [&str; 3] = ["http", "https", "tcp"];

impl Checks {
    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object()?;
        let active = object.get("active");
        if active.is_none() {
            at.fault(
                "object matches none of the required: [\"active\"] or [\"active\",\"passive\"]",
            );
        }
        let passive = object.read("passive", |at| {
            let object = at.object()?;
            let read = PassiveChecks {
                probe: read_probe(&object),
                rules: read_rules(&object, &PASSIVE).0,
            };
            object.finish();
            Some(read)
        });
        let active = active.and_then(|at| ActiveChecks::read(&at));
        object.finish();
        Some(Checks {
            active: active?,
            passive,
        })
    }
}

impl ActiveChecks {
    fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object()?;
        let probe = read_probe(&object);
        let timeout = object.read("timeout", |at| {
            let timeout = timeout::seconds(at)?;
            if timeout.is_zero() {
                at.fault("expected 0 to be greater than 0");
            }
            Some(timeout)
        });
        let concurrency = object.read("concurrency", |at| at.integer(1..=limits::PROBES));
        let host = object.read("host", read_host);
        let port = object.read("port", |at| at.integer(1..=65535));
        let path = object.read("http_path", read_path);
        let verify = object.read("https_verify_certificate", At::boolean);
        let fields = object.read("req_headers", read_fields);
        let (rules, [healthy_interval, unhealthy_interval]) = read_rules(&object, &ACTIVE);
        object.finish();
        Some(ActiveChecks {
            probe,
            timeout: timeout.unwrap_or(Duration::from_secs(1)),
            concurrency: concurrency.map_or(10, |it| usize::try_from(it).unwrap_or(usize::MAX)),
            host,
            port: port.and_then(|port| u16::try_from(port).ok()),
            path: path.unwrap_or_else(|| "/".to_owned()),
            verify: verify.unwrap_or(true),
            fields: fields.unwrap_or_default(),
            healthy_interval,
            unhealthy_interval,
            rules,
        })
    }
}

fn read_probe(object: &Object<'_>) -> Probe {
    match object.read("type", |at| at.one_of(&PROBES)) {
        Some("https") => Probe::Https,
        Some("tcp") => Probe::Tcp,
        _ => Probe::Http,
    }
}

/// The rules in `healthy` and `unhealthy`, with the intervals of both, which
/// only active checks have.
fn read_rules(object: &Object<'_>, defaults: &Defaults) -> (HealthRules, [Duration; 2]) {
    let active = defaults.least > 0;
    let interval = |object: &Object<'_>| {
        let seconds = active
            .then(|| object.read("interval", |at| at.integer(1..=limits::INTERVAL)))
            .flatten();
        Duration::from_secs(seconds.map_or(1, i64::unsigned_abs))
    };
    let count = |object: &Object<'_>, key, default| {
        let count = object.read(key, |at| at.integer(defaults.least..=limits::HEALTH_COUNT));
        count.map_or(default, |it| u8::try_from(it).unwrap_or(u8::MAX))
    };
    let statuses = |object: &Object<'_>| object.read("http_statuses", read_statuses);
    let optional = |key, read: &mut dyn FnMut(&Object<'_>)| {
        let at = object.get(key);
        if let Some(object) = at.as_ref().and_then(At::object) {
            read(&object);
            object.finish();
        }
    };
    let mut rules = HealthRules {
        healthy_statuses: (defaults.healthy_statuses)(),
        successes: defaults.successes,
        unhealthy_statuses: defaults.unhealthy_statuses.to_vec(),
        http_failures: HTTP_FAILURES,
        tcp_failures: TCP_FAILURES,
        timeouts: defaults.timeouts,
    };
    let mut intervals = [Duration::from_secs(1); 2];
    optional("healthy", &mut |healthy| {
        intervals[0] = interval(healthy);
        if let Some(statuses) = statuses(healthy) {
            rules.healthy_statuses = statuses;
        }
        rules.successes = count(healthy, "successes", rules.successes);
    });
    optional("unhealthy", &mut |unhealthy| {
        intervals[1] = interval(unhealthy);
        if let Some(statuses) = statuses(unhealthy) {
            rules.unhealthy_statuses = statuses;
        }
        rules.http_failures = count(unhealthy, "http_failures", rules.http_failures);
        rules.tcp_failures = count(unhealthy, "tcp_failures", rules.tcp_failures);
        rules.timeouts = count(unhealthy, "timeouts", rules.timeouts);
    });
    (rules, intervals)
}

fn read_statuses(at: &At<'_>) -> Option<Vec<u16>> {
    let statuses = at.unique_items_at_least_one()?;
    let read = |at: At<'_>| u16::try_from(at.integer(200..=599)?).ok();
    Some(statuses.filter_map(read).collect())
}

fn read_host(at: &At<'_>) -> Option<String> {
    let host = at.string()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    if host.is_empty() || !host.bytes().all(allowed) {
        at.fault("expected a host name, with a port or without");
        return None;
    }
    Some(host.to_owned())
}

/// What stands in a request's first line.
fn read_path(at: &At<'_>) -> Option<String> {
    let path = at.string()?;
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        at.fault("expected a path that begins with \"/\" and has no spaces");
        return None;
    }
    Some(path.to_owned())
}

fn read_fields(at: &At<'_>) -> Option<Vec<String>> {
    let items = at.items()?;
    if items.len() == 0 {
        at.fault("expect array to have at least 1 items");
        return None;
    }
    let read = |at: At<'_>| {
        let line = at.string()?;
        let name = line.split_once(':').map_or("", |(name, _)| name);
        let token = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        if name.is_empty() || !name.bytes().all(token) || line.bytes().any(|b| b.is_ascii_control())
        {
            at.fault("expected a header field, as in \"Name: value\"");
            return None;
        }
        Some(line.to_owned())
    };
    Some(items.filter_map(read).collect())
}
