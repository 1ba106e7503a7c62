//! `prometheus`: counts the requests of the routes that have it, under APISIX's
//! names (`apisix_http_status`, `apisix_http_latency`, `apisix_bandwidth`).
//!
//! Where metrics are handed out is not its business: `plugin_attr.prometheus`
//! in `config.yaml` says that.

use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use outrigger_engine::finished::Finished;
use outrigger_engine::plugin::{Factory, Owner, Phases, Plugin};
use outrigger_engine::schemas::Schemas;
use outrigger_engine::upstream::Address;
use outrigger_model::Fault;
use outrigger_telemetry::metrics::EndedRequest;
use serde::Deserialize;

use crate::conf;

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../schemas/prometheus.json")));

pub(crate) struct PrometheusFactory;

/// Unknown properties are accepted, as in APISIX.
#[derive(Debug, Deserialize)]
struct Prometheus {
    /// Whether labels have the names of routes and services, where they have
    /// some, instead of their ids.
    prefer_name: bool,
}

impl Factory for PrometheusFactory {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn priority(&self) -> i32 {
        500
    }

    fn schemas(&self) -> &Schemas {
        &SCHEMAS
    }

    fn build(&self, json: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        Ok(Arc::new(conf::read::<Prometheus>(&SCHEMAS.requests, json)?))
    }
}

impl Plugin for Prometheus {
    fn phases(&self) -> Phases {
        Phases::LOG
    }

    fn log(&self, finished: &Rc<Finished>) {
        let Finished { exchange, end } = &**finished;
        let (requests, uri) = match (&exchange.route, &exchange.snapshot) {
            (Some(route), _) => (&route.requests, route.uri_index()),
            (None, Some(snapshot)) => (snapshot.unrouted(), 0),
            (None, None) => return,
        };
        let asked = exchange.upstream.last();
        let node = asked.and_then(|asked| match &asked.node {
            Address::Socket(address) => Some(address.ip()),
            Address::Name(..) => None,
        });
        let tries = exchange.upstream.tries();
        let times = tries.filter_map(|each| each.response_time);
        let ended = EndedRequest {
            status: end.status.as_u16(),
            uri,
            node,
            consumer: exchange.consumer.as_ref().map(|consumer| &*consumer.name),
            took: end.at.saturating_duration_since(exchange.started),
            upstream: asked.map(|_| times.sum()),
            received: exchange.length.bytes(),
            sent: end.bytes_sent,
            prefer_names: self.prefer_name,
        };
        requests.count(exchange.worker.number(), &ended);
    }
}
