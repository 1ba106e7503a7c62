//! Certificates with their private keys, and what an upstream's TLS is told.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::limits;
use crate::read::At;

/// A certificate chain with its private key. The two belong together, and the
/// key is of a kind that can sign.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// A text is no [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    /// The certificate is none.
    #[error("expected a certificate in PEM")]
    Certificate,
    /// The key is none, or of a kind that is not known.
    #[error("expected a private key in PEM, of RSA, ECDSA or Ed25519")]
    Key,
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
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
        let provider = ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key.clone_key(), &provider);
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => BadIdentity::Mismatch,
            rustls::Error::InvalidCertificate(_) => BadIdentity::Certificate,
            _ => BadIdentity::Key,
        })?;
        Ok(Identity {
            certified: Arc::new(certified),
            key: Arc::new(key),
        })
    }

    /// The chain with the key to sign with.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert && self.key == other.key
    }
}

impl Eq for Identity {}

/// Tells nothing of the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.certified.cert.len())
    }
}

/// The certificates of a PEM text; none if there is none, or something is wrong
/// with one.
pub fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

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

/// What an upstream's `tls` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Whom the gateway says it is: `client_cert` and `client_key`.
    pub identity: Option<Identity>,
    /// Whether the nodes' certificates are verified.
    pub verify: bool,
}

impl UpstreamTls {
    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object()?;
        if let Some(at) = object.get("client_cert_id") {
            at.fault("certificates are not resources yet: use client_cert and client_key");
        }
        let pem = |key| object.read(key, |at| at.text(limits::PEM));
        let verify = object.read("verify", At::boolean);
        let (chain, key) = (pem("client_cert"), pem("client_key"));
        let identity = match (object.get("client_cert"), object.get("client_key")) {
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                at.fault("client_cert and client_key are required together");
                return None;
            }
            (Some(chain_at), Some(key_at)) => {
                let identity = Identity::from_pem(chain?, key?);
                let to_blame = match &identity {
                    Err(BadIdentity::Certificate) => chain_at,
                    _ => key_at,
                };
                Some(to_blame.accept(identity)?)
            }
        };
        object.finish();
        Some(UpstreamTls {
            identity,
            verify: verify.unwrap_or(false),
        })
    }
}
