//! `proxy-rewrite`: what the upstream is asked for instead of what the client
//! asked for: path and query, host, method and header fields.
//!
//! Everything is parsed and compiled when the configuration is read. Where the
//! request goes and by which scheme is not this plugin's business: that is
//! said of the upstream, as in APISIX 3.

mod conf;
mod headers;
mod limits;
mod regex_uri;
mod uri;

use std::future::ready;
use std::sync::Arc;

use http::{HeaderValue, Method, header};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::headers::HeaderEdit;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::Refusal;
use outrigger_engine::schemas::Schemas;
use outrigger_model::Fault;

use headers::HeaderChanges;
use uri::TargetRule;

const NAME: &str = "proxy-rewrite";

/// Makes `proxy-rewrite` plugins.
pub(crate) struct ProxyRewrite;

impl Factory for ProxyRewrite {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        1008
    }

    fn schemas(&self) -> &Schemas {
        &conf::SCHEMAS
    }

    fn build(&self, json: &serde_json::Value, owner: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let rewrite = conf::read(json)?;
        let unknown = conf::unknown(json);
        if !unknown.is_empty() {
            let Owner { kind, id } = owner;
            tracing::warn!(plugin = NAME, %kind, %id, ?unknown, "these properties have no effect");
        }
        Ok(Arc::new(rewrite))
    }
}

/// One configuration.
#[derive(Debug)]
struct Rewrite {
    target: TargetRule,
    headers: HeaderChanges,
    host: Option<HeaderValue>,
    method: Option<Method>,
}

impl Rewrite {
    fn apply(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        // Templates see the request as it came, so the new target is only put
        // in place after the header fields, and then the host.
        let (change, captured) = self.target.plan(exchange, self.headers.use_groups())?;
        self.headers.apply(exchange, &captured)?;
        change.apply(&mut exchange.target)?;
        if let Some(host) = &self.host {
            exchange.headers.insert(header::HOST, host.clone());
        }
        if let Some(method) = &self.method {
            set_method(exchange, method);
        }
        Ok(())
    }
}

impl Plugin for Rewrite {
    fn phases(&self) -> Phases {
        Phases::REWRITE
    }

    fn rewrite<'a>(
        &'a self,
        exchange: &'a mut Exchange,
    ) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(ready(self.apply(exchange).map(|()| Flow::Continue)))
    }
}

/// Sets the method; the answer is still the one to what the client asked.
fn set_method(exchange: &mut Exchange, method: &Method) {
    if *method == Method::HEAD && exchange.method != Method::HEAD {
        // The answer to HEAD tells the length of a body that does not come; a
        // client that asked otherwise would wait for it.
        let length = HeaderEdit::Remove(header::CONTENT_LENGTH);
        exchange.response_edits.push(length);
    }
    exchange.method = method.clone();
}

/// What the client's values make of the configuration cannot be sent: the
/// configuration itself was checked when it was read.
fn refuse(reason: impl std::fmt::Display) -> Refusal {
    Refusal::BadRequest(format!("{NAME}: {reason}"))
}

#[cfg(test)]
mod tests;
