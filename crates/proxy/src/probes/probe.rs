//! One probe: connecting to a node, over TLS where it is so, and asking for a status.

use std::io;
use std::time::Duration;

use outrigger_engine::upstream::health::Report;
use outrigger_engine::upstream::{Address, Node, PassHost, Upstream};
use outrigger_model::{ActiveChecks, Probe, UpstreamTls};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::limits::PROBE_HEAD;
use crate::server::Orders;
use crate::upstream::{Secured, tls_config};

/// What a probe of `node` meets.
pub(super) async fn report(upstream: &Upstream, node: &Node, orders: &Orders) -> Report {
    let Some(checks) = upstream.checks() else {
        return Report::Failed;
    };
    let active = &checks.active;
    let asking = ask(upstream, node, active, orders);
    let met = within(active.timeout, asking).await;
    met.unwrap_or_else(|error| {
        tracing::debug!(node = %node.address, %error, "a health check failed");
        match error.kind() {
            io::ErrorKind::TimedOut => Report::Late,
            _ => Report::Failed,
        }
    })
}

async fn within<T>(
    limit: Duration,
    doing: impl Future<Output = io::Result<T>> + Send,
) -> io::Result<T> {
    let late = || Err(io::ErrorKind::TimedOut.into());
    timeout(limit, Box::pin(doing))
        .await
        .unwrap_or_else(|_| late())
}

async fn ask(
    upstream: &Upstream,
    node: &Node,
    active: &ActiveChecks,
    orders: &Orders,
) -> io::Result<Report> {
    let address = match active.port {
        Some(port) => node.address.with_port(port),
        None => node.address.clone(),
    };
    let stream = match &address {
        Address::Socket(address) => TcpStream::connect(address).await?,
        Address::Name(name, port) => TcpStream::connect((&**name, *port)).await?,
    };
    let host = host(upstream, node, active);
    match active.probe {
        Probe::Tcp => Ok(Report::Connected),
        Probe::Http => status(stream, active, &host).await,
        Probe::Https => {
            let tls = UpstreamTls {
                verify: active.verify,
                ..upstream.tls.clone().unwrap_or_default()
            };
            let config = tls_config(&orders.roots, orders.settings.upstream_sni, &tls);
            let config = config.map_err(io::Error::other)?;
            let name = Secured::new(&tls, host.as_bytes()).server_name(stream.peer_addr()?.ip());
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            status(stream, active, &host).await
        }
    }
}

/// Which host is asked for: the one that is configured, else the one that requests
/// ask for, where that is always the same.
fn host(upstream: &Upstream, node: &Node, active: &ActiveChecks) -> String {
    let field = match &upstream.pass_host {
        PassHost::Rewrite(host) => host,
        PassHost::Pass | PassHost::Node => &node.host_field,
    };
    let field = || String::from_utf8_lossy(field.as_bytes()).into_owned();
    active.host.clone().unwrap_or_else(field)
}

/// Asks for the status.
async fn status(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    active: &ActiveChecks,
    host: &str,
) -> io::Result<Report> {
    let mut request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n",
        active.path
    );
    for field in &active.fields {
        request.push_str(field);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    loop {
        let mut chunk = [0; 256];
        let count = stream.read(&mut chunk).await?;
        head.extend_from_slice(&chunk[..count]);
        if let Some(end) = memchr::memchr(b'\n', &head) {
            return status_of(&head[..end]);
        }
        if count == 0 || head.len() > PROBE_HEAD {
            return Err(no_status());
        }
    }
}

/// The status in a response's first line.
fn status_of(line: &[u8]) -> io::Result<Report> {
    let line = std::str::from_utf8(line).unwrap_or_default();
    let mut words = line.split_ascii_whitespace();
    let version = words.next().is_some_and(|word| word.starts_with("HTTP/"));
    let status = words.next().filter(|word| version && word.len() == 3);
    let status = status.and_then(|word| word.parse().ok());
    status.map(Report::Status).ok_or_else(no_status)
}

fn no_status() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "there is no status in the answer",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    fn active(checks: serde_json::Value) -> ActiveChecks {
        let upstream = serde_json::json!({"nodes": {}, "checks": {"active": checks}});
        let upstream = outrigger_model::Upstream::from_json(&upstream).unwrap();
        upstream.checks.unwrap().active
    }

    #[tokio::test]
    async fn the_request_is_as_configured_and_the_first_line_counts() {
        let active = active(serde_json::json!({
            "http_path": "/health?x=1", "req_headers": ["User-Agent: probe", "X-A: b"],
        }));
        let (near, mut far) = duplex(1000);
        far.write_all(b"HTTP/1.1 204 No").await.unwrap();
        far.write_all(b" Content\r\n").await.unwrap();
        let report = status(near, &active, "a.test:8080").await.unwrap();
        assert_eq!(report, Report::Status(204));
        let mut request = String::new();
        far.read_to_string(&mut request).await.unwrap();
        assert_eq!(
            request,
            "GET /health?x=1 HTTP/1.1\r\nHost: a.test:8080\r\nConnection: close\r\n\
             User-Agent: probe\r\nX-A: b\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn what_is_no_response_is_a_failure() {
        for said in [
            &b""[..],
            b"\n",
            b"SSH-2.0\r\n",
            b"HTTP/1.1 2000 OK\r\n",
            &[b'x'; 9000],
        ] {
            let (near, mut far) = duplex(10_000);
            far.write_all(said).await.unwrap();
            far.shutdown().await.unwrap();
            let active = active(serde_json::json!({}));
            assert!(
                status(near, &active, "a").await.is_err(),
                "{}",
                said.escape_ascii()
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_late() {
        let never = within(
            Duration::from_secs(1),
            std::future::pending::<io::Result<()>>(),
        );
        assert_eq!(never.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
