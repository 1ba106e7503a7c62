//! One handshake.

use std::io;
use std::sync::Arc;

use outrigger_engine::tls_session::{TlsSession, Verified};
use outrigger_model::Ssl;
use rustls::server::Acceptor;
use rustls::{AlertDescription, HandshakeKind, ProtocolVersion, ServerConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::servers::{Ready, TlsServers};
use super::suites;
use crate::http2;

/// A client's connection over TLS.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) session: TlsSession,
    /// Whether both sides want to speak HTTP/2.
    pub(crate) http2: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSecured {
    /// The client's doing.
    #[error("the TLS handshake failed: {0}")]
    Client(#[from] io::Error),
    /// There is nothing to show.
    #[error("{}", no_certificate(.0))]
    NoCertificate(String),
    /// A defect: it should not have been configured.
    #[error("the certificate for {0:?} cannot be used: {1}")]
    Unusable(String, rustls::Error),
}

fn no_certificate(name: &str) -> String {
    if name.is_empty() {
        return "a client named no host, so there is no certificate for it: \
                set apisix.ssl.fallback_sni to a name that has one"
            .to_owned();
    }
    format!("there is no certificate for {name:?}: add an ssl that has this name in its snis")
}

/// Secures `stream` with the certificate that `find` has for the name that the client asks
/// for. Takes as long as it takes.
pub(crate) async fn accept(
    stream: TcpStream,
    servers: &TlsServers,
    find: impl FnOnce(&str) -> Option<Arc<Ssl>>,
    http2: bool,
) -> Result<Secured, NotSecured> {
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let server_name = start.client_hello().server_name().map(str::to_owned);
    let name = server_name
        .as_ref()
        .or(servers.settings().fallback_sni.as_ref());
    let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    let name = name.unwrap_or_default();
    let Some(ssl) = find(&name) else {
        refuse(&mut start.io, AlertDescription::UnrecognisedName).await;
        return Err(NotSecured::NoCertificate(name));
    };
    let ready = match servers.ready(&ssl) {
        Ok(ready) => ready,
        Err(error) => {
            refuse(&mut start.io, AlertDescription::InternalError).await;
            return Err(NotSecured::Unusable(name, error));
        }
    };
    let stream = start.into_stream(ready.config(http2)).await?;
    let connection = stream.get_ref().1;
    let http2 = connection.alpn_protocol() == Some(http2::ALPN);
    let session = session(connection, server_name, name, ssl, &ready);
    Ok(Secured {
        stream,
        session,
        http2,
    })
}

/// Tells a client that has said hello why it gets no answer (RFC 8446, section 6).
async fn refuse(stream: &mut TcpStream, alert: AlertDescription) {
    const ALERT: u8 = 21;
    const LEGACY_VERSION: [u8; 2] = [3, 3];
    const FATAL: u8 = 2;
    let [major, minor] = LEGACY_VERSION;
    let record = [ALERT, major, minor, 0, 2, FATAL, alert.into()];
    // Whoever has gone need not be told.
    if stream.write_all(&record).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

fn session(
    connection: &ServerConnection,
    server_name: Option<String>,
    name: String,
    ssl: Arc<Ssl>,
    ready: &Ready,
) -> TlsSession {
    let chain = connection.peer_certificates().unwrap_or_default();
    let verified = match &ready.verifier {
        Some(verifier) if !chain.is_empty() => match verifier.judge(chain) {
            Ok(()) => Verified::Success,
            Err(error) => Verified::Failed(error.to_string()),
        },
        _ => Verified::None,
    };
    let suite = connection.negotiated_cipher_suite();
    TlsSession {
        server_name,
        name,
        ssl,
        protocol: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        cipher: suite.map_or("unknown", |suite| suites::name(suite.suite())),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        certificate: chain.first().map(|own| own.to_vec()),
        verified,
    }
}
