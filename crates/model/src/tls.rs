//! Certificates with their private keys, and what an upstream's TLS is told.

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::read::At;
use crate::{Id, limits};

/// A certificate chain with a private key. Whether the two belong together is
/// for whoever can sign with it to say.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity(Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>);

/// A text is no [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    /// The certificate is none.
    #[error("expected a certificate in PEM")]
    Certificate,
    /// The key is none.
    #[error("expected a private key in PEM")]
    Key,
}

impl Identity {
    /// Takes a chain, its own certificate first, and its private key, both in
    /// PEM.
    ///
    /// # Errors
    /// [`BadIdentity`] says which of the two is to blame.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, BadIdentity> {
        let chain = certificates(chain).ok_or(BadIdentity::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| BadIdentity::Key)?;
        Ok(Identity(Arc::new((chain, key))))
    }

    /// The chain, its own certificate first; not empty.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.0
    }

    /// The private key.
    #[must_use]
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.0.1
    }

    /// Where it lies: tells it from others that are there at the same time.
    #[must_use]
    pub fn place(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// How many hold it, clones of it included.
    #[must_use]
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

/// Tells nothing of the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.chain().len())
    }
}

/// The certificates of a PEM text; none if there is none, or something is wrong
/// with one.
pub fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

/// The cipher suites of TLS 1.2 that there are, by OpenSSL's names. Those of TLS 1.3 are
/// always all there.
pub const CIPHER_SUITES: [&str; 6] = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// Whom the nodes of an upstream are trusted by, where they are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Whoever the system trusts.
    pub system: bool,
    /// And these.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl Default for Trust {
    /// The system's.
    fn default() -> Self {
        Trust {
            system: true,
            certificates: Vec::new(),
        }
    }
}

/// Reads a chain with its key, and says which of the two is to blame.
pub(crate) fn read_identity(chain: &At<'_>, key: &At<'_>) -> Option<Identity> {
    let pem = |at: &At<'_>| at.text(limits::PEM).map(str::to_owned);
    let (chain_pem, key_pem) = (pem(chain), pem(key));
    let identity = Identity::from_pem(&chain_pem?, &key_pem?);
    let to_blame = match &identity {
        Err(BadIdentity::Certificate) => chain,
        _ => key,
    };
    to_blame.accept(identity)
}

/// What an upstream's `tls` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Whom the gateway says it is: `client_cert` and `client_key`.
    pub identity: Option<Identity>,
    /// The [`Ssl`](crate::Ssl) that says so in their place.
    pub client_cert_id: Option<Id>,
    /// Whether the nodes' certificates are verified.
    pub verify: bool,
}

impl UpstreamTls {
    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object()?;
        let verify = object.read("verify", At::boolean);
        let client_cert_id = object.read("client_cert_id", Id::read);
        let identity = match (object.get("client_cert"), object.get("client_key")) {
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                at.fault("client_cert and client_key are required together");
                return None;
            }
            (Some(_), Some(_)) if object.get("client_cert_id").is_some() => {
                at.fault("expected either \"client_cert_id\" or \"client_cert\", got both");
                return None;
            }
            (Some(chain), Some(key)) => Some(read_identity(&chain, &key)?),
        };
        object.finish();
        Some(UpstreamTls {
            identity,
            client_cert_id,
            verify: verify.unwrap_or(false),
        })
    }
}
