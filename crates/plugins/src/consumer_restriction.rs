//! `consumer-restriction`: which consumers, groups, services or routes go
//! together.

use std::future::ready;
use std::sync::{Arc, LazyLock};

use http::StatusCode;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::Refusal;
use outrigger_engine::schemas::Schemas;
use outrigger_model::Fault;
use serde::Deserialize;
use serde_json::Value;

use crate::{conf, refusal};

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../schemas/consumer-restriction.json")));

/// Makes `consumer-restriction` plugins.
pub(crate) struct ConsumerRestrictionFactory;

impl Factory for ConsumerRestrictionFactory {
    fn name(&self) -> &'static str {
        "consumer-restriction"
    }

    fn priority(&self) -> i32 {
        2400
    }

    fn schemas(&self) -> &Schemas {
        &SCHEMAS
    }

    fn build(&self, json: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let conf = conf::read(&SCHEMAS.requests, json)?;
        Ok(Arc::new(ConsumerRestriction::new(conf)))
    }
}

/// One configuration.
#[derive(Debug)]
struct ConsumerRestriction {
    kind: Kind,
    blacklist: Vec<String>,
    whitelist: Vec<String>,
    by_methods: Vec<Methods>,
    status: StatusCode,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Conf {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    blacklist: Vec<String>,
    #[serde(default)]
    whitelist: Vec<String>,
    #[serde(default)]
    allowed_by_methods: Vec<Methods>,
    rejected_code: u16,
    rejected_msg: Option<String>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ConsumerName,
    ConsumerGroupId,
    ServiceId,
    RouteId,
}

/// A name with the methods that it may use.
#[derive(Debug, Deserialize)]
struct Methods {
    #[serde(default)]
    user: String,
    #[serde(default)]
    methods: Vec<String>,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::ConsumerName => "consumer_name",
            Self::ConsumerGroupId => "consumer_group_id",
            Self::ServiceId => "service_id",
            Self::RouteId => "route_id",
        }
    }

    fn value_of(self, exchange: &Exchange) -> Option<&str> {
        let route = exchange.route.as_ref();
        let consumer = exchange.consumer.as_ref();
        match self {
            Self::ConsumerName => consumer.map(|it| it.name.as_str()),
            Self::ConsumerGroupId => consumer?.group_id.as_deref(),
            Self::ServiceId => route?.service.as_ref().map(|it| it.id.as_str()),
            Self::RouteId => route.map(|route| route.id.as_str()),
        }
    }
}

impl ConsumerRestriction {
    fn new(conf: Conf) -> Self {
        Self {
            kind: conf.kind,
            blacklist: conf.blacklist,
            whitelist: conf.whitelist,
            by_methods: conf.allowed_by_methods,
            status: conf::status(conf.rejected_code),
            message: conf.rejected_msg,
        }
    }

    fn check(&self, exchange: &Exchange) -> Flow {
        let kind = self.kind.name();
        let Some(value) = self.kind.value_of(exchange) else {
            let message =
                format!("The request is rejected, please check the {kind} for this request");
            return refusal::with_message(StatusCode::UNAUTHORIZED, &message);
        };
        let among = |names: &[String]| names.iter().any(|name| name == value);
        let refused = among(&self.blacklist)
            || !(self.whitelist.is_empty() || among(&self.whitelist))
            || !(among(&self.whitelist) || self.admits_method(value, exchange));
        if !refused {
            return Flow::Continue;
        }
        let message = self
            .message
            .clone()
            .unwrap_or_else(|| format!("The {kind} is forbidden."));
        refusal::with_message(self.status, &message)
    }

    /// Whom `allowed_by_methods` does not name, it does not restrict.
    fn admits_method(&self, value: &str, exchange: &Exchange) -> bool {
        let mut own = self.by_methods.iter().filter(|own| own.user == value);
        let method = exchange.method.as_str();
        own.next()
            .is_none_or(|own| own.methods.iter().any(|it| it == method))
    }
}

impl Plugin for ConsumerRestriction {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(ready(Ok(self.check(exchange))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let list = json!(["a"]);
        for (json, expected) in [
            (
                json!({}),
                "object matches none of the required: \
                 [\"blacklist\"] or [\"whitelist\"] or [\"allowed_by_methods\"]",
            ),
            (
                json!({"whitelist": list, "type": "user"}),
                "type: matches none of the enum values",
            ),
            (
                json!({"whitelist": [5]}),
                "whitelist[0]: wrong type: expected string, got number",
            ),
            (
                json!({"allowed_by_methods": [{"user": "a", "methods": []}]}),
                "allowed_by_methods[0].methods: expect array to have at least 1 items",
            ),
            (
                json!({"allowed_by_methods": [{"user": "a", "methods": ["FETCH"]}]}),
                "allowed_by_methods[0].methods[0]: matches none of the enum values",
            ),
            (
                json!({"whitelist": list, "rejected_code": 199}),
                "rejected_code: expected 199 to be at least 200",
            ),
            (
                json!({"whitelist": list, "rejected_code": 600}),
                "rejected_code: expected 600 to be at most 599",
            ),
            (
                json!({"whitelist": list, "rejected_msg": []}),
                "rejected_msg: wrong type: expected string, got table",
            ),
        ] {
            let read = conf::read::<Conf>(&SCHEMAS.requests, &json);
            assert_eq!(read.map(drop).unwrap_err().to_string(), expected, "{json}");
        }
    }
}
