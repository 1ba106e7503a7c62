//! Asking the upstream: which failures lead to another node, which to a
//! refusal.
//!
//! A node that cannot be connected to gives way to the next. After a request
//! was sent it is repeated only if it can be (its body is in memory, or no more of it
//! was read than can be kept) and may be: on a connection that turns out to have
//! been closed while idle, once, on a fresh one; on another node, where the method is
//! not POST, LOCK or PATCH (nginx's `proxy_next_upstream error timeout`).
//!
//! As in APISIX there are as many further tries as the upstream's `retries`; when
//! some are left and no node is, or no time, the answer is 502.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use http::{HeaderValue, Method, StatusCode, header};
use outrigger_engine::body::{Again, Body, BodyError};
use outrigger_engine::chain::Chain;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::headers::strip_hop_by_hop;
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::snapshot::Route;
use outrigger_engine::upstream::{Busy, Node, Upstream};

use super::connect::connect;
use super::health::{Report, met};
use super::http1::ResponseHead;
use super::link::{Expected, Lost};
use super::pool::{Link, Place};
use super::request;
use super::response_body::{Broken, Home, ResponseBody};
use super::stream::Stream;
use super::tls::Secured;
use super::tunnel::Tunnel;
use crate::limits::{MAX_RETRIES, REPEATED_BODY};
use crate::terms::Upstreams;

/// Where the node's side is put of a connection that is to leave HTTP.
pub(crate) type Switched = Cell<Option<Box<Tunnel<Stream>>>>;

/// Sends the request of `exchange` to the route's upstream and returns the
/// response, its body perhaps still to come. One with the status 101 has left
/// the node's side of the connection in `switched`.
pub(crate) async fn ask(
    exchange: &mut Exchange,
    route: &Route,
    upstreams: &Upstreams,
    switched: &Switched,
) -> Result<Response, Refusal> {
    let upstream = route.upstream.as_deref().ok_or(Refusal::NoUpstream)?;
    let asking = Asking {
        upstream,
        route,
        upstreams,
        switched,
    };
    // Only plugins can have taken time so far.
    let mut now = if exchange.chains().any(Chain::acts_on_requests) {
        Instant::now()
    } else {
        exchange.started
    };
    let mut choice = upstream.choose(exchange);
    let mut node = choice.next(now).ok_or(Refusal::NoUpstream)?;
    let began = now;
    let mut left = upstream.retries.min(MAX_RETRIES);
    loop {
        let failure = match asking.node(exchange, node, now).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        tracing::debug!(node = ?node.address, reason = failure.reason, "an upstream node failed");
        if !failure.may_go_on || left == 0 {
            return Err(failure.refusal);
        }
        left -= 1;
        now = Instant::now();
        let limit = upstream.retry_timeout;
        let in_time = limit.is_none_or(|limit| now.duration_since(began) < limit);
        let next = in_time.then(|| choice.next(now)).flatten();
        node = next.ok_or(Refusal::UpstreamUnreachable)?;
    }
}

struct Asking<'a> {
    upstream: &'a Upstream,
    route: &'a Route,
    upstreams: &'a Upstreams,
    switched: &'a Switched,
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
        let busy = self.upstream.busy(node, now);
        exchange.upstream.begin(&node.address, now);
        loop {
            let link = self.upstreams.pool.take(&place, now);
            let fresh = link.is_none();
            let mut link = match link {
                Some(link) => link,
                None => {
                    let link = self.connect(exchange, node, &place).await?;
                    now = Instant::now();
                    link
                }
            };
            exchange.upstream.connected(link.peer, fresh.then_some(now));
            let spare = self.begin(exchange, node, &mut link, now)?;
            let lost = match poll_fn(|cx| link.poll_head(cx)).await {
                Ok(head) => {
                    let now = exchange.timed.then(Instant::now);
                    self.met(node, Report::Status(head.status.as_u16()));
                    let response = match self.response(head, link, place, busy) {
                        Ok(response) => response,
                        Err(Broken(error)) => {
                            let lost = Lost::Body(error);
                            return Err(self.failure(exchange, node, &lost, spare.body()));
                        }
                    };
                    exchange.upstream.answered(response.status, now);
                    // Plugins of the response phase may ask for it, where it is still there.
                    exchange.body = spare.whole().unwrap_or_default();
                    return Ok(response);
                }
                Err(lost) => lost,
            };
            // The node may have closed an idle connection, or said something
            // that was nobody's answer, just as the request was written.
            let closed = !matches!(lost, Lost::Timeout | Lost::Client(_));
            let unsent = matches!(lost, Lost::Stale).then(|| link.take_back());
            let body = unsent.flatten().or_else(|| spare.body());
            match body {
                Some(body) if !fresh && closed && link.is_unsent() => exchange.body = body,
                Some(body) if !fresh && closed && may_repeat(&exchange.method) => {
                    exchange.body = body;
                    exchange.upstream.failed(StatusCode::BAD_GATEWAY);
                    exchange.upstream.begin(&node.address, Instant::now());
                }
                body => return Err(self.failure(exchange, node, &lost, body)),
            }
        }
    }

    /// This counts for the node's health, where that is looked after.
    fn met(&self, node: &Node, report: Report) {
        if self.upstreams.health_checks {
            met(self.upstream, node, report);
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

    async fn connect(
        &self,
        exchange: &mut Exchange,
        node: &Node,
        place: &Place,
    ) -> Result<Box<Link>, Failure> {
        let limit = self.route.timeout.connect;
        let connected = connect(place, &self.upstreams.tls, &self.upstreams.names);
        // On the heap: it is seldom needed, and large.
        let connected = Box::pin(tokio::time::timeout(limit, connected)).await;
        connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| {
                let timeout = error.kind() == io::ErrorKind::TimedOut;
                tracing::warn!(address = ?place.address, %error, "cannot connect to an upstream node");
                let (refusal, report) = if timeout {
                    (Refusal::UpstreamTimeout, Report::Late)
                } else {
                    (Refusal::UpstreamUnreachable, Report::Failed)
                };
                self.met(node, report);
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
    ) -> Result<Spare, Failure> {
        let host = request::host(exchange, &self.upstream.pass_host, node);
        let upgrade = self.upgrade(exchange);
        let framing = request::write_head(link.head(), exchange, host, upgrade);
        let framing = framing.map_err(|_| Failure {
            refusal: Refusal::Internal,
            may_go_on: false,
            reason: "the target that plugins made is none",
        })?;
        let switches = upgrade.is_some();
        let mut body = std::mem::take(&mut exchange.body);
        let spare = match body.replay() {
            Some(body) => Spare::Whole(body),
            None if may_repeat(&exchange.method) => {
                let again = body.rereadable(REPEATED_BODY, &self.upstreams.bodies);
                again.map_or(Spare::Nothing, Spare::Again)
            }
            None => Spare::Nothing,
        };
        let expected = Expected {
            to_head: exchange.method == Method::HEAD,
            switches,
        };
        link.begin(body, framing, expected, self.route.timeout, now);
        Ok(spare)
    }

    /// The protocol that the client wants to leave HTTP for, where it may.
    fn upgrade<'e>(&self, exchange: &'e Exchange) -> Option<&'e HeaderValue> {
        exchange.upgrade.as_ref().filter(|_| self.route.websocket)
    }

    fn response(
        &self,
        head: ResponseHead,
        link: Box<Link>,
        place: Place,
        mut busy: Option<Busy>,
    ) -> Result<Response, Broken> {
        if let Some(busy) = &mut busy {
            busy.answered();
        }
        let mut headers = head.headers;
        let upgrade = headers.get(header::UPGRADE).cloned();
        strip_hop_by_hop(&mut headers);
        let body = if let (StatusCode::SWITCHING_PROTOCOLS, Some(upgrade)) = (head.status, upgrade)
        {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, upgrade);
            let (node, early) = link.into_stream();
            let tunnel = Tunnel::new(node, early, self.route.timeout.read, busy);
            self.switched.set(Some(Box::new(tunnel)));
            Body::Empty
        } else {
            let home = Home {
                pool: Rc::clone(&self.upstreams.pool),
                place,
                keepalive: self.upstream.keepalive,
                busy,
            };
            ResponseBody::new(link, home).into_body()?
        };
        Ok(Response {
            status: head.status,
            reason: head.reason,
            headers,
            body,
        })
    }

    /// What a failure after connecting means; puts the body back where it can be
    /// sent again.
    fn failure(
        &self,
        exchange: &mut Exchange,
        node: &Node,
        lost: &Lost,
        spare: Option<Body>,
    ) -> Failure {
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
        match lost {
            Lost::Client(_) => {}
            Lost::Timeout | Lost::Body(BodyError::Timeout) => {
                self.met(node, Report::Late);
            }
            _ => self.met(node, Report::Failed),
        }
        exchange.upstream.failed(refusal.status());
        let nodes_doing = !matches!(lost, Lost::Client(_));
        let may_go_on = nodes_doing && spare.is_some() && may_repeat(&exchange.method);
        exchange.body = spare.unwrap_or_default();
        Failure {
            refusal,
            may_go_on,
            reason,
        }
    }
}

/// What is left of a body that is being sent.
enum Spare {
    Whole(Body),
    /// As long as not too much of it was read.
    Again(Again),
    Nothing,
}

impl Spare {
    /// The body once more, to be sent in place of the one before.
    fn body(self) -> Option<Body> {
        match self {
            Spare::Whole(body) => Some(body),
            Spare::Again(again) => again.body(),
            Spare::Nothing => None,
        }
    }

    /// The body where all of it is in memory.
    fn whole(self) -> Option<Body> {
        match self {
            Spare::Whole(body) => Some(body),
            Spare::Again(_) | Spare::Nothing => None,
        }
    }
}

/// Whether a node that may have acted on the request does no harm if it, or
/// another, gets it again (nginx's reading of RFC 9110, section 9.2.2).
fn may_repeat(method: &Method) -> bool {
    !matches!(method.as_str(), "POST" | "LOCK" | "PATCH")
}
