//! TLS to clients: which certificate each is shown, what it has to show itself, and how
//! long it may take.
//!
//! A handshake goes by the snapshot of the moment, so a certificate that is replaced is
//! shown no more, and connections that have begun go on. What a certificate needs to be
//! shown is made when it is first asked for, and shared by all workers; finding it takes no
//! lock. Only sessions that may be taken up again are kept in shared memory, a part
//! of which a handshake locks for as long as it takes to read or write an entry.

mod accept;
mod servers;
mod sessions;
mod suites;
mod verify;

pub(crate) use accept::{NotSecured, Secured, accept};
pub(crate) use servers::TlsServers;
pub use verify::check_authorities;

use outrigger_model::TlsVersion;

/// How TLS is spoken to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The versions, where a certificate does not say; not empty.
    pub protocols: Vec<TlsVersion>,
    /// The cipher suites of TLS 1.2 by OpenSSL's names, best first; all where it is
    /// empty. Those of TLS 1.3 are not chosen.
    pub ciphers: Vec<&'static str>,
    /// Whether clients keep their sessions themselves, in tickets.
    pub session_tickets: bool,
    /// The name that is meant by a client that asks for none.
    pub fallback_sni: Option<String>,
}

impl Default for TlsSettings {
    fn default() -> Self {
        TlsSettings {
            protocols: vec![TlsVersion::Tls12, TlsVersion::Tls13],
            ciphers: Vec::new(),
            session_tickets: false,
            fallback_sni: None,
        }
    }
}
