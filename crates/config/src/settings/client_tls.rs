//! `apisix.ssl`: how TLS is spoken to clients. Certificates are resources.

use outrigger_model::read::{At, Object};
use outrigger_model::{CIPHER_SUITES, HostPattern, TlsVersion};

use super::foreign::Notes;

/// How TLS is spoken to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// The versions, where a certificate does not say; not empty.
    pub protocols: Vec<TlsVersion>,
    /// The cipher suites of TLS 1.2, of [`CIPHER_SUITES`], best first; empty for all.
    pub ciphers: Vec<&'static str>,
    /// Whether clients keep their sessions themselves, in tickets.
    pub session_tickets: bool,
    /// The name that is meant by a client that asks for none, in lower case.
    pub fallback_sni: Option<String>,
}

impl Default for ClientTls {
    fn default() -> Self {
        ClientTls {
            protocols: vec![TlsVersion::Tls12, TlsVersion::Tls13],
            ciphers: Vec::new(),
            session_tickets: false,
            fallback_sni: None,
        }
    }
}

/// Reads it from the section `ssl`.
pub(super) fn read(ssl: &Object<'_>, notes: &Notes) -> ClientTls {
    let protocols = ssl.read("ssl_protocols", |at| read_protocols(at, notes));
    let ciphers = ssl.read("ssl_ciphers", |at| read_ciphers(at, notes));
    let fallback_sni = ssl.read("fallback_sni", |at| {
        let text = at.string()?;
        match HostPattern::new(text) {
            Some(HostPattern::Exact(name)) => Some(name),
            _ if text.is_empty() => None,
            _ => {
                at.fault("expected the name of a host");
                None
            }
        }
    });
    let default = ClientTls::default();
    ClientTls {
        protocols: protocols.unwrap_or(default.protocols),
        ciphers: ciphers.unwrap_or_default(),
        session_tickets: ssl
            .read("ssl_session_tickets", At::boolean)
            .unwrap_or(default.session_tickets),
        fallback_sni,
    }
}

/// Names with spaces between them.
fn read_protocols(at: &At<'_>, notes: &Notes) -> Option<Vec<TlsVersion>> {
    let mut versions = Vec::new();
    for name in at.string()?.split_ascii_whitespace() {
        match name {
            "TLSv1.2" => versions.push(TlsVersion::Tls12),
            "TLSv1.3" => versions.push(TlsVersion::Tls13),
            "SSLv2" | "SSLv3" | "TLSv1" | "TLSv1.1" => {
                notes.add(
                    at,
                    format!("{name} is not spoken: it is no longer safe (RFC 8996)"),
                );
            }
            other => at.fault(format!("there is no version of TLS called {other:?}")),
        }
    }
    if versions.is_empty() {
        at.fault("expected TLSv1.2, TLSv1.3 or both, with a space between them");
        return None;
    }
    versions.sort_unstable();
    versions.dedup();
    Some(versions)
}

/// Names with colons between them, as OpenSSL has them.
fn read_ciphers(at: &At<'_>, notes: &Notes) -> Option<Vec<&'static str>> {
    let mut suites = Vec::new();
    let mut others = Vec::new();
    for name in at
        .string()?
        .split([':', ',', ' '])
        .filter(|name| !name.is_empty())
    {
        match CIPHER_SUITES.iter().find(|suite| **suite == name) {
            Some(suite) if suites.contains(suite) => {}
            Some(suite) => suites.push(*suite),
            // Those of TLS 1.3 are not chosen here, in OpenSSL neither.
            None if name.starts_with("TLS_") => {}
            None => others.push(name),
        }
    }
    if !others.is_empty() {
        let all = if suites.is_empty() {
            "; all that are spoken may be used"
        } else {
            ""
        };
        let others = others.join(", ");
        notes.add(
            at,
            format!("these are not spoken, or no names of suites: {others}{all}"),
        );
    }
    Some(suites)
}
