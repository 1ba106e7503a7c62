//! A client that speaks TLS and HTTP/2, as browsers do.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_harness::{Authority, Certified, limits};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CipherSuite, ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Runs a client to its end.
///
/// # Panics
/// If it does not come to one.
#[track_caller]
pub(crate) fn run<T>(client: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(limits::WAIT, client).await };
    let ended = runtime.block_on(limited);
    ended.expect("the client came to its end")
}

/// How a client speaks TLS. Clones share their sessions.
#[derive(Clone)]
pub(crate) struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// One that trusts `authority` and speaks HTTP/1 alone.
    pub(crate) fn new(authority: &Authority) -> Self {
        Self::build(authority, None, &[b"http/1.1"], rustls::ALL_VERSIONS)
    }

    /// One that speaks HTTP/2 if it may.
    pub(crate) fn http2(authority: &Authority) -> Self {
        Self::build(authority, None, &[b"h2", b"http/1.1"], rustls::ALL_VERSIONS)
    }

    /// One that shows this certificate if it is asked for one.
    pub(crate) fn certified(authority: &Authority, own: &Certified) -> Self {
        Self::build(authority, Some(own), &[b"h2"], rustls::ALL_VERSIONS)
    }

    /// The same that speaks HTTP/1 alone.
    pub(crate) fn certified_http1(authority: &Authority, own: &Certified) -> Self {
        Self::build(authority, Some(own), &[], rustls::ALL_VERSIONS)
    }

    /// One of TLS 1.2, with this cipher suite only.
    pub(crate) fn of_tls12(authority: &Authority, suite: CipherSuite) -> Self {
        let mut provider = ring::default_provider();
        provider
            .cipher_suites
            .retain(|known| known.suite() == suite);
        let versions = &[&rustls::version::TLS12];
        Self::with(provider, authority, None, &[], versions)
    }

    fn build(
        authority: &Authority,
        own: Option<&Certified>,
        protocols: &[&[u8]],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        Self::with(
            ring::default_provider(),
            authority,
            own,
            protocols,
            versions,
        )
    }

    fn with(
        provider: CryptoProvider,
        authority: &Authority,
        own: Option<&Certified>,
        protocols: &[&[u8]],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.certificate().as_bytes());
        roots.add(root.unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                let chain = chain.collect::<Result<_, _>>().unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Self(Arc::new(config))
    }

    /// The same that does not say which host it wants.
    pub(crate) fn without_name(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.enable_sni = false;
        Self(Arc::new(config))
    }

    /// Speaks TLS with the host `name`.
    pub(crate) async fn secure(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::clone(&self.0))
            .connect(name, stream)
            .await
    }

    /// How the server at the address refuses to speak with this client. In TLS 1.3 that
    /// comes when the client is done with its handshake; it sends nothing then, which
    /// the refusal could cross on its way.
    pub(crate) fn refusal(&self, address: SocketAddr, name: &str) -> String {
        let ended = run(async {
            let mut stream = self.secure(address, name).await?;
            stream.read_u8().await
        });
        ended.unwrap_err().to_string()
    }

    /// A connection to the host `name`.
    pub(crate) async fn connect(&self, address: SocketAddr, name: &str) -> io::Result<Session> {
        let stream = self.secure(address, name).await?;
        let tls = stream.get_ref().1;
        let agreed = Agreed {
            version: tls.protocol_version().unwrap(),
            certificate: tls.peer_certificates().unwrap()[0].to_vec(),
            resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        let http2 = tls.alpn_protocol() == Some(b"h2");
        let sender = if http2 {
            Sender::Http2(http2_over(stream).await)
        } else {
            Sender::Http1(http1_over(stream).await)
        };
        let scheme = "https";
        Ok(Session {
            sender,
            scheme,
            agreed: Some(agreed),
        })
    }
}

/// What client and gateway have agreed on.
pub(crate) struct Agreed {
    pub(crate) version: ProtocolVersion,
    /// What the gateway has shown.
    pub(crate) certificate: Vec<u8>,
    pub(crate) resumed: bool,
}

#[derive(Clone)]
pub(crate) struct Http2(http2::SendRequest<Full<Bytes>>);

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(Http2),
}

/// A connection.
pub(crate) struct Session {
    sender: Sender,
    scheme: &'static str,
    agreed: Option<Agreed>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Session {
    /// A connection of HTTP/2 without TLS.
    pub(crate) async fn plain_http2(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Session {
            sender: Sender::Http2(http2_over(stream).await),
            scheme: "http",
            agreed: None,
        }
    }

    pub(crate) fn agreed(&self) -> &Agreed {
        self.agreed.as_ref().unwrap()
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// For requests at the same time.
    pub(crate) fn http2(&self) -> Http2 {
        match &self.sender {
            Sender::Http2(sender) => sender.clone(),
            Sender::Http1(_) => panic!("the connection is of HTTP/1"),
        }
    }

    /// A GET request.
    pub(crate) async fn get(&mut self, host: &str, path: &str) -> hyper::Result<Answer> {
        let request = match self.sender {
            Sender::Http1(_) => Request::get(path).header("host", host),
            Sender::Http2(_) => Request::get(format!("{}://{host}{path}", self.scheme)),
        };
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                answer(sender.send_request(request).await?).await
            }
            Sender::Http2(sender) => sender.send(request).await,
        }
    }
}

impl Http2 {
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        self.0.ready().await?;
        answer(self.0.send_request(request).await?).await
    }
}

async fn answer(response: hyper::Response<hyper::body::Incoming>) -> hyper::Result<Answer> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
        trailers,
    })
}

async fn http1_over<S>(stream: S) -> http1::SendRequest<Full<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn http2_over<S>(stream: S) -> Http2
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    Http2(sender)
}
