//! `_meta` in a plugin's configuration: what holds for plugins of every kind.
//!
//! `disable` takes the plugin out of the chain, though it still goes before
//! one of the same name of the service; `priority` moves it among the others of its
//! phase; `filter` says for which requests it runs; `error_response` is the
//! body in place of that of its own refusals (APISIX, "Plugin", common
//! configurations).

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use outrigger_model::expr::Expr;
use outrigger_model::read::{At, Null, read};
use outrigger_model::{Fault, PropertyPath};
use serde_json::Value;

use crate::exchange::Exchange;
use crate::finished::Finished;
use crate::plugin::{Flow, Phases, Plugin, PluginFuture};
use crate::response::{Refusal, Response};
use crate::schemas::META;
use crate::{expr, vars};

/// What `_meta` says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Meta {
    pub(crate) disabled: bool,
    /// In place of the plugin's own.
    pub(crate) priority: Option<i32>,
    filter: Option<Expr>,
    error_response: Option<ErrorResponse>,
}

#[derive(Debug, Clone, PartialEq)]
struct ErrorResponse(Bytes);

impl Meta {
    /// Reads it from a plugin's configuration, and returns what is left for the
    /// plugin itself.
    ///
    /// # Errors
    /// The first property of it that does not hold.
    pub(crate) fn take(conf: &Value) -> Result<(Self, Cow<'_, Value>), Fault> {
        let Some(meta) = conf.get("_meta") else {
            return Ok((Self::default(), Cow::Borrowed(conf)));
        };
        let meta = META.check(meta).and_then(|()| {
            let meta = read(meta, Null::IsAValue, Self::read);
            meta.map_err(|faults| faults.into_iter().next().expect("faults are not empty"))
        });
        let meta = meta.map_err(|fault| {
            let path = PropertyPath::root().key("_meta").join(&fault.path);
            Fault { path, ..fault }
        })?;
        let mut rest = conf.clone();
        if let Some(properties) = rest.as_object_mut() {
            properties.shift_remove("_meta");
        }
        Ok((meta, Cow::Owned(rest)))
    }

    fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object_or_empty_array()?;
        let priority = object.read("priority", |at| {
            at.integer(i64::from(i32::MIN)..=i64::from(i32::MAX))
        });
        let meta = Self {
            disabled: object.read("disable", At::boolean).unwrap_or(false),
            priority: priority.and_then(|priority| i32::try_from(priority).ok()),
            filter: object.read("filter", |at| {
                let read = Expr::from_json(at.value());
                read.map_err(|fault| at.fault_below(&fault)).ok()
            }),
            error_response: object.read("error_response", |at| ErrorResponse::read(at.value())),
        };
        if let Some(at) = object.get("pre_function") {
            at.fault("Lua is not supported: use filter, or an external plugin");
        }
        Some(meta)
    }

    /// `plugin` as `_meta` wants it: itself, where there is nothing to add.
    pub(crate) fn apply(self, plugin: Arc<dyn Plugin>) -> Arc<dyn Plugin> {
        let Meta {
            filter,
            error_response,
            ..
        } = self;
        if filter.is_none() && error_response.is_none() {
            return plugin;
        }
        Arc::new(Guarded {
            plugin,
            filter,
            error_response,
        })
    }
}

impl ErrorResponse {
    fn read(written: &Value) -> Option<Self> {
        let body = match written {
            Value::String(text) => text.clone(),
            json => format!("{json}\n"),
        };
        Some(Self(body.into()))
    }

    fn instead_of(&self, mut response: Response) -> Response {
        response.body = self.0.clone().into();
        response.headers.remove(header::CONTENT_LENGTH);
        response
    }
}

/// A plugin that runs for some requests only, or refuses in other words.
#[derive(Debug)]
struct Guarded {
    plugin: Arc<dyn Plugin>,
    filter: Option<Expr>,
    error_response: Option<ErrorResponse>,
}

impl Guarded {
    fn admits(&self, exchange: &Exchange) -> bool {
        let lookup = |name: &str| vars::lookup(exchange, name);
        let filter = self.filter.as_ref();
        filter.is_none_or(|filter| expr::matches(filter, &lookup))
    }

    fn admits_response(
        &self,
        exchange: &Exchange,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> bool {
        let lookup = |name: &str| vars::lookup_with_response(exchange, status, headers, name);
        let filter = self.filter.as_ref();
        filter.is_none_or(|filter| expr::matches(filter, &lookup))
    }

    /// An answer of the plugin's own that refuses the request gets other words.
    fn worded(&self, flow: Result<Flow, Refusal>) -> Result<Flow, Refusal> {
        let Some(words) = &self.error_response else {
            return flow;
        };
        Ok(match flow {
            Ok(Flow::Respond(response)) if response.status.as_u16() >= 400 => {
                Flow::Respond(words.instead_of(response))
            }
            Err(refusal @ Refusal::PluginCall { .. }) => {
                Flow::Respond(words.instead_of(refusal.response()))
            }
            flow => return flow,
        })
    }
}

impl Plugin for Guarded {
    fn phases(&self) -> Phases {
        self.plugin.phases()
    }

    fn rewrite<'a>(
        &'a self,
        exchange: &'a mut Exchange,
    ) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(async move {
            if !self.admits(exchange) {
                return Ok(Flow::Continue);
            }
            self.worded(self.plugin.rewrite(exchange).await)
        })
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(async move {
            if !self.admits(exchange) {
                return Ok(Flow::Continue);
            }
            self.worded(self.plugin.access(exchange).await)
        })
    }

    fn response<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> PluginFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            if !self.admits_response(exchange, response.status, &response.headers) {
                return Ok(());
            }
            self.plugin.response(exchange, response).await
        })
    }

    fn log(&self, finished: &Rc<Finished>) {
        let lookup = |name: &str| vars::lookup_finished(finished, name);
        let filter = self.filter.as_ref();
        if filter.is_none_or(|filter| expr::matches(filter, &lookup)) {
            self.plugin.log(finished);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named_and_the_rest_is_the_plugins() {
        for (meta, expected) in [
            (
                json!({"disable": "yes"}),
                "_meta.disable: wrong type: expected boolean, got string",
            ),
            (
                json!({"priority": "1"}),
                "_meta.priority: wrong type: expected integer, got string",
            ),
            (
                json!({"filter": "x"}),
                "_meta.filter: wrong type: expected array, got string",
            ),
            (
                json!({"filter": [["arg_a", "nonsense", "b"]]}),
                "_meta.filter[0][1]: invalid operator 'nonsense'",
            ),
            (
                json!({"error_response": 5}),
                "_meta.error_response: value should match only one schema, but matches none",
            ),
            (
                json!({"unknown": 1}),
                "_meta: additional properties forbidden, found unknown",
            ),
            (
                json!({"pre_function": "return function() end"}),
                "_meta.pre_function: Lua is not supported: use filter, or an external plugin",
            ),
        ] {
            let conf = json!({"x": 1, "_meta": meta});
            let fault = Meta::take(&conf).unwrap_err();
            assert_eq!(fault.to_string(), expected);
        }
        let conf = json!({"x": 1, "_meta": {"disable": true, "priority": -5}});
        let (meta, rest) = Meta::take(&conf).unwrap();
        assert!(meta.disabled);
        assert_eq!(meta.priority, Some(-5));
        assert_eq!(*rest, json!({"x": 1}));
    }
}
