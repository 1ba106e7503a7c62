//! Routes with the plugin, and requests that go through them.

mod any;
mod recorded;
mod refused;
mod rules;

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, request};
use outrigger_engine::exchange::{Client, Exchange};
use outrigger_engine::plugin::{Factory, Flow, Registry};
use outrigger_engine::response::Refusal;
use outrigger_engine::router::Mode;
use outrigger_engine::snapshot::{LocalSnapshot, MatchedRoute, Snapshot};
use outrigger_engine::worker::Worker;
use outrigger_model::Resources;
use serde_json::{Value, json};

use super::ProxyRewrite;

/// The address of the upstream's only node.
const UP: &str = "127.0.0.1:1980";

/// What a gateway with these routes sends on.
struct Gateway(LocalSnapshot);

impl Gateway {
    /// One route for everything, with this configuration of the plugin.
    fn new(conf: Value) -> Self {
        Gateway::try_new(conf).unwrap()
    }

    /// None if the plugin refuses the configuration.
    fn try_new(conf: Value) -> Option<Self> {
        let upstream = json!({"nodes": {UP: 1}});
        let plugins = json!({"proxy-rewrite": conf});
        let route = json!({"id": "1", "uri": "/*", "upstream": upstream, "plugins": plugins});
        Gateway::try_with_routes(json!([route]))
    }

    fn with_routes(routes: Value) -> Self {
        Gateway::try_with_routes(routes).unwrap()
    }

    fn try_with_routes(routes: Value) -> Option<Self> {
        let registry = Registry::new([Box::new(ProxyRewrite) as Box<dyn Factory>]);
        let resources = Resources::from_json(&json!({"routes": routes})).unwrap();
        let snapshot = Snapshot::compile(resources, &registry, Mode::default(), &Snapshot::empty());
        Some(Gateway(Rc::new(Arc::new(snapshot.ok()?))))
    }

    /// Takes a request through the request phases.
    fn pass(&self, request: request::Builder, body: &'static str) -> Result<Exchange, Refusal> {
        let mut exchange = receive(request, body);
        self.run(&mut exchange)?;
        Ok(exchange)
    }

    fn run(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let route = MatchedRoute::find(&self.0, exchange).unwrap();
        exchange.route = Some(route.clone());
        let flow = now(Box::pin(route.chain.request(exchange)))?;
        assert!(matches!(flow, Flow::Continue));
        Ok(())
    }

    /// The target that a GET request for `target` is sent on with.
    fn get(&self, target: &str) -> String {
        let exchange = self.pass(get(target), "").unwrap();
        sent_target(&exchange)
    }
}

fn get(target: &str) -> request::Builder {
    Request::get(target).header("host", "localhost")
}

fn receive(request: request::Builder, body: &'static str) -> Exchange {
    let (peer, local) = (
        "127.0.0.1:5000".parse().unwrap(),
        "127.0.0.1:9080".parse().unwrap(),
    );
    let client = Rc::new(Client::new(peer, local, "http", 1, false));
    let (head, ()) = request.body(()).unwrap().into_parts();
    Exchange::new(
        client,
        Worker::new(),
        head,
        Bytes::from_static(body.as_bytes()).into(),
    )
    .unwrap()
}

fn sent_target(exchange: &Exchange) -> String {
    exchange.target.for_upstream().unwrap().to_string()
}

/// The fields that are sent on, but for those that every request gets.
fn sent_headers(exchange: &Exchange) -> Vec<(String, String)> {
    let own = |name: &str| !name.starts_with("x-forwarded-") && name != "host";
    let fields = exchange
        .headers
        .iter()
        .filter(|(name, _)| own(name.as_str()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut fields: Vec<_> = fields
        .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
        .collect();
    // Several values of one name keep their order.
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

/// The plugin has nothing to wait for.
fn now<T>(mut future: Pin<Box<dyn Future<Output = T> + '_>>) -> T {
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the plugin waits"),
    }
}
