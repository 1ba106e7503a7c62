//! One request on its way through the gateway: what the client asked for,
//! what the upstream will be asked for, and what is known about both.

use std::cell::OnceCell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request};
use outrigger_telemetry::trace::RequestSpan;

use crate::body::{Body, Kept};
use crate::chain::Chain;
use crate::consumer::{Consumer, Identity};
use crate::context::Context;
use crate::forwarded;
use crate::headers::HeaderEdit;
use crate::host_name::{HostName, LastHost};
use crate::response::Refusal;
use crate::snapshot::{LocalSnapshot, MatchedRoute};
use crate::target::Target;
use crate::upstream::PassHost;
use crate::upstream_trace::UpstreamTrace;
use crate::worker::Worker;

const CONSUMER_NAME: HeaderName = HeaderName::from_static("x-consumer-username");
const CONSUMER_CUSTOM_ID: HeaderName = HeaderName::from_static("x-consumer-custom-id");
const CREDENTIAL_ID: HeaderName = HeaderName::from_static("x-credential-identifier");

/// The client's connection.
#[derive(Debug)]
pub struct Client {
    /// The peer's address and port.
    pub peer: SocketAddr,
    /// The gateway's address and port of this connection.
    pub local: SocketAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Number of the connection within its worker.
    pub connection: u64,
    /// How many requests have come on this connection.
    pub requests: std::cell::Cell<u64>,
    /// Whether the peer's `X-Forwarded-*` fields are believed.
    pub trusted: bool,
    /// The peer's address and the local port as header values.
    pub(crate) values: forwarded::Values,
    last_host: LastHost,
}

impl Client {
    /// A connection that has just been accepted.
    #[must_use]
    pub fn new(
        peer: SocketAddr,
        local: SocketAddr,
        scheme: &'static str,
        connection: u64,
        trusted: bool,
    ) -> Self {
        let values = forwarded::Values::new(peer, local);
        Client {
            peer,
            local,
            scheme,
            connection,
            requests: 0.into(),
            trusted,
            values,
            last_host: LastHost::default(),
        }
    }

    /// The peer's address as text.
    pub(crate) fn peer_text(&self) -> &str {
        self.values.peer()
    }
}

/// Counts the bytes of a request's body that have come.
pub trait Received {
    /// Bytes so far.
    fn bytes(&self) -> u64;
}

/// How long a request was: head, and body as far as it has come.
#[derive(Default, Clone)]
pub struct RequestLength {
    /// Bytes of the request line and header fields.
    pub head: u64,
    /// The body, where there is one.
    pub body: Option<Rc<dyn Received>>,
}

impl RequestLength {
    /// Bytes of both.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.head + self.body.as_ref().map_or(0, |body| body.bytes())
    }
}

impl fmt::Debug for RequestLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes())
    }
}

/// How long calls of external plugins have taken; none where there was none.
#[derive(Debug, Clone, Copy, Default)]
pub struct PluginTimes {
    /// Of `ext-plugin-pre-req`.
    pub pre_req: Option<Duration>,
    /// Of `ext-plugin-post-req`.
    pub post_req: Option<Duration>,
    /// Of `ext-plugin-post-resp`.
    pub post_resp: Option<Duration>,
}

impl PluginTimes {
    /// Of all three.
    #[must_use]
    pub fn sum(&self) -> Option<Duration> {
        let times = [self.pre_req, self.post_req, self.post_resp];
        times.into_iter().flatten().reduce(|sum, time| sum + time)
    }
}

/// One request with what belongs to it.
#[derive(Debug)]
pub struct Exchange {
    /// The connection that the request came on.
    pub client: Rc<Client>,
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// When its head was read.
    pub started: Instant,
    /// Method as the client sent it.
    pub sent_method: Method,
    /// Method to send on.
    pub method: Method,
    /// The client's protocol version.
    pub version: Version,
    /// Target, as sent by the client and to send on.
    pub target: Target,
    /// Header fields to send on, hop-by-hop fields taken out; `Host` is what
    /// the client sent or a plugin set.
    pub headers: HeaderMap,
    /// Body to send on.
    pub body: Body,
    /// A copy of the body, made while it is sent on, where a plugin wants one.
    pub kept_body: Option<Kept>,
    /// What plugins keep for this request.
    pub context: Context,
    /// The host that the client asked for.
    pub host: HostName,
    /// The route, once one was found.
    pub route: Option<MatchedRoute>,
    /// Changes that plugins of the request phases want made to the
    /// upstream's response.
    pub response_edits: Vec<HeaderEdit>,
    /// What the upstream did.
    pub upstream: UpstreamTrace,
    /// The configuration that it runs on, once it is being served.
    pub snapshot: Option<LocalSnapshot>,
    /// Whether somebody will want to know how long the upstream took.
    pub timed: bool,
    /// How long the request was.
    pub length: RequestLength,
    /// Who the request is made for; set by [`attach`](Self::attach).
    pub consumer: Option<Arc<Consumer>>,
    /// The route's plugins with those of the consumer, where that has any.
    pub(crate) of_consumer: Option<Rc<Chain>>,
    /// How long external plugins have taken.
    pub plugin_times: PluginTimes,
    /// The request's span, where requests are traced.
    pub trace: Option<Box<RequestSpan>>,
    pub(crate) request_id: OnceCell<String>,
}

/// What is sure of a request whose head means something.
#[derive(Debug)]
pub struct Checked {
    host: HostName,
    target: Target,
}

impl Checked {
    /// Makes sure of what the HTTP library leaves open of a request's head.
    ///
    /// # Errors
    /// [`Refusal`] for a request that the gateway must not act on: no or
    /// several hosts (RFC 9112, section 3.2), a path that means nothing, both
    /// `Content-Length` and `Transfer-Encoding` (section 6.3), an unknown
    /// transfer coding (section 6.1), or the methods CONNECT and TRACE.
    pub fn new(client: &Client, head: &mut request::Parts) -> Result<Self, Refusal> {
        if head.method == Method::CONNECT || head.method == Method::TRACE {
            return Err(Refusal::MethodNotAllowed);
        }
        let framing = Framing::of(&head.headers);
        framing.check()?;
        let host = match head.uri.authority() {
            // The absolute form's authority replaces the Host field (RFC 9112, section 3.2.2).
            Some(authority) => {
                let value = HeaderValue::from_str(authority.as_str()).map_err(|_| bad_host())?;
                let host = client.last_host.parse(&value);
                head.headers.insert(header::HOST, value);
                host
            }
            None => {
                let value = framing.host(head.version)?;
                client.last_host.parse(value.unwrap_or(&NO_HOST))
            }
        };
        let host = host.ok_or_else(bad_host)?;
        let path = head.uri.path_and_query().cloned();
        let path =
            path.ok_or_else(|| Refusal::BadRequest("the request target has no path".into()))?;
        let target = Target::new(path).map_err(|error| Refusal::BadRequest(error.to_string()))?;
        Ok(Checked { host, target })
    }
}

impl Exchange {
    /// Takes a request as the HTTP library parsed it.
    ///
    /// # Errors
    /// As [`Checked::new`].
    pub fn new(
        client: Rc<Client>,
        worker: Rc<Worker>,
        mut head: request::Parts,
        body: Body,
    ) -> Result<Self, Refusal> {
        let checked = Checked::new(&client, &mut head)?;
        Ok(Self::of_checked(client, worker, head, checked, body))
    }

    /// Takes a request whose head has been checked.
    #[must_use]
    pub fn of_checked(
        client: Rc<Client>,
        worker: Rc<Worker>,
        head: request::Parts,
        checked: Checked,
        body: Body,
    ) -> Self {
        let request::Parts {
            method,
            version,
            mut headers,
            ..
        } = head;
        let Checked { host, target } = checked;
        crate::headers::strip_hop_by_hop(&mut headers);
        forwarded::receive(&mut headers, &client, &host);
        Exchange {
            client,
            worker,
            started: Instant::now(),
            sent_method: method.clone(),
            method,
            version,
            target,
            headers,
            body,
            kept_body: None,
            context: Context::default(),
            host,
            route: None,
            response_edits: Vec::new(),
            upstream: UpstreamTrace::default(),
            snapshot: None,
            of_consumer: None,
            timed: false,
            length: RequestLength::default(),
            consumer: None,
            plugin_times: PluginTimes::default(),
            trace: None,
            request_id: OnceCell::new(),
        }
    }

    /// The request's id: 32 hexadecimal digits, made on first use.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.request_id.get_or_init(|| self.worker.request_id())
    }

    /// The plugins that run for it: those of the global rules, rule by rule, and
    /// then those of its route, with the consumer's.
    pub fn chains(&self) -> impl Iterator<Item = &Chain> {
        let rules = self.snapshot.iter().flat_map(|it| it.global_rules());
        let route = match &self.of_consumer {
            Some(chain) => Some(&**chain),
            None => self.route.as_ref().map(|route| &route.chain),
        };
        rules.chain(route)
    }

    /// The consumer whom `plugin` knows by `key`.
    #[must_use]
    pub fn identify(&self, plugin: &str, key: &[u8]) -> Option<Identity> {
        let consumers = self.snapshot.as_ref()?.consumers();
        consumers.find(plugin, key).cloned()
    }

    /// The consumer of this name.
    #[must_use]
    pub fn consumer_named(&self, name: &str) -> Option<Arc<Consumer>> {
        self.snapshot.as_ref()?.consumers().named(name).cloned()
    }

    /// From here on the request is made for the consumer that was found.
    pub fn attach(&mut self, identity: Identity) {
        self.attach_consumer(identity.consumer, identity.credential_id);
    }

    /// From here on the request is made for this consumer, which the upstream
    /// is told; what the client said of it itself is taken out.
    pub fn attach_consumer(&mut self, consumer: Arc<Consumer>, credential_id: Option<HeaderValue>) {
        let name = HeaderValue::try_from(&consumer.name).ok();
        for (field, value) in [
            (CONSUMER_NAME, name),
            (CREDENTIAL_ID, credential_id),
            (CONSUMER_CUSTOM_ID, consumer.custom_id.clone()),
        ] {
            match value {
                Some(value) => self.headers.insert(field, value),
                None => self.headers.remove(field),
            };
        }
        self.consumer = Some(consumer);
    }

    /// The plugins of its route with those of its consumer, once they are joined.
    #[must_use]
    pub fn joined(&self) -> Option<Rc<Chain>> {
        self.of_consumer.clone()
    }

    /// Joins the consumer's plugins with those of the route; none where the
    /// route's stay as they are.
    pub fn join_consumer(&mut self) -> Option<Rc<Chain>> {
        let consumer = self.consumer.as_ref()?;
        if consumer.plugins.is_empty() {
            return None;
        }
        let chain = Rc::new(self.route.as_ref()?.chain.with(&consumer.plugins));
        self.timed |= chain.logs() || chain.acts_on_responses();
        self.of_consumer = Some(Rc::clone(&chain));
        Some(chain)
    }

    /// Shows `field` the header fields that the upstream gets, the forwarding
    /// fields among them; `Host` is the caller's to set.
    pub fn each_field_for_upstream(&self, mut field: impl FnMut(&HeaderName, &HeaderValue)) {
        for (name, value) in &self.headers {
            let own = matches!(*name, header::HOST | header::EXPECT);
            if !own && !forwarded::is_sent_anew(name) {
                field(name, value);
            }
        }
        forwarded::send(&self.headers, &self.client, field);
    }

    /// The `Host` field that the upstream will be sent, as far as it is known
    /// before a node is chosen: of several nodes with `pass_host: node` it is
    /// not, and then it is the client's.
    #[must_use]
    pub fn host_for_upstream(&self) -> &HeaderValue {
        let upstream = self
            .route
            .as_ref()
            .and_then(|route| route.upstream.as_deref());
        let instead = upstream.and_then(|upstream| match &upstream.pass_host {
            PassHost::Pass => None,
            PassHost::Node => upstream.only_node().map(|node| &node.host_field),
            PassHost::Rewrite(host) => Some(host),
        });
        instead
            .or_else(|| self.headers.get(header::HOST))
            .unwrap_or(&NO_HOST)
    }

    /// Replaces the body by bytes in memory and writes its length anew. Trailers
    /// go with the old body.
    pub fn set_body(&mut self, body: Bytes) {
        self.headers.remove(header::TRAILER);
        self.headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        self.body = body.into();
    }
}

/// What stands for the host of an HTTP/1.0 request without one.
static NO_HOST: HeaderValue = HeaderValue::from_static("-");

fn bad_host() -> Refusal {
    Refusal::BadRequest("the Host field is not a host".into())
}

/// The fields that say whom a request is for and where it ends.
#[derive(Default)]
struct Framing<'a> {
    host: Field<'a>,
    length: Field<'a>,
    coding: Field<'a>,
}

/// A field that should stand once at most.
#[derive(Default)]
struct Field<'a> {
    value: Option<&'a HeaderValue>,
    repeated: bool,
}

impl<'a> Field<'a> {
    fn meet(&mut self, value: &'a HeaderValue) {
        self.repeated = self.value.is_some();
        self.value = self.value.or(Some(value));
    }
}

impl<'a> Framing<'a> {
    /// One look at each field that is there.
    fn of(headers: &'a HeaderMap) -> Self {
        let mut framing = Framing::default();
        for (name, value) in headers {
            match *name {
                header::HOST => framing.host.meet(value),
                header::CONTENT_LENGTH => framing.length.meet(value),
                header::TRANSFER_ENCODING => framing.coding.meet(value),
                _ => {}
            }
        }
        framing
    }

    /// `None`: an HTTP/1.0 request without a host, which matches only routes
    /// without hosts.
    fn host(&self, version: Version) -> Result<Option<&'a HeaderValue>, Refusal> {
        match self.host.value {
            Some(_) if self.host.repeated => {
                Err(Refusal::BadRequest("there are several Host fields".into()))
            }
            None if version >= Version::HTTP_11 => {
                Err(Refusal::BadRequest("there is no Host field".into()))
            }
            host => Ok(host),
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        let bad = |what: &str| Err(Refusal::BadRequest(what.into()));
        if self.length.repeated {
            return bad("there are several Content-Length fields");
        }
        let digits = |value: &HeaderValue| {
            !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
        };
        if !self.length.value.is_none_or(digits) {
            return bad("the Content-Length field is not a number");
        }
        let Some(coding) = self.coding.value else {
            return Ok(());
        };
        if self.coding.repeated || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            let known = "only the transfer coding \"chunked\" is known";
            return Err(Refusal::UnknownCoding(known.into()));
        }
        if self.length.value.is_some() {
            return bad("there are both Content-Length and Transfer-Encoding");
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
