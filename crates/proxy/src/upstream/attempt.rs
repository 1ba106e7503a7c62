//! Asking the upstream: which failures lead to another node, which to a
//! refusal.
//!
//! A node that cannot be connected to gives way to the next. After a request
//! was sent it is repeated only if it can be (its body is no stream) and may be:
//! on a connection that turns out to have been closed while idle, once, on a
//! fresh one; on another node, where the method is not POST, LOCK or PATCH
//! (nginx's `proxy_next_upstream` without `non_idempotent`).

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use outrigger_engine::body::Body;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::headers::strip_hop_by_hop;
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::snapshot::Route;
use outrigger_engine::upstream::{Address, Node, PassHost, Upstream};
use outrigger_model::Timeout;
use tokio::net::TcpStream;

use super::link::{Link, Lost};
use super::response_body::{Home, ResponseBody};
use crate::client_body::Progress;
use crate::worker::Worker;

/// Sends the request of `exchange` to the route's upstream and returns the
/// response, its body perhaps still to come.
pub(crate) async fn ask(
    exchange: &mut Exchange,
    route: &Route,
    worker: &Rc<Worker>,
    progress: &Progress,
) -> Result<Response, Refusal> {
    let upstream = route.upstream.as_deref().ok_or(Refusal::NoUpstream)?;
    let (mut index, mut node) = upstream.pick().ok_or(Refusal::NoUpstream)?;
    let asking = Asking {
        upstream,
        route,
        worker,
        progress,
    };
    let mut tried = Vec::new();
    // Only plugins can have taken time so far.
    let mut now = if route.chain.acts_on_requests() {
        Instant::now()
    } else {
        exchange.started
    };
    loop {
        let failure = match asking.node(exchange, node, now).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        tracing::debug!(node = ?node.address, reason = failure.reason, "an upstream node failed");
        tried.push(index);
        let in_time = upstream
            .retry_timeout
            .is_none_or(|limit| exchange.started.elapsed() < limit);
        if !failure.may_go_on || tried.len() > upstream.retries || !in_time {
            return Err(failure.refusal);
        }
        let Some(next) = upstream.pick_after(&tried) else {
            return Err(failure.refusal);
        };
        (index, node) = next;
        now = Instant::now();
    }
}

struct Asking<'a> {
    upstream: &'a Upstream,
    route: &'a Route,
    worker: &'a Rc<Worker>,
    progress: &'a Progress,
}

/// One node's failure.
struct Failure {
    refusal: Refusal,
    /// Whether another node may be asked.
    may_go_on: bool,
    reason: &'static str,
}

impl Failure {
    fn last(refusal: Refusal, reason: &'static str) -> Self {
        Failure {
            refusal,
            may_go_on: false,
            reason,
        }
    }
}

impl Asking<'_> {
    async fn node(
        &self,
        exchange: &mut Exchange,
        node: &Node,
        mut now: Instant,
    ) -> Result<Response, Failure> {
        let mut request = self.request(exchange, node)?;
        let mut reused = self.worker.pool.take(&node.address, now);
        exchange.upstream.begin(&node.address, now);
        loop {
            let fresh = reused.is_none();
            let mut link = match reused.take() {
                Some(link) => link,
                None => {
                    let link = self.connect(exchange, &node.address, &mut request).await?;
                    now = Instant::now();
                    link
                }
            };
            let since = fresh.then_some(now);
            exchange.upstream.connected(link.peer, since);
            let spare = request.body().replay();
            match self.head(&mut link, request, now).await {
                // Nobody asked to leave HTTP: the request's Upgrade field stays here.
                Ok(head) if head.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(self.failure(exchange, &Lost::Broken, spare));
                }
                Ok(head) => {
                    let now = exchange.timed.then(Instant::now);
                    exchange.upstream.answered(head.status(), now);
                    // Plugins of the response phase may ask for it, where it is still there.
                    exchange.body = spare.unwrap_or_default();
                    return Ok(self.response(head, link, node));
                }
                // The node may have closed an idle connection just as the request was written.
                Err(Lost::Unsent(unsent)) if !fresh => request = *unsent,
                Err(Lost::Broken) if !fresh && spare.is_some() && may_repeat(&exchange.method) => {
                    exchange.upstream.failed(StatusCode::BAD_GATEWAY);
                    exchange.body = spare.unwrap_or_default();
                    request = self.request(exchange, node)?;
                    exchange.upstream.begin(&node.address, Instant::now());
                }
                Err(lost) => return Err(self.failure(exchange, &lost, spare)),
            }
        }
    }

    /// What a failure after connecting means; puts the body back where it
    /// can be sent again.
    fn failure(&self, exchange: &mut Exchange, lost: &Lost, spare: Option<Body>) -> Failure {
        if let Some(refusal) = self.progress.refusal() {
            return Failure::last(refusal, "the request's body could not be read");
        }
        let (refusal, reason) = match lost {
            Lost::Timeout => (Refusal::UpstreamTimeout, "it did not answer in time"),
            Lost::Unsent(_) | Lost::Broken => (Refusal::UpstreamBroken, "it closed the connection"),
        };
        exchange.upstream.failed(refusal.status());
        let may_go_on = spare.is_some() && may_repeat(&exchange.method);
        exchange.body = spare.unwrap_or_default();
        Failure {
            refusal,
            may_go_on,
            reason,
        }
    }

    fn request(&self, exchange: &mut Exchange, node: &Node) -> Result<Request<Body>, Failure> {
        let internal = |reason| Failure::last(Refusal::Internal, reason);
        let target = exchange.target.for_upstream();
        let target = target.map_err(|_| internal("the target that plugins made is none"))?;
        let mut request = Request::new(std::mem::take(&mut exchange.body));
        *request.method_mut() = exchange.method.clone();
        *request.uri_mut() = Uri::from(target);
        let mut headers = exchange.headers_for_upstream();
        match &self.upstream.pass_host {
            PassHost::Pass if headers.contains_key(header::HOST) => {}
            // An HTTP/1.0 client may have sent none.
            PassHost::Pass => {
                headers.insert(header::HOST, node.host_field.clone());
            }
            PassHost::Node => {
                headers.insert(header::HOST, node.host_field.clone());
            }
            PassHost::Rewrite(host) => {
                headers.insert(header::HOST, host.clone());
            }
        }
        if request.body().is_empty() && needs_length(&exchange.method) {
            headers
                .entry(header::CONTENT_LENGTH)
                .or_insert(HeaderValue::from_static("0"));
        }
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn connect(
        &self,
        exchange: &mut Exchange,
        address: &Address,
        request: &mut Request<Body>,
    ) -> Result<Box<Link>, Failure> {
        let limit = self.route.timeout.connect;
        let linked = tokio::time::timeout(limit, open(address)).await;
        linked
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| {
                // Nothing was sent: the whole request can go to another node.
                exchange.body = std::mem::take(request.body_mut());
                let timeout = error.kind() == io::ErrorKind::TimedOut;
                tracing::warn!(?address, %error, "cannot connect to an upstream node");
                let refusal = if timeout {
                    Refusal::UpstreamTimeout
                } else {
                    Refusal::UpstreamUnreachable
                };
                exchange.upstream.failed(refusal.status());
                Failure {
                    refusal,
                    may_go_on: true,
                    reason: "it cannot be connected to",
                }
            })
    }

    /// Sends the request and waits for the head.
    fn head(
        &self,
        link: &mut Link,
        request: Request<Body>,
        now: Instant,
    ) -> impl Future<Output = Result<http::Response<Incoming>, Lost>> {
        let Timeout { read, send, .. } = self.route.timeout;
        let streams = matches!(request.body(), Body::Stream(_));
        let limit = if streams { read.max(send) } else { read };
        link.send(request, now, limit, || self.progress.last_part())
    }

    fn response(
        &self,
        head: http::Response<Incoming>,
        mut link: Box<Link>,
        node: &Node,
    ) -> Response {
        link.served += 1;
        let (head, incoming) = head.into_parts();
        let mut headers = head.headers;
        strip_hop_by_hop(&mut headers);
        let home = Home {
            pool: Rc::clone(&self.worker.pool),
            address: node.address.clone(),
            keepalive: self.upstream.keepalive,
        };
        let body = ResponseBody::new(incoming, link, home, self.route.timeout.read);
        let reason = head.extensions.get::<ReasonPhrase>();
        Response {
            status: head.status,
            reason: reason.map(|words| Bytes::copy_from_slice(words.as_bytes())),
            headers,
            body: body.into_body(),
        }
    }
}

/// Whether a node that may have acted on the request does no harm if it, or
/// another, gets it again (nginx's reading of RFC 9110, section 9.2.2).
fn may_repeat(method: &Method) -> bool {
    !matches!(method.as_str(), "POST" | "LOCK" | "PATCH")
}

fn needs_length(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

async fn open(address: &Address) -> io::Result<Box<Link>> {
    let stream = match address {
        Address::Socket(address) => TcpStream::connect(address).await?,
        Address::Name(name, port) => TcpStream::connect((&**name, *port)).await?,
    };
    stream.set_nodelay(true)?;
    let peer: SocketAddr = stream.peer_addr()?;
    let link = Link::new(stream, peer).await.map_err(io::Error::other)?;
    Ok(Box::new(link))
}
