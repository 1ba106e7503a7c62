//! TLS to clients of the APIs.
//!
//! Deliberately absent: choosing among certificates. There is one, and it changes with
//! the settings alone.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use outrigger_model::{CertificateDer, Identity};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use crate::limits;

/// How TLS is spoken.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Shows `identity`; with `authorities`, takes only clients that one of them vouches for.
    ///
    /// # Errors
    /// What of them cannot be used.
    pub fn new(
        identity: &Identity,
        authorities: Option<&[CertificateDer<'static>]>,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match authorities {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in authorities {
                    roots.add(authority.clone())?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                let verifier = verifier.build();
                let verifier =
                    verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = identity.chain().to_vec();
        let mut config = builder.with_single_cert(chain, identity.key().clone_key())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// Tells nothing of the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// A connection, with TLS or without. A handshake takes place with the first bytes, so that
/// nobody waits for another's.
pub(crate) enum Stream {
    Plain(TcpStream),
    /// The handshake, and how long it may take.
    Begun(Box<Accept<TcpStream>>, Pin<Box<Sleep>>),
    Secured(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(crate) fn new(stream: TcpStream, tls: Option<&Tls>) -> Self {
        match tls {
            None => Self::Plain(stream),
            Some(Tls(config)) => {
                let accept = TlsAcceptor::from(Arc::clone(config)).accept(stream);
                let limit = Box::pin(sleep(limits::HANDSHAKE));
                Self::Begun(Box::new(accept), limit)
            }
        }
    }

    /// Ready once the handshake is over.
    fn poll_begin(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self::Begun(accept, limit) = self else {
            return Poll::Ready(Ok(()));
        };
        if limit.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let stream = ready!(Pin::new(accept).poll(context))?;
        *self = Self::Secured(Box::new(stream));
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_begin(context))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Secured(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Begun(..) => Poll::Pending,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_begin(context))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Secured(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Begun(..) => Poll::Pending,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Secured(stream) => Pin::new(stream).poll_flush(context),
            // There is nothing to send yet.
            Self::Begun(..) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Secured(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Begun(..) => Poll::Ready(Ok(())),
        }
    }
}
