//! Certificates as resources: what listeners show their clients, and what upstreams are
//! shown.

use rustls_pki_types::CertificateDer;
use serde_json::Value;

use crate::described::Described;
use crate::expr::{self, Pattern};
use crate::read::{At, Null, Object, read};
use crate::service::{read_hosts, read_id};
use crate::tls::read_identity;
use crate::{Faults, HostPattern, Id, Identity, Labels, certificates, limits};

/// What a certificate is for; the `type` of an ssl.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum SslType {
    /// It is shown to clients.
    #[default]
    Server,
    /// It is shown to upstreams whose `tls.client_cert_id` names it.
    Client,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What clients have to show.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientVerification {
    /// Who may have signed their certificates; not empty.
    pub ca: Vec<CertificateDer<'static>>,
    /// How many certificates there may be between a client's own and one of `ca`.
    pub depth: u32,
    /// Paths of requests for which nothing has to be shown.
    pub skip_mtls_uri_regex: Vec<Pattern>,
}

/// A certificate with its key, or several for the same names.
///
/// Invariant: a server's has a name and an identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Ssl {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Option<String>,
    /// What it is for, in words.
    pub desc: Option<String>,
    /// Its labels.
    pub labels: Labels,
    /// What it is for.
    pub purpose: SslType,
    /// The names that clients ask for.
    pub snis: Vec<HostPattern>,
    /// `cert` with `key`, then `certs` with `keys`; at least one. Whether a key
    /// belongs to its certificate is for whoever can sign with it to say.
    pub identities: Vec<Identity>,
    /// What clients have to show; none for nothing.
    pub client: Option<ClientVerification>,
    /// The versions of TLS that may be spoken; none for those of the listener. Not empty.
    pub ssl_protocols: Option<Vec<TlsVersion>>,
    /// Whether clients are shown it.
    pub enabled: bool,
}

impl Ssl {
    /// Reads one from APISIX's JSON shape, or reports all that is wrong with it.
    pub fn from_json(json: &Value) -> Result<Self, Faults> {
        read(json, Null::IsAValue, |at| Self::read(at, None))
    }

    /// `given` is the id of a document that holds none.
    pub(crate) fn read(at: &At<'_>, given: Option<Id>) -> Option<Self> {
        let object = at.object()?;
        let id = read_id(&object, given);
        let Described { name, desc, labels } = Described::read(&object);
        let purpose = object.read("type", |at| at.one_of(&["server", "client"]));
        let purpose = match purpose {
            Some("client") => SslType::Client,
            _ => SslType::Server,
        };
        let snis = read_names(&object, purpose);
        let identities = read_identities(&object);
        let client = object.read("client", ClientVerification::read);
        let ssl_protocols = object.read("ssl_protocols", read_versions);
        let status = object.read("status", |at| at.integer(0..=1));
        object.finish();
        Some(Self {
            id: id?,
            name,
            desc,
            labels,
            purpose,
            snis: snis?,
            identities: identities?,
            client,
            ssl_protocols,
            enabled: status != Some(0),
        })
    }
}

fn read_names(object: &Object<'_>, purpose: SslType) -> Option<Vec<HostPattern>> {
    match (object.get("sni"), object.get("snis")) {
        (Some(sni), None) => Some(vec![HostPattern::read(&sni)?]),
        (None, Some(snis)) => read_hosts(&snis),
        (None, None) if purpose == SslType::Client => Some(Vec::new()),
        (None, None) => {
            object
                .at()
                .fault("property \"sni\" or \"snis\" is required");
            None
        }
        (Some(_), Some(_)) => {
            object
                .at()
                .fault("expected either \"sni\" or \"snis\", got both");
            None
        }
    }
}

fn read_identities(object: &Object<'_>) -> Option<Vec<Identity>> {
    let first = object.require("cert").zip(object.require("key"));
    let first = first.and_then(|(cert, key)| read_identity(&cert, &key));
    let (certs, keys) = (object.get("certs"), object.get("keys"));
    let items = |at: &Option<At<'_>>| match at {
        Some(at) => at.items().map(|items| items.len()),
        None => Some(0),
    };
    if items(&certs)? != items(&keys)? {
        object.at().fault("mismatched number of certs and keys");
        return None;
    }
    let mut identities = vec![first?];
    if let (Some(certs), Some(keys)) = (&certs, &keys) {
        for (cert, key) in certs.items()?.zip(keys.items()?) {
            identities.push(read_identity(&cert, &key)?);
        }
    }
    Some(identities)
}

impl ClientVerification {
    fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object()?;
        let ca = object.require("ca").and_then(|at| {
            let found = certificates(at.text(limits::PEM)?);
            if found.is_none() {
                at.fault("expected a certificate in PEM");
            }
            found
        });
        let depth = object.read("depth", |at| at.integer(0..=limits::CHAIN_LEN));
        let paths = object.read("skip_mtls_uri_regex", |at| {
            let patterns = at.unique_items_at_least_one()?;
            let read = patterns.map(|at| {
                at.string()?;
                at.accept(expr::pattern(
                    at.value(),
                    false,
                    crate::PropertyPath::root(),
                ))
            });
            read.collect()
        });
        object.finish();
        Some(Self {
            ca: ca?,
            depth: depth
                .and_then(|depth| u32::try_from(depth).ok())
                .unwrap_or(1),
            skip_mtls_uri_regex: paths.unwrap_or_default(),
        })
    }
}

/// TLS 1.1 is no longer spoken (RFC 8996): it is passed over as long as there is another.
fn read_versions(at: &At<'_>) -> Option<Vec<TlsVersion>> {
    let mut versions = Vec::new();
    for item in at.unique_items()? {
        match item.one_of(&["TLSv1.1", "TLSv1.2", "TLSv1.3"])? {
            "TLSv1.2" => versions.push(TlsVersion::Tls12),
            "TLSv1.3" => versions.push(TlsVersion::Tls13),
            _ => {}
        }
    }
    if versions.is_empty() {
        at.fault("expected \"TLSv1.2\", \"TLSv1.3\" or both: older versions are not spoken");
        return None;
    }
    versions.sort_unstable();
    Some(versions)
}

#[cfg(test)]
mod tests;
