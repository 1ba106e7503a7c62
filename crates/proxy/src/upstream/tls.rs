//! TLS to nodes: whose certificates are believed, and whom the gateway says
//! that it is.
//!
//! As in APISIX and nginx, a node's certificate is not looked at unless its
//! upstream says `verify`.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use outrigger_model::{Identity, Trust, UpstreamTls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// The certificates that may vouch for a node; shared by all workers.
pub(crate) struct Roots {
    trust: Trust,
    /// Made when a node is first to be verified: reading the system's takes a while.
    store: OnceLock<Arc<RootCertStore>>,
}

impl Roots {
    pub(crate) fn new(trust: Trust) -> Self {
        Roots {
            trust,
            store: OnceLock::new(),
        }
    }

    fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(self.store.get_or_init(|| Arc::new(self.load())))
    }

    fn load(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.trust.certificates.iter().cloned());
        if self.trust.system {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "a certificate that the system trusts cannot be read");
            }
            store.add_parsable_certificates(found.certs);
        }
        if store.is_empty() {
            tracing::warn!(
                "no certificate is trusted, so no upstream can be verified: \
                 see apisix.ssl.ssl_trusted_certificate"
            );
        }
        store
    }
}

/// How TLS is spoken to a node, and under which name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Secured {
    /// The host that the request is for, without a port.
    host: Box<str>,
    profile: Profile,
}

impl Secured {
    /// `host` is the `Host` field that the node will be sent.
    pub(crate) fn new(tls: &UpstreamTls, host: &[u8]) -> Self {
        let host = String::from_utf8_lossy(host);
        Secured {
            host: without_port(&host).to_ascii_lowercase().into(),
            profile: Profile(tls.clone()),
        }
    }

    /// What the node is asked for and verified by: the host if it can be in a
    /// certificate, else its address.
    pub(crate) fn server_name(&self, address: IpAddr) -> ServerName<'static> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host).map(|name| name.to_owned());
        name.unwrap_or_else(|_| ServerName::from(address))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colon may be inside of the brackets of an address.
        Some((before, port)) if !port.contains(']') => before,
        _ => host,
    }
}

/// What connections of two upstreams must have in common to do for each
/// other. Identities are told apart by where they lie, which costs nothing.
#[derive(Debug, Clone)]
struct Profile(UpstreamTls);

impl Profile {
    fn key(&self) -> (bool, Option<usize>) {
        (self.0.verify, self.0.identity.as_ref().map(Identity::place))
    }
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Profile {}

impl PartialOrd for Profile {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Profile {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// A worker's ways to speak TLS. Each remembers sessions of its own, so that no
/// worker waits for another.
pub(crate) struct TlsClients {
    roots: Arc<Roots>,
    sni: bool,
    provider: Arc<CryptoProvider>,
    configs: RefCell<BTreeMap<Profile, Arc<ClientConfig>>>,
}

impl TlsClients {
    /// With `sni`, nodes are told the host's name before TLS begins.
    pub(crate) fn new(roots: Arc<Roots>, sni: bool) -> Self {
        TlsClients {
            roots,
            sni,
            provider: Arc::new(ring::default_provider()),
            configs: RefCell::default(),
        }
    }

    /// What a connection of this kind is made with.
    ///
    /// # Errors
    /// The identity is none that can sign, which [`check_identity`] has ruled out.
    pub(crate) fn config(&self, secured: &Secured) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut configs = self.configs.borrow_mut();
        if let Some(config) = configs.get(&secured.profile) {
            return Ok(Arc::clone(config));
        }
        let config = make(&self.provider, &self.roots, self.sni, &secured.profile.0)?;
        let config = Arc::new(config);
        configs.insert(secured.profile.clone(), Arc::clone(&config));
        Ok(config)
    }

    /// Forgets what no upstream and no connection uses any more.
    pub(crate) fn sweep(&self) {
        self.configs.borrow_mut().retain(|profile, _| {
            let identity = profile.0.identity.as_ref();
            identity.is_none_or(|identity| identity.holders() > 1)
        });
    }
}

/// How TLS is spoken by whoever remembers nothing of it.
///
/// # Errors
/// As [`TlsClients::config`].
pub(crate) fn config(
    roots: &Roots,
    sni: bool,
    tls: &UpstreamTls,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    Ok(Arc::new(make(&provider, roots, sni, tls)?))
}

fn make(
    provider: &Arc<CryptoProvider>,
    roots: &Roots,
    sni: bool,
    tls: &UpstreamTls,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?;
    let builder = if tls.verify {
        builder.with_root_certificates(roots.store())
    } else {
        let verifier = Unverified(Arc::clone(provider));
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
    };
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let resolver = SingleCertAndKey::from(certified(identity, provider)?);
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
    };
    config.enable_sni = sni;
    Ok(config)
}

/// Whether an identity can be used: its key is of a kind that is known, and
/// its certificate's.
///
/// # Errors
/// What is wrong, in words for whoever has written it.
pub fn check_identity(identity: &Identity) -> Result<(), &'static str> {
    let certified = certified(identity, &ring::default_provider());
    certified.map(|_| ()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => "the private key does not belong to the certificate",
        rustls::Error::InvalidCertificate(_) => "the certificate is malformed",
        _ => "expected a private key of RSA, ECDSA or Ed25519",
    })
}

pub(crate) fn certified(
    identity: &Identity,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(
        identity.chain().to_vec(),
        identity.key().clone_key(),
        provider,
    )
}

/// Takes any certificate. Who can put one of their own in a node's place is not
/// kept off by checking that they have its key, so that is not checked either.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_asked_for_the_host_that_it_is_sent() {
        let secured = |host: &str| Secured::new(&UpstreamTls::default(), host.as_bytes());
        let node: IpAddr = "192.0.2.1".parse().unwrap();
        let name = |host: &str| secured(host).server_name(node).to_str().into_owned();
        assert_eq!(name("A.test"), "a.test");
        assert_eq!(name("a.test:8443"), "a.test");
        assert_eq!(name("127.0.0.1:8443"), "127.0.0.1");
        assert_eq!(name("[::1]:8443"), "::1");
        assert_eq!(name("[::1]"), "::1");
        assert_eq!(name("a b"), "192.0.2.1");
        assert_eq!(name(""), "192.0.2.1");
        assert_eq!(secured("A.test:1"), secured("a.test:2"));
        assert_ne!(secured("a.test"), secured("b.test"));
    }

    #[test]
    fn verified_connections_do_not_mix_with_others() {
        let verified = UpstreamTls {
            verify: true,
            ..UpstreamTls::default()
        };
        let host = b"a.test";
        assert_ne!(
            Secured::new(&verified, host),
            Secured::new(&UpstreamTls::default(), host)
        );
    }
}
