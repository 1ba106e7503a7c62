//! TLS to the collector. Unlike an upstream's, its certificate is always
//! verified: what it is sent tells about users.

use std::io;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub struct Trust {
    /// These.
    pub certificates: Vec<CertificateDer<'static>>,
    /// And those that the system trusts.
    pub system: bool,
}

impl Default for Trust {
    /// Those of the system.
    fn default() -> Self {
        Trust {
            certificates: Vec::new(),
            system: true,
        }
    }
}

impl Trust {
    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.certificates.iter().cloned());
        if self.system {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "a certificate that the system trusts cannot be read");
            }
            roots.add_parsable_certificates(found.certs);
        }
        roots
    }
}

/// How TLS is spoken to one host.
#[derive(Clone)]
pub(crate) struct Tls {
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Tls {
    /// None for a host that no certificate can have in it.
    pub(crate) fn new(host: &str, trust: &Trust) -> Option<Self> {
        let name = ServerName::try_from(host).ok()?.to_owned();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports the versions that it names")
            .with_root_certificates(trust.roots())
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Some(Tls { name, connector })
    }

    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}
