//! `consumer-restriction`: which consumers, groups, services or routes go
//! together.

use std::future::ready;
use std::sync::Arc;

use http::StatusCode;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::Refusal;
use outrigger_model::Fault;
use outrigger_model::read::{At, Object};
use serde_json::Value;

use crate::{conf, refusal};

/// What may be looked at.
const TYPES: [&str; 4] = [
    "consumer_name",
    "consumer_group_id",
    "service_id",
    "route_id",
];

const METHODS: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE",
];

/// Makes `consumer-restriction` plugins.
pub(crate) struct ConsumerRestrictionFactory;

impl Factory for ConsumerRestrictionFactory {
    fn name(&self) -> &'static str {
        "consumer-restriction"
    }

    fn priority(&self) -> i32 {
        2400
    }

    fn build(&self, json: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        Ok(Arc::new(conf::read_with(json, ConsumerRestriction::read)?))
    }
}

/// One configuration.
#[derive(Debug)]
struct ConsumerRestriction {
    kind: &'static str,
    blacklist: Vec<String>,
    whitelist: Vec<String>,
    /// Names, each with its methods.
    by_methods: Vec<(String, Vec<&'static str>)>,
    status: StatusCode,
    message: Option<String>,
}

impl ConsumerRestriction {
    fn read(object: &Object<'_>) -> Option<Self> {
        let kind = object.read("type", |at| at.one_of(&TYPES));
        let blacklist = object.read("blacklist", read_names);
        let whitelist = object.read("whitelist", read_names);
        let by_methods = object.read("allowed_by_methods", |at| {
            at.items()?
                .map(|item| {
                    let object = item.object()?;
                    let user = object.read("user", At::string).unwrap_or_default();
                    let methods = object.read("methods", |at| {
                        at.items()?.map(|item| item.one_of(&METHODS)).collect()
                    });
                    Some((user.to_owned(), methods.unwrap_or_default()))
                })
                .collect()
        });
        let lists = ["blacklist", "whitelist", "allowed_by_methods"];
        if !lists.iter().any(|key| object.get(key).is_some()) {
            object.at().fault(
                "at least one of \"blacklist\", \"whitelist\" and \"allowed_by_methods\" is \
                 required",
            );
        }
        let status = object.read("rejected_code", |at| at.integer(200..=599));
        let message = object.read("rejected_msg", At::string);
        let status = u16::try_from(status.unwrap_or(403)).ok()?;
        Some(Self {
            kind: kind.unwrap_or("consumer_name"),
            blacklist: blacklist.unwrap_or_default(),
            whitelist: whitelist.unwrap_or_default(),
            by_methods: by_methods.unwrap_or_default(),
            status: StatusCode::from_u16(status).ok()?,
            message: message.map(str::to_owned),
        })
    }

    fn check(&self, exchange: &Exchange) -> Flow {
        let kind = self.kind;
        let Some(value) = value_of(exchange, kind) else {
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
        let mut own = self.by_methods.iter().filter(|(user, _)| user == value);
        let method = exchange.method.as_str();
        own.next()
            .is_none_or(|(_, methods)| methods.contains(&method))
    }
}

fn value_of<'a>(exchange: &'a Exchange, kind: &str) -> Option<&'a str> {
    match kind {
        "consumer_name" => exchange.consumer.as_ref().map(|it| it.name.as_str()),
        "consumer_group_id" => exchange.consumer.as_ref()?.group_id.as_deref(),
        "service_id" => exchange
            .route
            .as_ref()?
            .service
            .as_ref()
            .map(|it| it.id.as_str()),
        _ => exchange.route.as_ref().map(|route| route.id.as_str()),
    }
}

fn read_names(at: &At<'_>) -> Option<Vec<String>> {
    let items = at.items()?;
    if items.len() == 0 {
        at.fault("expect array to have at least 1 items");
        return None;
    }
    items.map(|item| item.string().map(str::to_owned)).collect()
}

impl Plugin for ConsumerRestriction {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(ready(Ok(self.check(exchange))))
    }
}
