//! `ip-restriction`: which client addresses are let in.

use std::future::ready;
use std::sync::{Arc, LazyLock};

use http::StatusCode;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::Refusal;
use outrigger_engine::schemas::Schemas;
use outrigger_model::{Cidr, Fault};
use serde::Deserialize;

use crate::{conf, refusal};

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../schemas/ip-restriction.json")));

/// Makes `ip-restriction` plugins.
pub(crate) struct IpRestrictionFactory;

impl Factory for IpRestrictionFactory {
    fn name(&self) -> &'static str {
        "ip-restriction"
    }

    fn priority(&self) -> i32 {
        3000
    }

    fn schemas(&self) -> &Schemas {
        &SCHEMAS
    }

    fn build(&self, json: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let conf = conf::read(&SCHEMAS.requests, json)?;
        Ok(Arc::new(IpRestriction::new(conf)?))
    }
}

/// One configuration.
#[derive(Debug)]
struct IpRestriction {
    list: List,
    message: String,
    status: StatusCode,
}

/// Exactly one of the lists is there.
#[derive(Deserialize)]
struct Conf {
    whitelist: Option<Vec<String>>,
    blacklist: Option<Vec<String>>,
    message: String,
    response_code: u16,
}

#[derive(Debug)]
enum List {
    /// `whitelist`
    Only(Vec<Cidr>),
    /// `blacklist`
    AllBut(Vec<Cidr>),
}

impl IpRestriction {
    fn new(conf: Conf) -> Result<Self, Fault> {
        Ok(Self {
            list: match (conf.whitelist, conf.blacklist) {
                (Some(only), _) => List::Only(read_ranges(&only)?),
                (None, all_but) => List::AllBut(read_ranges(&all_but.unwrap_or_default())?),
            },
            message: conf.message,
            status: conf::status(conf.response_code),
        })
    }

    fn check(&self, exchange: &Exchange) -> Flow {
        let address = exchange.remote_ip();
        let within = |ranges: &[Cidr]| ranges.iter().any(|range| range.contains(address));
        let admitted = match &self.list {
            List::Only(ranges) => within(ranges),
            List::AllBut(ranges) => !within(ranges),
        };
        if admitted {
            Flow::Continue
        } else {
            refusal::with_message(self.status, &self.message)
        }
    }
}

/// A schema cannot tell all that is an address.
fn read_ranges(texts: &[String]) -> Result<Vec<Cidr>, Fault> {
    let read = |text: &String| {
        let range = text.parse();
        range.map_err(|_| conf::wrong(format!("invalid ip address: {text}")))
    };
    texts.iter().map(read).collect()
}

impl Plugin for IpRestriction {
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
        let no_range = "object matches none of the required";
        for (json, expected) in [
            (
                json!({}),
                "value should match only one schema, but matches none",
            ),
            (
                json!({"whitelist": ["1.1.1.1"], "blacklist": ["2.2.2.2"]}),
                "value should match only one schema, but matches both schemas 1 and 2",
            ),
            (
                json!({"blacklist": []}),
                "blacklist: expect array to have at least 1 items",
            ),
            (
                json!({"blacklist": ["::1", "1.2.3.4/40"]}),
                &format!("blacklist[1]: {no_range}"),
            ),
            (
                json!({"whitelist": ["host.name"]}),
                &format!("whitelist[0]: {no_range}"),
            ),
            (
                json!({"whitelist": ["::1/200"]}),
                "invalid ip address: ::1/200",
            ),
            (
                json!({"blacklist": ["1.1.1.1"], "response_code": 500}),
                "response_code: expected 500 to be at most 404",
            ),
            (
                json!({"blacklist": ["1.1.1.1"], "message": ""}),
                "message: string too short, expected at least 1, got 0",
            ),
        ] {
            let read = conf::read(&SCHEMAS.requests, &json).and_then(IpRestriction::new);
            assert_eq!(read.unwrap_err().to_string(), expected, "{json}");
        }
    }
}
