//! What a handshake needs of a certificate, made ready once.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use outrigger_model::{Ssl, TlsVersion};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureAlgorithm, SupportedProtocolVersion};

use super::sessions::Sessions;
use super::verify::ClientVerifier;
use super::{TlsSettings, suites};
use crate::http2;
use crate::upstream::certified;

/// How certificates are shown, by all workers.
pub(crate) struct TlsServers {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    sessions: Arc<Sessions>,
    /// By where the certificate lies, which each entry keeps from being another's.
    ready: ArcSwap<HashMap<usize, Arc<Ready>>>,
}

/// What a handshake needs of one certificate.
pub(super) struct Ready {
    ssl: Arc<Ssl>,
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
    pub(super) verifier: Option<Arc<ClientVerifier>>,
}

impl Ready {
    pub(super) fn config(&self, http2: bool) -> Arc<ServerConfig> {
        Arc::clone(if http2 { &self.http2 } else { &self.http1 })
    }
}

impl TlsServers {
    pub(crate) fn new(settings: TlsSettings) -> Self {
        TlsServers {
            provider: Arc::new(suites::provider(&settings.ciphers)),
            settings,
            sessions: Arc::default(),
            ready: ArcSwap::default(),
        }
    }

    pub(crate) fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// What a handshake needs to show `ssl`.
    ///
    /// # Errors
    /// What keeps it from being used, which was ruled out when it was configured.
    pub(super) fn ready(&self, ssl: &Arc<Ssl>) -> Result<Arc<Ready>, rustls::Error> {
        let place = Arc::as_ptr(ssl).addr();
        if let Some(ready) = self.ready.load().get(&place) {
            return Ok(Arc::clone(ready));
        }
        let made = Arc::new(self.make(ssl)?);
        // Several workers may have made one; the first is everybody's.
        self.ready.rcu(|ready| {
            let mut ready = HashMap::clone(ready);
            ready.entry(place).or_insert_with(|| Arc::clone(&made));
            ready
        });
        let ready = self.ready.load();
        Ok(ready.get(&place).map_or(made, Arc::clone))
    }

    /// Forgets certificates that are no longer configured.
    pub(crate) fn sweep(&self) {
        let used = |ready: &Ready| Arc::strong_count(&ready.ssl) > 1;
        if self.ready.load().values().all(|ready| used(ready)) {
            return;
        }
        self.ready.rcu(|ready| {
            let mut ready = HashMap::clone(ready);
            ready.retain(|_, ready| used(ready));
            ready
        });
    }

    fn make(&self, ssl: &Arc<Ssl>) -> Result<Ready, rustls::Error> {
        let versions = ssl.ssl_protocols.as_ref();
        let versions: Vec<_> = versions
            .unwrap_or(&self.settings.protocols)
            .iter()
            .map(version)
            .collect();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&versions)?;
        let verifier = ssl.client.as_ref();
        let verifier = verifier.map(|client| ClientVerifier::new(client, &self.provider));
        let verifier = verifier.transpose()?.map(Arc::new);
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier) as _),
            None => builder.with_no_client_auth(),
        };
        let keys = Keys::new(ssl, &self.provider)?;
        let mut config = builder.with_cert_resolver(Arc::new(keys));
        config.ignore_client_order = true;
        if self.settings.session_tickets {
            config.ticketer = ring::Ticketer::new()?;
            config.session_storage = Arc::new(NoServerSessionStorage {});
        } else {
            config.session_storage = self.sessions.of_certificate();
        }
        config.alpn_protocols = HTTP1.map(<[u8]>::to_vec).to_vec();
        let http1 = Arc::new(config.clone());
        config.alpn_protocols.insert(0, http2::ALPN.to_vec());
        Ok(Ready {
            ssl: Arc::clone(ssl),
            http1,
            http2: Arc::new(config),
            verifier,
        })
    }
}

/// How ALPN calls them.
const HTTP1: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

fn version(version: &TlsVersion) -> &'static SupportedProtocolVersion {
    match version {
        TlsVersion::Tls12 => &rustls::version::TLS12,
        TlsVersion::Tls13 => &rustls::version::TLS13,
    }
}

/// The certificates of one ssl; what costs less to sign with comes first.
#[derive(Debug)]
struct Keys(Vec<Arc<CertifiedKey>>);

impl Keys {
    fn new(ssl: &Ssl, provider: &CryptoProvider) -> Result<Self, rustls::Error> {
        let keys = ssl.identities.iter();
        let keys = keys.map(|identity| certified(identity, provider).map(Arc::new));
        let mut keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        keys.sort_by_key(|key| key.key.algorithm() == SignatureAlgorithm::RSA);
        Ok(Keys(keys))
    }
}

impl ResolvesServerCert for Keys {
    /// The first that the client can verify.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let mut keys = self.0.iter();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        keys.find(fits).or(self.0.first()).map(Arc::clone)
    }
}
