//! One request: find its route, run its plugins, ask the upstream, answer.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header, request};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use outrigger_engine::body::Body;
use outrigger_engine::chain::Chain;
use outrigger_engine::exchange::{Checked, Client, Exchange, RequestLength};
use outrigger_engine::plugin::Flow;
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::snapshot::MatchedRoute;

use crate::client_body;
use crate::client_stream::{Ambiguous, Unread};
use crate::connection::Accepted;
use crate::finish::{self, Outgoing, Underway};
use crate::http2;
use crate::limits::DRAIN_PARTS;
use crate::settings::Settings;
use crate::terms::Terms;
use crate::trace;
use crate::upstream::{self, Switched};
use crate::worker::Worker;

const SERVER: HeaderValue = HeaderValue::from_static("outrigger");
const SERVER_AND_VERSION: HeaderValue =
    HeaderValue::from_static(concat!("outrigger/", env!("CARGO_PKG_VERSION")));
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const UPSTREAM_STATUS: HeaderName = HeaderName::from_static("x-apisix-upstream-status");

/// Answers one request; whatever goes wrong becomes a response.
pub(crate) async fn handle(
    request: Request<Incoming>,
    client: Rc<Client>,
    worker: Rc<Worker>,
    seen: Seen<'_>,
    outgoing: &Rc<Outgoing>,
) -> Result<http::Response<Body>, Infallible> {
    outgoing.next().await;
    let terms = outgoing.terms();
    let serving = worker.metrics.request();
    let mut response = match receive(request, client, &worker, &terms, seen) {
        Ok(exchange) => {
            let mut underway = Underway::new(exchange, outgoing);
            underway.timed = outgoing.is_logged();
            let answer = answer(&mut underway, &worker, &terms, &outgoing.switched).await;
            let mut response = answer.unwrap_or_else(|refusal| refusal.response());
            if underway.upgrade.is_some() && response.status != StatusCode::SWITCHING_PROTOCOLS {
                // A plugin may have answered in the node's place.
                drop(outgoing.switched.take());
            }
            if seen.unread.get() && !drain(&mut underway, seen.unread) {
                response.headers.insert(header::CONNECTION, CLOSE);
            }
            if outgoing.is_of_stream() {
                http2::fit_body(&underway.sent_method, &mut response);
            }
            response.body = underway.respond(response.status, response.body);
            response
        }
        Err(refused) => {
            let Refused { refusal, head } = *refused;
            let mut response = refusal.response();
            // Where this request ends may be in doubt.
            response.headers.insert(header::CONNECTION, CLOSE);
            if outgoing.is_of_stream() {
                http2::fit_body(&head.method, &mut response);
            }
            response.body = outgoing.refuse(head, response.status, response.body);
            response
        }
    };
    serving.answered(response.status.as_u16());
    let server = if terms.settings.show_version {
        SERVER_AND_VERSION
    } else {
        SERVER
    };
    response.headers.insert(header::SERVER, server);
    let stays_http = response.status != StatusCode::SWITCHING_PROTOCOLS;
    if stays_http && seen.arrival.is_outdated(&terms) {
        response.headers.insert(header::CONNECTION, CLOSE);
    }
    let mut answer = http::Response::new(response.body);
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    let reason = response.reason.as_deref().map(ReasonPhrase::try_from);
    if let Some(Ok(reason)) = reason {
        answer.extensions_mut().insert(reason);
    }
    Ok(answer)
}

/// What is known of a request's bytes beside what the HTTP library tells.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) arrival: &'a Accepted,
    pub(crate) unread: &'a Unread,
    pub(crate) ambiguous: &'a Ambiguous,
}

/// Reads what has come of a body that nobody wanted. True if that was all, so
/// that the connection can be kept.
fn drain(exchange: &mut Exchange, unread: &Unread) -> bool {
    // Its body comes only if it is asked for.
    if exchange.headers.contains_key(header::EXPECT) {
        return false;
    }
    let Body::Stream(stream) = &mut exchange.body else {
        return false;
    };
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..DRAIN_PARTS {
        let part = stream.as_mut().poll_frame(&mut cx);
        if !unread.get() {
            return true;
        }
        if !matches!(part, Poll::Ready(Some(Ok(_)))) {
            break;
        }
    }
    false
}

/// A request that is not served.
struct Refused {
    refusal: Refusal,
    head: request::Parts,
}

fn receive(
    request: Request<Incoming>,
    client: Rc<Client>,
    worker: &Worker,
    terms: &Terms,
    seen: Seen<'_>,
) -> Result<Exchange, Box<Refused>> {
    let (mut head, incoming) = request.into_parts();
    seen.unread.set(!incoming.is_end_stream());
    client.requests.set(client.requests.get() + 1);
    match check(&client, &mut head, incoming, &terms.settings, seen) {
        Ok((checked, body, length)) => {
            let engine = Rc::clone(&worker.engine);
            let mut exchange = Exchange::of_checked(client, engine, head, checked, body);
            exchange.length = length;
            if let Some(tracer) = &terms.tracer {
                trace::begin(tracer, &mut exchange);
            }
            Ok(exchange)
        }
        Err(refusal) => Err(Box::new(Refused { refusal, head })),
    }
}

fn check(
    client: &Client,
    head: &mut request::Parts,
    incoming: Incoming,
    settings: &Settings,
    seen: Seen<'_>,
) -> Result<(Checked, Body, RequestLength), Refusal> {
    let length = check_lines(head, settings.max_line)?;
    if settings.drop_underscores {
        drop_underscores(&mut head.headers);
    }
    let (body, received) = client_body::receive(incoming, settings, seen.unread)?;
    if seen.ambiguous.get() && head.headers.contains_key(header::TRANSFER_ENCODING) {
        let both = "there are both Content-Length and Transfer-Encoding";
        return Err(Refusal::BadRequest(both.into()));
    }
    let checked = Checked::new(client, settings.path_rules, head)?;
    let length = RequestLength {
        head: length,
        body: received,
    };
    Ok((checked, body, length))
}

/// Takes away what somebody who turns dashes into underscores, as CGI does, would take for
/// another field.
fn drop_underscores(headers: &mut HeaderMap) {
    let doubtful = |name: &&HeaderName| name.as_str().contains('_');
    let names: Vec<HeaderName> = headers.keys().filter(doubtful).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Bytes of a request's head as it is usually written.
pub(crate) fn head_length(head: &request::Parts) -> u64 {
    check_lines(head, usize::MAX).unwrap_or_default()
}

/// Whether every line of a request's head is short enough; the head as a whole
/// is, or it would not have been read. Returns the head's length in bytes.
fn check_lines(head: &request::Parts, limit: usize) -> Result<u64, Refusal> {
    let target = head
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let line = head.method.as_str().len() + target + REQUEST_LINE_FRAME;
    if line > limit {
        return Err(Refusal::TargetTooLong { limit });
    }
    let mut length = line + 2 * LINE_END;
    for (name, value) in &head.headers {
        let line = name.as_str().len() + value.len() + FIELD_FRAME;
        if line > limit {
            return Err(Refusal::FieldTooLong { limit });
        }
        length += line + LINE_END;
    }
    Ok(length as u64)
}

/// What a request line has besides method and target.
const REQUEST_LINE_FRAME: usize = "  HTTP/1.1".len();

/// What a header line has besides name and value.
const FIELD_FRAME: usize = ": ".len();

/// What ends a line.
const LINE_END: usize = "\r\n".len();

/// What a plugin answers is plain text unless it says otherwise, as with
/// nginx's `default_type` in APISIX.
fn with_media_type(mut response: Response) -> Response {
    if !response.body.is_empty() {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response
            .headers
            .entry(header::CONTENT_TYPE)
            .or_insert(plain);
    }
    response
}

async fn answer(
    exchange: &mut Exchange,
    worker: &Worker,
    terms: &Terms,
    switched: &Switched,
) -> Result<Response, Refusal> {
    let snapshot = worker.current.get();
    exchange.check_client_certificate(snapshot.certificates())?;
    exchange.route = MatchedRoute::find(&snapshot, exchange);
    exchange.snapshot = Some(Rc::clone(&snapshot));
    let look = |chain: &Chain| chain.logs() || chain.acts_on_responses();
    exchange.timed = exchange.timed || exchange.chains().any(look);
    // What the gateway refuses itself passes the plugins of the response phase
    // like any answer, so that a browser may read it, say.
    let mut response = match ask(exchange, snapshot.global_rules(), terms, switched).await {
        Ok(response) => response,
        Err(refusal) => refusal.response(),
    };
    for rule in snapshot.global_rules() {
        rule.response(exchange, &mut response).await?;
    }
    if let Some(chain) = exchange.joined() {
        chain.response(exchange, &mut response).await?;
    } else if let Some(route) = exchange.route.clone() {
        route.chain.response(exchange, &mut response).await?;
    }
    Ok(response)
}

/// The answer of the first plugin that has one, or of the upstream.
async fn ask(
    exchange: &mut Exchange,
    rules: &[Arc<Chain>],
    terms: &Terms,
    switched: &Switched,
) -> Result<Response, Refusal> {
    for rule in rules {
        if let Flow::Respond(response) = rule.request(exchange).await? {
            return Ok(with_media_type(response));
        }
    }
    let route = exchange.route.clone().ok_or(Refusal::NoRoute)?;
    if let Flow::Respond(response) = request(exchange, &route.chain).await? {
        return Ok(with_media_type(response));
    }
    let mut response = upstream::ask(exchange, &route, &terms.upstreams, switched).await?;
    if exchange.timed {
        response.body = finish::timed(exchange, response.body);
    }
    for edit in exchange.response_edits.drain(..) {
        edit.apply(&mut response.headers);
    }
    if terms.settings.show_upstream_status || response.status.is_server_error() {
        let status = HeaderValue::from(response.status.as_u16());
        response.headers.insert(UPSTREAM_STATUS, status);
    }
    Ok(response)
}

/// Runs the request phases of a route. Who the request is made for is known after
/// the rewrite phase; what belongs to that consumer joins in from there.
async fn request(exchange: &mut Exchange, chain: &Chain) -> Result<Flow, Refusal> {
    if let Flow::Respond(response) = chain.rewrite(exchange).await? {
        return Ok(Flow::Respond(response));
    }
    let Some(joined) = exchange.join_consumer() else {
        return chain.access(exchange).await;
    };
    if let Flow::Respond(response) = joined.rewrite_of_consumer(exchange).await? {
        return Ok(Flow::Respond(response));
    }
    joined.access(exchange).await
}
