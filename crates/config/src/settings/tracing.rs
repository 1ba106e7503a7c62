//! `outrigger.tracing`: which requests are traced, and who is told.

use std::fmt;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Uri};
use outrigger_model::read::{At, Object};

use super::units;
use crate::limits;

/// Which requests are traced, and who is told.
#[derive(Clone, PartialEq)]
pub struct Tracing {
    /// The collector's base URL, to which OTLP adds `/v1/traces`: `http` or
    /// `https`, a host, no credentials.
    pub otlp_endpoint: String,
    /// Header fields for the collector. Their values may be secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The share, from 0 to 1, of traces that are recorded among those that
    /// begin here.
    pub sample_ratio: f64,
    /// What the gateway is called in traces.
    pub service_name: String,
    /// Further attributes of the gateway.
    pub resource: Vec<(String, String)>,
    /// How long the collector may take for a batch.
    pub timeout: Duration,
    /// How long a span may wait to be sent with others.
    pub interval: Duration,
    /// How many spans may wait.
    pub queue: usize,
    /// Whether upstreams are told the gateway's span instead of the client's.
    pub upstream_context: bool,
}

impl Tracing {
    /// With the gateway's id among its attributes, unless another is there.
    pub(super) fn of_instance(mut self, id: Option<String>) -> Self {
        /// OpenTelemetry's name.
        const INSTANCE: &str = "service.instance.id";
        let known = self.resource.iter().any(|(key, _)| key == INSTANCE);
        if let Some(id) = id.filter(|_| !known) {
            self.resource.push((INSTANCE.to_owned(), id));
        }
        self
    }
}

/// Shown without the values of header fields.
impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.headers.iter().map(|(name, _)| name);
        f.debug_struct("Tracing")
            .field("otlp_endpoint", &self.otlp_endpoint)
            .field("headers", &names.collect::<Vec<_>>())
            .field("sample_ratio", &self.sample_ratio)
            .field("service_name", &self.service_name)
            .finish_non_exhaustive()
    }
}

/// How long a collector may take (OTLP's default).
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a span waits (OpenTelemetry's default).
const INTERVAL: Duration = Duration::from_secs(5);

/// How many spans wait (OpenTelemetry's default).
const QUEUE: usize = 2048;

/// Reads the object.
pub(super) fn read(at: &At<'_>) -> Option<Tracing> {
    let section = at.object()?;
    let endpoint = section.require("otlp_endpoint");
    let endpoint = endpoint.and_then(|at| read_endpoint(&at));
    let time = |key, default| {
        let time = section.read(key, |at| units::milliseconds(at, 1));
        time.unwrap_or(default)
    };
    let name = section.read("service_name", |at| at.text(1..=limits::TRACE_TEXT));
    let queue = section.read("queue", |at| {
        usize::try_from(at.integer(1..=limits::TRACE_QUEUE)?).ok()
    });
    let tracing = Tracing {
        otlp_endpoint: endpoint.unwrap_or_default(),
        headers: section.read("headers", read_headers).unwrap_or_default(),
        sample_ratio: section.read("sample_ratio", read_ratio).unwrap_or(1.0),
        service_name: name.unwrap_or("outrigger").to_owned(),
        resource: section.read("resource", read_resource).unwrap_or_default(),
        timeout: time("timeout", TIMEOUT),
        interval: time("interval", INTERVAL),
        queue: queue.unwrap_or(QUEUE),
        upstream_context: section
            .read("upstream_context", At::boolean)
            .unwrap_or(false),
    };
    section.finish();
    Some(tracing)
}

fn read_endpoint(at: &At<'_>) -> Option<String> {
    let text = at.string()?;
    let wrong = match text.parse::<Uri>() {
        Ok(url) if url.authority().is_some_and(|at| at.as_str().contains('@')) => {
            "credentials do not belong into the URL: put them into `headers`"
        }
        Ok(url)
            if (url.scheme() == Some(&Scheme::HTTP) || url.scheme() == Some(&Scheme::HTTPS))
                && url.host().is_some_and(|host| !host.is_empty())
                && url.query().is_none() =>
        {
            return Some(text.to_owned());
        }
        _ => "expected a URL such as http://127.0.0.1:4318",
    };
    at.fault(wrong);
    None
}

fn read_headers(at: &At<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = Vec::new();
    for (name, at) in at.object()?.entries() {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            at.fault("this is no name of a header field");
            continue;
        };
        let Some(text) = at.string() else { continue };
        match HeaderValue::from_str(text) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.push((name, value));
            }
            // Without the value, which may be a secret.
            Err(_) => at.fault("this is no value of a header field"),
        }
    }
    Some(headers)
}

fn read_ratio(at: &At<'_>) -> Option<f64> {
    let ratio = at.number()?;
    if !(0.0..=1.0).contains(&ratio) {
        at.fault("expected a share from 0 to 1");
        return None;
    }
    Some(ratio)
}

fn read_resource(at: &At<'_>) -> Option<Vec<(String, String)>> {
    let object: Object<'_> = at.object()?;
    let entries = object.entries();
    let texts = entries.filter_map(|(key, at)| {
        let text = at.text(0..=limits::TRACE_TEXT)?;
        Some((key.to_owned(), text.to_owned()))
    });
    Some(texts.collect())
}
