//! Certificates made for a test, and a server's side of TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Who signs certificates; nobody trusts it who is not told to.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its private key, both in PEM.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A fresh one.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[allow(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of one name would be taken for each other.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("there is randomness");
        Self(CertifiedIssuer::self_signed(params, key).expect("it signs itself"))
    }

    /// Its own certificate in PEM.
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// One that this one vouches for.
    ///
    /// # Panics
    /// If the system has no randomness.
    pub fn delegate(&self, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("there is randomness");
        Self(CertifiedIssuer::signed_by(params, key, &self.0).expect("it is signed"))
    }

    /// A certificate of its own for `name`, a host or an address.
    ///
    /// # Panics
    /// If `name` is neither.
    pub fn certify(&self, name: &str) -> Certified {
        let key = KeyPair::generate().expect("there is randomness");
        self.certify_key(name, key)
    }

    /// As [`Authority::certify`], for this private key in PEM.
    ///
    /// # Panics
    /// If `name` is neither, or `key` is none.
    pub fn certify_pem(&self, name: &str, key: &str) -> Certified {
        self.certify_key(name, KeyPair::from_pem(key).expect("a key in PEM"))
    }

    fn certify_key(&self, name: &str, key: KeyPair) -> Certified {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("it is signed");
        Certified {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// How an upstream speaks TLS.
#[derive(Clone, Debug)]
pub struct TlsServer(Arc<ServerConfig>);

impl TlsServer {
    /// With this certificate, and no wish to see the client's.
    ///
    /// # Panics
    /// If certificate and key are not each other's.
    pub fn new(certified: &Certified) -> Self {
        Self::build(certified, None)
    }

    /// Takes only clients that `authority` vouches for.
    ///
    /// # Panics
    /// As [`TlsServer::new`].
    pub fn for_clients_of(certified: &Certified, authority: &Authority) -> Self {
        Self::build(certified, Some(authority))
    }

    fn build(certified: &Certified, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for them");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                let root = authority.0.der().clone();
                roots.add(root).expect("a certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().expect("there are roots"))
            }
        };
        let chain = CertificateDer::pem_slice_iter(certified.certificate.as_bytes());
        let chain = chain
            .collect::<Result<_, _>>()
            .expect("certificates in PEM");
        let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).expect("a key in PEM");
        let config = builder.with_single_cert(chain, key);
        Self(Arc::new(config.expect("they are each other's")))
    }

    /// Speaks TLS on a connection that a client has opened; fails if the client
    /// does not.
    pub(crate) fn accept(&self, mut stream: TcpStream) -> io::Result<(Tls, Secured)> {
        let connection = ServerConnection::new(Arc::clone(&self.0));
        let mut connection = connection.map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        let seen = Secured {
            server_name: connection.server_name().map(str::to_owned),
            client_certified: connection.peer_certificates().is_some(),
            resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        };
        Ok((Tls(Box::new(StreamOwned::new(connection, stream))), seen))
    }
}

/// What a client said while TLS began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// The host that it asked for by name.
    pub server_name: Option<String>,
    /// Whether it has shown a certificate.
    pub client_certified: bool,
    /// Whether it took up an earlier session.
    pub resumed: bool,
}

/// A server's side of a connection.
#[derive(Debug)]
pub(crate) struct Tls(Box<StreamOwned<ServerConnection, TcpStream>>);

impl Tls {
    /// Says that no more bytes are to come, as TLS wants it said.
    pub(crate) fn close(&mut self) {
        self.0.conn.send_close_notify();
        // Whoever has gone need not be told.
        let _ = self.0.flush();
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
