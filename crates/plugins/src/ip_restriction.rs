//! `ip-restriction`: which client addresses are let in.

use std::future::ready;
use std::sync::Arc;

use http::StatusCode;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::Refusal;
use outrigger_model::read::{At, Object};
use outrigger_model::{Cidr, Fault};

use crate::{conf, refusal};

/// Longest message, in characters (APISIX's schema).
const MAX_MESSAGE: usize = 1024;

/// Makes `ip-restriction` plugins.
pub(crate) struct IpRestrictionFactory;

impl Factory for IpRestrictionFactory {
    fn name(&self) -> &'static str {
        "ip-restriction"
    }

    fn priority(&self) -> i32 {
        3000
    }

    fn build(&self, json: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        Ok(Arc::new(conf::read_with(json, IpRestriction::read)?))
    }
}

/// One configuration.
#[derive(Debug)]
struct IpRestriction {
    list: List,
    message: String,
    status: StatusCode,
}

#[derive(Debug)]
enum List {
    /// `whitelist`
    Only(Vec<Cidr>),
    /// `blacklist`
    AllBut(Vec<Cidr>),
}

impl IpRestriction {
    fn read(object: &Object<'_>) -> Option<Self> {
        let only = object.read("whitelist", read_ranges);
        let all_but = object.read("blacklist", read_ranges);
        let message = object.read("message", |at| at.text(1..=MAX_MESSAGE));
        let status = object.read("response_code", |at| at.integer(403..=404));
        let list = match (object.get("whitelist"), object.get("blacklist")) {
            (Some(_), None) => List::Only(only?),
            (None, Some(_)) => List::AllBut(all_but?),
            (None, None) => {
                object
                    .at()
                    .fault("property \"whitelist\" or \"blacklist\" is required");
                return None;
            }
            (Some(_), Some(_)) => {
                object
                    .at()
                    .fault("expected either \"whitelist\" or \"blacklist\", got both");
                return None;
            }
        };
        Some(Self {
            list,
            message: message
                .unwrap_or("Your IP address is not allowed")
                .to_owned(),
            status: match status {
                Some(404) => StatusCode::NOT_FOUND,
                _ => StatusCode::FORBIDDEN,
            },
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

fn read_ranges(at: &At<'_>) -> Option<Vec<Cidr>> {
    let items = at.items()?;
    if items.len() == 0 {
        at.fault("expect array to have at least 1 items");
        return None;
    }
    let ranges = items.map(|item| item.accept(item.string()?.parse()));
    ranges.collect()
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
        let range = "expected an IP address or a range such as 10.0.0.0/8";
        for (json, expected) in [
            (
                json!({}),
                "property \"whitelist\" or \"blacklist\" is required",
            ),
            (
                json!({"whitelist": ["1.1.1.1"], "blacklist": ["2.2.2.2"]}),
                "expected either \"whitelist\" or \"blacklist\", got both",
            ),
            (
                json!({"blacklist": []}),
                "blacklist: expect array to have at least 1 items",
            ),
            (
                json!({"blacklist": ["::1", "1.2.3.4/40"]}),
                &format!("blacklist[1]: {range}"),
            ),
            (
                json!({"whitelist": ["host.name"]}),
                &format!("whitelist[0]: {range}"),
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
            let fault = conf::read_with(&json, IpRestriction::read).unwrap_err();
            assert_eq!(fault.to_string(), expected, "{json}");
        }
    }
}
