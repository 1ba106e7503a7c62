//! `fault-injection`: requests that are answered with a fault, or late, to see
//! what others make of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::expr;
use outrigger_engine::headers::{HeaderEdit, is_framing};
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::template::{Template, header_value};
use outrigger_engine::vars;
use outrigger_model::Fault;
use outrigger_model::expr::Expr;
use outrigger_model::read::{At, Object};
use serde_json::Value;

use crate::conf;

/// Longest delay, in seconds; ours.
const MAX_DELAY: f64 = 3600.0;

/// Longest body with its variables filled in, in bytes; ours.
const MAX_BODY: usize = 1024 * 1024;

/// Longest value of a header field with its variables filled in, in bytes; ours.
const MAX_VALUE: usize = 16 * 1024;

/// Makes `fault-injection` plugins.
pub(crate) struct FaultInjectionFactory;

impl Factory for FaultInjectionFactory {
    fn name(&self) -> &'static str {
        "fault-injection"
    }

    fn priority(&self) -> i32 {
        11000
    }

    fn build(&self, json: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        Ok(Arc::new(conf::read_with(json, FaultInjection::read)?))
    }
}

/// One configuration.
#[derive(Debug)]
struct FaultInjection {
    delay: Option<(Duration, Which)>,
    abort: Option<(Abort, Which)>,
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
    fn read(object: &Object<'_>) -> Option<Self> {
        if object.entries().next().is_none() {
            object
                .at()
                .fault("expect object to have at least 1 properties");
        }
        let delay = object.read("delay", |at| {
            let object = at.object()?;
            let duration = object.require("duration").and_then(|at| read_duration(&at));
            let which = Which::read(&object);
            Some((duration?, which))
        });
        let abort = object.read("abort", |at| {
            let object = at.object()?;
            let abort = Abort::read(&object);
            let which = Which::read(&object);
            Some((abort?, which))
        });
        Some(Self { delay, abort })
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
    fn read(object: &Object<'_>) -> Option<Self> {
        let status = object.require("http_status");
        let status = status.and_then(|at| at.integer(200..=599));
        let body = object.read("body", At::string);
        let headers = object.read("headers", |at| {
            let object = at.object()?;
            Some(object.entries().filter_map(read_field).collect())
        });
        Some(Self {
            status: StatusCode::from_u16(u16::try_from(status?).ok()?).ok()?,
            body: Template::parse(body.unwrap_or_default()),
            headers: headers.unwrap_or_default(),
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
    fn read(object: &Object<'_>) -> Self {
        let percentage = object.read("percentage", |at| at.integer(0..=100));
        let percentage = percentage.and_then(|percentage| u32::try_from(percentage).ok());
        let vars = object.read("vars", |at| {
            let groups = at.items()?.map(|group| {
                let read = Expr::from_json(group.value());
                read.map_err(|fault| group.fault_below(&fault)).ok()
            });
            groups.collect::<Option<Vec<_>>>()
        });
        Self {
            percentage: percentage.unwrap_or(100),
            vars: vars.unwrap_or_default(),
        }
    }

    fn hits(&self, exchange: &Exchange) -> bool {
        let lookup = |name: &str| vars::lookup(exchange, name);
        let concerned =
            self.vars.is_empty() || self.vars.iter().any(|group| expr::matches(group, &lookup));
        concerned && (self.percentage == 100 || rand::random_range(0..100) < self.percentage)
    }
}

fn read_duration(at: &At<'_>) -> Option<Duration> {
    let seconds = at.number()?;
    if (0.0..=MAX_DELAY).contains(&seconds) {
        Some(Duration::from_secs_f64(seconds))
    } else {
        at.fault(format!("expected 0 to {MAX_DELAY} seconds, got {seconds}"));
        None
    }
}

fn read_field((name, at): (&str, At<'_>)) -> Option<(HeaderName, Template)> {
    let text = match at.value() {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return at.wrong_type("string or number"),
    };
    let name = at.accept(name.parse::<HeaderName>())?;
    if is_framing(&name) {
        at.fault("this field belongs to the connection and cannot be set");
    }
    Some((name, Template::parse(&text)))
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
                "abort.vars[0][0][1]: invalid operator 'like'",
            ),
            (
                json!({"abort": {"http_status": 200, "headers": {"Content-Length": 5}}}),
                "abort.headers.Content-Length: this field belongs to the connection and cannot \
                 be set",
            ),
            (
                json!({"abort": {"http_status": 200, "headers": {"X-A": []}}}),
                "abort.headers.X-A: wrong type: expected string or number, got array",
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
                "delay.duration: expected 0 to 3600 seconds, got -1",
            ),
        ] {
            let fault = conf::read_with(&json, FaultInjection::read).unwrap_err();
            assert_eq!(fault.to_string(), expected, "{json}");
        }
    }
}
