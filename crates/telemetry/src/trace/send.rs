//! One batch to the collector, over HTTP/1.1: one connection per batch, as
//! batches are seconds apart.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::tls::{Tls, Trust};
use crate::limits::COLLECTOR_ANSWER;

/// Where a collector takes traces, and what it is to be sent along.
#[derive(Clone)]
pub struct Endpoint {
    /// Some where it is asked over TLS.
    tls: Option<Tls>,
    authority: Authority,
    path: PathAndQuery,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// It is no URL of a server.
    #[error("expected a URL such as http://127.0.0.1:4318")]
    NoUrl,
    /// It has a user and perhaps a password in it.
    #[error("credentials do not belong into the URL: put them into a header")]
    Credentials,
    /// Its host cannot be in a certificate.
    #[error("the host cannot be in a certificate")]
    Host,
}

impl Endpoint {
    /// The endpoint at `base`, to which `/v1/traces` is added as OTLP says.
    /// `headers` are sent with every batch; they may be secrets. For an `https`
    /// URL the collector's certificate must be vouched for by one of `trust`.
    ///
    /// # Errors
    /// [`BadEndpoint`]
    pub fn new(
        base: &str,
        headers: Vec<(HeaderName, HeaderValue)>,
        trust: &Trust,
    ) -> Result<Self, BadEndpoint> {
        let url: Uri = base.parse().map_err(|_| BadEndpoint::NoUrl)?;
        let authority = url.authority().ok_or(BadEndpoint::NoUrl)?.clone();
        if authority.as_str().contains('@') {
            return Err(BadEndpoint::Credentials);
        }
        let secure = url.scheme() == Some(&Scheme::HTTPS);
        if !(secure || url.scheme() == Some(&Scheme::HTTP)) || authority.host().is_empty() {
            return Err(BadEndpoint::NoUrl);
        }
        let host = bare(authority.host());
        let tls = secure.then(|| Tls::new(host, trust).ok_or(BadEndpoint::Host));
        let tls = tls.transpose()?;
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        let path = path.parse().map_err(|_| BadEndpoint::NoUrl)?;
        let mut headers = headers;
        for (_, value) in &mut headers {
            value.set_sensitive(true);
        }
        Ok(Endpoint {
            tls,
            authority,
            path,
            headers,
        })
    }

    fn request(&self, body: Vec<u8>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(self.path.clone());
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        let host = HeaderValue::from_str(self.authority.as_str());
        if let Ok(host) = host {
            headers.insert(header::HOST, host);
        }
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("outrigger/", env!("CARGO_PKG_VERSION"))),
        );
        request
    }

    /// Sends a batch. The body of the collector's answer.
    ///
    /// # Errors
    /// [`NotSent`]
    pub(crate) async fn send(&self, body: Vec<u8>, timeout: Duration) -> Result<Bytes, NotSent> {
        let sent = tokio::time::timeout(timeout, self.exchange(body)).await;
        sent.unwrap_or(Err(NotSent::Timeout(timeout)))
    }

    async fn exchange(&self, body: Vec<u8>) -> Result<Bytes, NotSent> {
        let usual = if self.tls.is_some() { 443 } else { 80 };
        let port = self.authority.port_u16().unwrap_or(usual);
        let stream = TcpStream::connect((bare(self.authority.host()), port)).await;
        let stream = stream.map_err(NotSent::Connect)?;
        match &self.tls {
            None => self.ask(stream, body).await,
            Some(tls) => {
                let stream = tls.connect(stream).await.map_err(NotSent::Connect)?;
                self.ask(stream, body).await
            }
        }
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        body: Vec<u8>,
    ) -> Result<Bytes, NotSent> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let asking = async move {
            let answer = sender.send_request(self.request(body)).await?;
            let status = answer.status();
            if !status.is_success() {
                return Err(NotSent::Status(status));
            }
            let body = Limited::new(answer.into_body(), COLLECTOR_ANSWER);
            let body = body.collect().await.map_err(NotSent::Body)?;
            Ok(body.to_bytes())
        };
        // The connection is driven until the answer is there, and no longer.
        tokio::pin!(asking, connection);
        tokio::select! {
            biased;
            answer = &mut asking => answer,
            ended = &mut connection => {
                ended?;
                asking.await
            }
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// A URL's host; there an address of IPv6 stands in brackets.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Why a batch did not get through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSent {
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    #[error("no answer after {0:?}")]
    Timeout(Duration),
    #[error("the collector answered {0}")]
    Status(StatusCode),
    #[error("the connection failed: {0}")]
    Http(#[from] hyper::Error),
    #[error("the answer cannot be read: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl NotSent {
    /// Whether the same batch may get through later (OTLP/HTTP, "Failures").
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            NotSent::Connect(_) | NotSent::Timeout(_) | NotSent::Http(_) => true,
            NotSent::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            // It was taken, as the status says.
            NotSent::Body(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Trust {
        Trust {
            certificates: Vec::new(),
            system: false,
        }
    }

    #[test]
    fn the_path_of_traces_is_added() {
        for (base, shown) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://[::1]:4318/", "http://[::1]:4318/v1/traces"),
            ("http://a/otlp/", "http://a/otlp/v1/traces"),
            ("https://a.test", "https://a.test/v1/traces"),
            ("https://[::1]:1", "https://[::1]:1/v1/traces"),
        ] {
            let endpoint = Endpoint::new(base, Vec::new(), &nobody()).unwrap();
            assert_eq!(endpoint.to_string(), shown);
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for (base, error) in [
            ("https://a..b:4318", BadEndpoint::Host),
            ("http://user:secret@a:1", BadEndpoint::Credentials),
            ("127.0.0.1:4318", BadEndpoint::NoUrl),
            ("/v1/traces", BadEndpoint::NoUrl),
            ("ftp://x", BadEndpoint::NoUrl),
            ("", BadEndpoint::NoUrl),
        ] {
            let refused = Endpoint::new(base, Vec::new(), &nobody()).unwrap_err();
            assert_eq!(refused, error, "{base}");
        }
    }
}
