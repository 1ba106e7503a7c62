//! One request on its way through the gateway: what the client asked for,
//! what the upstream will be asked for, and what is known about both.

mod checked;

use std::cell::OnceCell;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request};
use outrigger_telemetry::trace::RequestSpan;

use crate::body::{Body, Kept};
use crate::certificates::Certificates;
use crate::chain::Chain;
use crate::consumer::{Consumer, Identity};
use crate::context::Context;
use crate::forwarded;
use crate::headers::HeaderEdit;
use crate::host_name::{HostName, LastHost};
use crate::real_ip::{RealIp, Told};
use crate::response::Refusal;
use crate::snapshot::{LocalSnapshot, MatchedRoute};
use crate::target::{PathRules, Target};
use crate::tls_session::TlsSession;
use crate::upstream::PassHost;
use crate::upstream_trace::UpstreamTrace;
use crate::worker::Worker;

const CONSUMER_NAME: HeaderName = HeaderName::from_static("x-consumer-username");
const CONSUMER_CUSTOM_ID: HeaderName = HeaderName::from_static("x-consumer-custom-id");
const CREDENTIAL_ID: HeaderName = HeaderName::from_static("x-credential-identifier");

pub use checked::Checked;
use checked::NO_HOST;

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
    /// Set where the peer is a proxy that is believed about its clients.
    real_ip: Option<Arc<RealIp>>,
    /// Set where it is over TLS.
    pub tls: Option<Box<TlsSession>>,
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
            real_ip: None,
            tls: None,
        }
    }

    /// The same over TLS.
    #[must_use]
    pub fn secured(mut self, tls: TlsSession) -> Self {
        self.tls = Some(Box::new(tls));
        self
    }

    /// The same, coming from a proxy that is believed about its clients if
    /// `real_ip` trusts it.
    #[must_use]
    pub fn told_by(mut self, real_ip: Option<&Arc<RealIp>>) -> Self {
        let peer = self.peer.ip();
        self.real_ip = real_ip.filter(|it| it.trusts(peer)).map(Arc::clone);
        self
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
    /// The protocol that the client wants to leave HTTP for.
    pub upgrade: Option<HeaderValue>,
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
    /// The client's address, where a proxy has told it.
    remote: Option<Told>,
    /// The route's plugins with those of the consumer, where that has any.
    pub(crate) of_consumer: Option<Rc<Chain>>,
    /// How long external plugins have taken.
    pub plugin_times: PluginTimes,
    /// The request's span, where requests are traced.
    pub trace: Option<Box<RequestSpan>>,
    pub(crate) request_id: OnceCell<String>,
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
        let checked = Checked::new(&client, PathRules::default(), &mut head)?;
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
        let remote = client.real_ip.as_ref().and_then(|it| it.find(&headers));
        let upgrade = crate::headers::strip_hop_by_hop(&mut headers);
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
            // Before HTTP/1.1 it meant nothing.
            upgrade: upgrade.filter(|_| version == Version::HTTP_11),
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
            remote,
            plugin_times: PluginTimes::default(),
            trace: None,
            request_id: OnceCell::new(),
        }
    }

    /// Whether the client has shown a certificate, where one is required.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`] where it has not.
    pub fn check_client_certificate(&self, certificates: &Certificates) -> Result<(), Refusal> {
        match &self.client.tls {
            None => Ok(()),
            Some(tls) => tls.check(self.host.as_str(), self.target.path(), certificates),
        }
    }

    /// The client's address: the peer's, or what a trusted proxy has told.
    #[must_use]
    pub fn remote_ip(&self) -> IpAddr {
        match &self.remote {
            Some(told) => told.ip,
            None => self.client.peer.ip().to_canonical(),
        }
    }

    /// The client's port; none where its proxy has not told it.
    #[must_use]
    pub fn remote_port(&self) -> Option<u16> {
        match &self.remote {
            Some(told) => told.port,
            None => Some(self.client.peer.port()),
        }
    }

    /// The client's address as the value of a header field.
    pub(crate) fn remote_value(&self) -> &HeaderValue {
        match &self.remote {
            Some(told) => &told.value,
            None => self.client.values.peer(),
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
        let rules = rules.map(|rule| &**rule);
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
        forwarded::send(&self.headers, self.remote_value(), field);
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

#[cfg(test)]
pub(crate) mod tests;
