//! Asking the upstream: which failures lead to another node, which to a
//! refusal.
//!
//! A node that cannot be connected to gives way to the next. After a request
//! was sent it is repeated only if it can be (its body is no stream) and may be:
//! on a connection that turns out to have been closed while idle, once, on a
//! fresh one; on another node, where the method is not POST, LOCK or PATCH
//! (nginx's `proxy_next_upstream` without `non_idempotent`).

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use http::{Method, StatusCode};
use outrigger_engine::body::{Body, BodyError};
use outrigger_engine::chain::Chain;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::headers::strip_hop_by_hop;
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::snapshot::Route;
use outrigger_engine::upstream::{Node, Upstream};

use super::connect::connect;
use super::http1::ResponseHead;
use super::link::Lost;
use super::pool::{Link, Place};
use super::request;
use super::response_body::{Broken, Home, ResponseBody};
use super::tls::Secured;
use crate::terms::Upstreams;

/// Sends the request of `exchange` to the route's upstream and returns the
/// response, its body perhaps still to come.
pub(crate) async fn ask(
    exchange: &mut Exchange,
    route: &Route,
    upstreams: &Upstreams,
) -> Result<Response, Refusal> {
    let upstream = route.upstream.as_deref().ok_or(Refusal::NoUpstream)?;
    let (mut index, mut node) = upstream.pick().ok_or(Refusal::NoUpstream)?;
    let asking = Asking {
        upstream,
        route,
        upstreams,
    };
    let mut tried = Vec::new();
    // Only plugins can have taken time so far.
    let mut now = if exchange.chains().any(Chain::acts_on_requests) {
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
    upstreams: &'a Upstreams,
}

/// One node's failure.
struct Failure {
    refusal: Refusal,
    /// Whether another node may be asked.
    may_go_on: bool,
    reason: &'static str,
}

impl Asking<'_> {
    async fn node(
        &self,
        exchange: &mut Exchange,
        node: &Node,
        mut now: Instant,
    ) -> Result<Response, Failure> {
        let place = self.place(exchange, node);
        exchange.upstream.begin(&node.address, now);
        loop {
            let link = self.upstreams.pool.take(&place, now);
            let fresh = link.is_none();
            let mut link = match link {
                Some(link) => link,
                None => {
                    let link = self.connect(exchange, &place).await?;
                    now = Instant::now();
                    link
                }
            };
            exchange.upstream.connected(link.peer, fresh.then_some(now));
            let spare = self.begin(exchange, node, &mut link, now)?;
            let lost = match poll_fn(|cx| link.poll_head(cx)).await {
                Ok(head) => {
                    let now = exchange.timed.then(Instant::now);
                    let response = self.response(head, link, place);
                    let response = match response {
                        Ok(response) => response,
                        Err(Broken(error)) => {
                            return Err(failure(exchange, &Lost::Body(error), spare));
                        }
                    };
                    exchange.upstream.answered(response.status, now);
                    // Plugins of the response phase may ask for it, where it is still there.
                    exchange.body = spare.unwrap_or_default();
                    return Ok(response);
                }
                Err(lost) => lost,
            };
            // The node may have closed an idle connection, or said something
            // that was nobody's answer, just as the request was written.
            let closed = !matches!(lost, Lost::Timeout | Lost::Client(_));
            match spare {
                Some(body) if !fresh && closed && link.is_unsent() => exchange.body = body,
                Some(body) if !fresh && closed && may_repeat(&exchange.method) => {
                    exchange.body = body;
                    exchange.upstream.failed(StatusCode::BAD_GATEWAY);
                    exchange.upstream.begin(&node.address, Instant::now());
                }
                spare => return Err(failure(exchange, &lost, spare)),
            }
        }
    }

    fn place(&self, exchange: &Exchange, node: &Node) -> Place {
        let tls = self.upstream.tls.as_ref().map(|tls| {
            let host = request::host(exchange, &self.upstream.pass_host, node);
            Secured::new(tls, host.as_bytes())
        });
        Place {
            address: node.address.clone(),
            tls,
        }
    }

    async fn connect(&self, exchange: &mut Exchange, place: &Place) -> Result<Box<Link>, Failure> {
        let limit = self.route.timeout.connect;
        let connected = connect(place, &self.upstreams.tls);
        // On the heap: it is seldom needed, and large.
        let connected = Box::pin(tokio::time::timeout(limit, connected)).await;
        connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| {
                let timeout = error.kind() == io::ErrorKind::TimedOut;
                tracing::warn!(address = ?place.address, %error, "cannot connect to an upstream node");
                let refusal = if timeout {
                    Refusal::UpstreamTimeout
                } else {
                    Refusal::UpstreamUnreachable
                };
                exchange.upstream.failed(refusal.status());
                // Nothing was sent: the whole request can go to another node.
                Failure {
                    refusal,
                    may_go_on: true,
                    reason: "it cannot be connected to",
                }
            })
    }

    /// Hands the request to `link`; returns its body once more, where it can be
    /// sent again.
    fn begin(
        &self,
        exchange: &mut Exchange,
        node: &Node,
        link: &mut Link,
        now: Instant,
    ) -> Result<Option<Body>, Failure> {
        let host = request::host(exchange, &self.upstream.pass_host, node);
        let framing = request::write_head(link.head(), exchange, host);
        let framing = framing.map_err(|_| Failure {
            refusal: Refusal::Internal,
            may_go_on: false,
            reason: "the target that plugins made is none",
        })?;
        let body = std::mem::take(&mut exchange.body);
        let spare = body.replay();
        let to_head = exchange.method == Method::HEAD;
        link.begin(body, framing, to_head, self.route.timeout, now);
        Ok(spare)
    }

    fn response(
        &self,
        head: ResponseHead,
        link: Box<Link>,
        place: Place,
    ) -> Result<Response, Broken> {
        let home = Home {
            pool: Rc::clone(&self.upstreams.pool),
            place,
            keepalive: self.upstream.keepalive,
        };
        let mut headers = head.headers;
        strip_hop_by_hop(&mut headers);
        Ok(Response {
            status: head.status,
            reason: head.reason,
            headers,
            body: ResponseBody::new(link, home).into_body()?,
        })
    }
}

/// What a failure after connecting means; puts the body back where it can be
/// sent again.
fn failure(exchange: &mut Exchange, lost: &Lost, spare: Option<Body>) -> Failure {
    tracing::debug!(%lost, "an upstream node did not answer properly");
    let (refusal, reason) = match lost {
        Lost::Client(error) => (
            Refusal::from_request_body(error),
            "the request's body could not be read",
        ),
        Lost::Timeout => (Refusal::UpstreamTimeout, "it did not answer in time"),
        Lost::Stale | Lost::Closed | Lost::Truncated => {
            (Refusal::UpstreamBroken, "it closed the connection")
        }
        Lost::Body(BodyError::Timeout) => {
            (Refusal::UpstreamTimeout, "its body did not come in time")
        }
        Lost::Bad(_) | Lost::Body(_) => (Refusal::UpstreamBroken, "its answer is malformed"),
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

/// Whether a node that may have acted on the request does no harm if it, or
/// another, gets it again (nginx's reading of RFC 9110, section 9.2.2).
fn may_repeat(method: &Method) -> bool {
    !matches!(method.as_str(), "POST" | "LOCK" | "PATCH")
}
