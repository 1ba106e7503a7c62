//! The certificates that clients have to show.

use std::sync::Arc;

use outrigger_model::ClientVerification;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

/// Verifies clients' certificates.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    /// How many certificates there may be between a client's own and one that is known.
    depth: usize,
    /// Whether a connection is wanted in any case, because some of its requests need no
    /// certificate.
    lenient: bool,
}

impl ClientVerifier {
    /// # Errors
    /// One of the authorities is no certificate, which [`check_authorities`] has ruled out.
    pub(super) fn new(
        client: &ClientVerification,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let roots = Arc::new(roots(&client.ca)?);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        let inner = builder.build();
        Ok(ClientVerifier {
            inner: inner.map_err(|error| rustls::Error::General(error.to_string()))?,
            depth: usize::try_from(client.depth).unwrap_or(usize::MAX),
            lenient: !client.skip_mtls_uri_regex.is_empty(),
        })
    }

    /// Whether a client's chain, its own certificate first, is good.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let Some((own, others)) = chain.split_first() else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        self.judge_at(own, others, UnixTime::now()).map(drop)
    }

    /// Clients send each certificate after the one that it has signed, so those that
    /// are too far away are not looked at.
    fn judge_at(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let near = &others[..others.len().min(self.depth)];
        self.inner.verify_client_cert(own, near, now)
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        !self.lenient
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if self.lenient {
            // Judged when it is known what the client wants.
            return Ok(ClientCertVerified::assertion());
        }
        self.judge_at(own, others, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    Ok(roots)
}

/// Whether clients can be verified by these authorities.
///
/// # Errors
/// What is wrong, in words for whoever has written it.
pub fn check_authorities(authorities: &[CertificateDer<'static>]) -> Result<(), &'static str> {
    let malformed = "the certificate is malformed";
    let roots = roots(authorities).map_err(|_| malformed)?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map(drop).map_err(|_| malformed)
}
