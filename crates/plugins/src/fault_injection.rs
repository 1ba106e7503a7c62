//! `fault-injection`: requests that are answered with a fault, or late, to see
//! what others make of it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::expr;
use outrigger_engine::headers::HeaderEdit;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::schemas::Schemas;
use outrigger_engine::template::{Template, header_value};
use outrigger_engine::vars;
use outrigger_model::expr::Expr;
use outrigger_model::{Fault, PropertyPath};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::conf;

/// Longest delay, in seconds; ours.
const MAX_DELAY: f64 = 3600.0;

/// Longest body with its variables filled in, in bytes; ours.
const MAX_BODY: usize = 1024 * 1024;

/// Longest value of a header field with its variables filled in, in bytes; ours.
const MAX_VALUE: usize = 16 * 1024;

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../schemas/fault-injection.json")));

/// Makes `fault-injection` plugins.
pub(crate) struct FaultInjectionFactory;

impl Factory for FaultInjectionFactory {
    fn name(&self) -> &'static str {
        "fault-injection"
    }

    fn priority(&self) -> i32 {
        11000
    }

    fn schemas(&self) -> &Schemas {
        &SCHEMAS
    }

    fn build(&self, json: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let conf = conf::read(&SCHEMAS.requests, json)?;
        Ok(Arc::new(FaultInjection::new(conf)?))
    }
}

/// One configuration.
#[derive(Debug)]
struct FaultInjection {
    delay: Option<(Duration, Which)>,
    abort: Option<(Abort, Which)>,
}

#[derive(Deserialize)]
struct Conf {
    abort: Option<AbortConf>,
    delay: Option<DelayConf>,
}

#[derive(Deserialize)]
struct AbortConf {
    http_status: u16,
    #[serde(default)]
    body: String,
    #[serde(default)]
    headers: Map<String, Value>,
    percentage: Option<u32>,
    #[serde(default)]
    vars: Vec<Value>,
}

#[derive(Deserialize)]
struct DelayConf {
    /// In seconds.
    duration: f64,
    percentage: Option<u32>,
    #[serde(default)]
    vars: Vec<Value>,
}

/// The answer instead of the upstream's.
#[derive(Debug)]
struct Abort {
    status: StatusCode,
    body: Template,
    headers: Vec<(HeaderName, Template)>,
}

/// Which requests are concerned.
#[derive(Debug)]
struct Which {
    /// Of a hundred.
    percentage: u32,
    /// One of them has to hold, if there are any.
    vars: Vec<Expr>,
}

impl FaultInjection {
    fn new(conf: Conf) -> Result<Self, Fault> {
        let abort = conf.abort.map(|conf| {
            let which = Which::new(conf.percentage, &conf.vars)?;
            Ok((Abort::new(&conf)?, which))
        });
        let delay = conf.delay.map(|conf| {
            let which = Which::new(conf.percentage, &conf.vars)?;
            Ok((read_duration(conf.duration)?, which))
        });
        Ok(Self {
            delay: delay.transpose()?,
            abort: abort.transpose()?,
        })
    }

    /// Late first, and then at fault.
    async fn run(&self, exchange: &Exchange) -> Flow {
        if let Some((duration, which)) = &self.delay
            && which.hits(exchange)
        {
            tokio::time::sleep(*duration).await;
        }
        match &self.abort {
            Some((abort, which)) if which.hits(exchange) => Flow::Respond(abort.response(exchange)),
            _ => Flow::Continue,
        }
    }
}

impl Abort {
    fn new(conf: &AbortConf) -> Result<Self, Fault> {
        let root = || PropertyPath::root().key("abort");
        let mut headers = Vec::with_capacity(conf.headers.len());
        for (name, value) in &conf.headers {
            let path = || root().key("headers").key(name);
            let name = conf::own_field(name).map_err(|why| conf::fault(path(), why))?;
            headers.push((
                name,
                Template::parse(&conf::text_of(value).unwrap_or_default()),
            ));
        }
        Ok(Self {
            status: conf::status(conf.http_status),
            body: Template::parse(&conf.body),
            headers,
        })
    }

    fn response(&self, exchange: &Exchange) -> Response {
        // What grew too long is not sent in part.
        let body = self.body.render(MAX_BODY, exchange).unwrap_or_default();
        let body = Bytes::from(body.into_owned());
        let mut response = Response::new(self.status, body);
        for (name, template) in &self.headers {
            let value = template.render(MAX_VALUE, exchange).unwrap_or_default();
            if !value.is_empty() {
                let edit = HeaderEdit::Set(name.clone(), header_value(&value));
                edit.apply(&mut response.headers);
            }
        }
        response.fit_body_to_status();
        response
    }
}

impl Which {
    fn new(percentage: Option<u32>, vars: &[Value]) -> Result<Self, Fault> {
        let vars = vars.iter().map(Expr::from_json);
        let vars = vars.collect::<Result<_, _>>();
        Ok(Self {
            percentage: percentage.unwrap_or(100),
            vars: vars.map_err(|fault| conf::wrong(fault.message))?,
        })
    }

    fn hits(&self, exchange: &Exchange) -> bool {
        let lookup = |name: &str| vars::lookup(exchange, name);
        let concerned =
            self.vars.is_empty() || self.vars.iter().any(|group| expr::matches(group, &lookup));
        concerned && (self.percentage == 100 || rand::random_range(0..100) < self.percentage)
    }
}

fn read_duration(seconds: f64) -> Result<Duration, Fault> {
    if seconds <= MAX_DELAY {
        return Ok(Duration::from_secs_f64(seconds));
    }
    let message = format!("expected {seconds} to be at most {MAX_DELAY}");
    let path = PropertyPath::root().key("delay").key("duration");
    Err(conf::fault(path, message))
}

impl Plugin for FaultInjection {
    fn phases(&self) -> Phases {
        Phases::REWRITE
    }

    fn rewrite<'a>(
        &'a self,
        exchange: &'a mut Exchange,
    ) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(async move { Ok(self.run(exchange).await) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (json, expected) in [
            (json!({}), "expect object to have at least 1 properties"),
            (
                json!({"abort": {}}),
                "abort: property \"http_status\" is required",
            ),
            (
                json!({"abort": {"http_status": 100}}),
                "abort.http_status: expected 100 to be at least 200",
            ),
            (
                json!({"abort": {"http_status": 200, "percentage": 101}}),
                "abort.percentage: expected 101 to be at most 100",
            ),
            (
                json!({"abort": {"http_status": 200, "vars": [[["arg_a", "like", "1"]]]}}),
                "invalid operator 'like'",
            ),
            (
                json!({"abort": {"http_status": 200, "headers": {"Content-Length": 5}}}),
                "abort.headers.Content-Length: this field belongs to the connection and cannot \
                 be changed",
            ),
            (
                json!({"abort": {"http_status": 200, "headers": {"X-A": []}}}),
                "abort.headers: failed to validate X-A (matching \"^[^:]+$\"): value should match \
                 only one schema, but matches none",
            ),
            (
                json!({"delay": {}}),
                "delay: property \"duration\" is required",
            ),
            (
                json!({"delay": {"duration": "1"}}),
                "delay.duration: wrong type: expected number, got string",
            ),
            (
                json!({"delay": {"duration": -1}}),
                "delay.duration: expected -1 to be at least 0",
            ),
            (
                json!({"delay": {"duration": 3600.5}}),
                "delay.duration: expected 3600.5 to be at most 3600",
            ),
            (
                json!({"abort": {"http_status": 600}}),
                "abort.http_status: expected 600 to be at most 599",
            ),
        ] {
            let read = conf::read(&SCHEMAS.requests, &json).and_then(FaultInjection::new);
            assert_eq!(read.unwrap_err().to_string(), expected, "{json}");
        }
    }
}
