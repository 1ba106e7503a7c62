//! `deployment.etcd`: where etcd is, and how it is spoken to.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use outrigger_model::read::{At, Object};
use outrigger_model::{BadIdentity, Identity};
use serde_json::Value;

use super::foreign::{self, Notes};
use crate::limits;
use crate::watch::read_file;

/// etcd's port for clients.
const DEFAULT_PORT: u16 = 2379;

/// How to speak to a cluster of etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// Its members; not empty, none twice.
    pub hosts: Vec<EtcdHost>,
    /// What all keys begin with; a slash follows it.
    pub prefix: String,
    /// How long an answer may take; not zero.
    pub timeout: Duration,
    /// How often it is tried at the start; not zero.
    pub startup_retry: u32,
    /// How long a member that fails is left alone, at most.
    pub rest: Duration,
    /// How long to wait before resources are read again after that has failed, at
    /// most; half as much again is added at random.
    pub resync_delay: Duration,
    /// How long one watch lasts before it is begun anew; not zero.
    pub watch_timeout: Duration,
    /// Who the gateway is to etcd; none where etcd asks nobody.
    pub user: Option<EtcdUser>,
    /// How TLS is spoken to hosts with `https`.
    pub tls: EtcdTls,
}

/// One member.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EtcdHost {
    /// `http://127.0.0.1:2379`: a scheme, a host and a port.
    url: String,
}

/// A user of etcd with the password.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

/// How TLS is spoken to etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdTls {
    /// Whom the gateway says it is.
    pub identity: Option<Identity>,
    /// Whether etcd's certificate is verified.
    pub verify: bool,
    /// The name that etcd's certificate has to have, where it is not its host's.
    pub sni: Option<String>,
}

impl EtcdHost {
    #[cfg(test)]
    pub(crate) fn for_tests(url: &str) -> Self {
        let url = url.to_owned();
        Self { url }
    }

    /// Its URL, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for EtcdHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Debug for EtcdHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Does not show the password.
impl fmt::Debug for EtcdUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}

impl fmt::Debug for EtcdSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdSettings")
            .field("hosts", &self.hosts)
            .field("prefix", &self.prefix)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Reads the section `etcd`, if it is there. Relative paths are relative to
/// `folder`. The outer none says that there is a fault.
pub(super) fn read(
    deployment: &Object<'_>,
    folder: &Path,
    notes: &Notes,
) -> Option<Option<EtcdSettings>> {
    let Some(at) = deployment.get("etcd") else {
        return Some(None);
    };
    let section = at.object()?;
    foreign::sort_out(&section, foreign::ETCD, notes);
    let seconds = |key, least, default| {
        let read = section.read(key, |at| seconds(at, least));
        read.unwrap_or(Duration::from_secs(default))
    };
    // The defaults are APISIX's.
    let timeout = seconds("timeout", 1, 30);
    let rest = seconds("health_check_timeout", 1, 10);
    let resync_delay = seconds("resync_delay", 0, 5);
    let watch_timeout = seconds("watch_timeout", 1, 50);
    let startup_retry = section.read("startup_retry", |at| {
        u32::try_from(at.integer(1..=limits::ETCD_STARTS)?).ok()
    });
    let hosts = section.require("host").and_then(|at| read_hosts(&at));
    let prefix = section.read("prefix", read_prefix);
    let user = read_user(&section);
    let tls = section.section("tls", |tls| read_tls(tls, folder));
    section.finish();
    Some(Some(EtcdSettings {
        hosts: hosts?,
        prefix: prefix.unwrap_or("/apisix").to_owned(),
        timeout,
        startup_retry: startup_retry.unwrap_or(2),
        rest,
        resync_delay,
        watch_timeout,
        user,
        tls: tls?,
    }))
}

fn seconds(at: &At<'_>, least: i64) -> Option<Duration> {
    let most = i64::try_from(limits::LONGEST_DURATION.as_secs()).unwrap_or(i64::MAX);
    let seconds = at.integer(least..=most)?;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?))
}

fn read_hosts(at: &At<'_>) -> Option<Vec<EtcdHost>> {
    let hosts = at.unique_items_at_least_one()?;
    let hosts: Vec<_> = hosts.filter_map(|host| read_host(&host)).collect();
    (!hosts.is_empty()).then_some(hosts)
}

fn read_host(at: &At<'_>) -> Option<EtcdHost> {
    let text = at.string()?;
    let url: Option<Uri> = text.parse().ok();
    let url = url.filter(|url| {
        let scheme = url.scheme();
        scheme == Some(&Scheme::HTTP) || scheme == Some(&Scheme::HTTPS)
    });
    let Some((url, authority)) = url.as_ref().and_then(|url| Some((url, url.authority()?))) else {
        at.fault("expected a URL such as http://127.0.0.1:2379");
        return None;
    };
    if authority.as_str().contains('@') {
        at.fault("credentials do not belong into the URL: set user and password");
        return None;
    }
    if authority.host().is_empty() || url.path() != "/" || url.query().is_some() {
        at.fault("expected a URL without a path, such as http://127.0.0.1:2379");
        return None;
    }
    let scheme = url.scheme_str().unwrap_or_default();
    let port = authority.port_u16().unwrap_or(DEFAULT_PORT);
    Some(EtcdHost {
        url: format!("{scheme}://{}:{port}", authority.host()),
    })
}

/// A path, as it stands: APISIX too puts a slash and the rest of the key after it.
fn read_prefix<'a>(at: &At<'a>) -> Option<&'a str> {
    let prefix = at.string()?;
    if prefix.len() > limits::ETCD_PREFIX || prefix.chars().any(|c| c.is_control() || c == ' ') {
        at.fault(format!(
            "expected a prefix of keys such as /apisix, of at most {} bytes",
            limits::ETCD_PREFIX
        ));
        return None;
    }
    Some(prefix)
}

fn read_user(section: &Object<'_>) -> Option<EtcdUser> {
    let user = section.get("user");
    let password = section.get("password");
    match (&user, &password) {
        (None, None) => None,
        (Some(user), Some(password)) => Some(EtcdUser {
            name: text_of(user)?,
            password: text_of(password)?,
        }),
        (Some(at), None) | (None, Some(at)) => {
            at.fault("user and password are required together");
            None
        }
    }
}

/// A text; where one from the environment looks like something else, it is still one.
fn text_of(at: &At<'_>) -> Option<String> {
    match at.value() {
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => at.string().map(str::to_owned),
    }
}

/// None if there is a fault.
fn read_tls(tls: &Object<'_>, folder: &Path) -> Option<EtcdTls> {
    let verify = tls.read("verify", At::boolean).unwrap_or(true);
    let sni = tls.read("sni", |at| {
        let name = at.string()?;
        if rustls_pki_types::ServerName::try_from(name).is_err() {
            at.fault("expected the name of a host");
        }
        Some(name.to_owned())
    });
    Some(EtcdTls {
        identity: read_identity(tls, folder)?,
        verify,
        sni,
    })
}

/// The outer none says that there is a fault.
fn read_identity(tls: &Object<'_>, folder: &Path) -> Option<Option<Identity>> {
    match (tls.get("cert"), tls.get("key")) {
        (None, None) => Some(None),
        (Some(cert), Some(key)) => {
            let (chain, pem) = (file(&cert, folder), file(&key, folder));
            let identity = Identity::from_pem(&chain?, &pem?);
            let to_blame = match &identity {
                Err(BadIdentity::Certificate) => &cert,
                _ => &key,
            };
            to_blame.accept(identity).map(Some)
        }
        (Some(at), None) | (None, Some(at)) => {
            at.fault("cert and key are required together");
            None
        }
    }
}

/// The text of a file that a property names.
fn file(at: &At<'_>, folder: &Path) -> Option<String> {
    let path = folder.join(at.string()?);
    let text = read_file(&path);
    at.accept(text.map_err(|error| format!("{}: {error}", path.display())))
}
