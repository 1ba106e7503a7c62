//! Variables about what of the configuration the request runs on.

use super::{Scope, Value, bytes};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Var {
    RouteId,
    RouteName,
    ServiceId,
    ServiceName,
    ConsumerName,
    ConsumerGroupId,
    MatchedUri,
}

impl Var {
    pub(super) fn read(name: &str) -> Option<Self> {
        Some(match name {
            "route_id" => Var::RouteId,
            "route_name" => Var::RouteName,
            "service_id" => Var::ServiceId,
            "service_name" => Var::ServiceName,
            "consumer_name" => Var::ConsumerName,
            "consumer_group_id" => Var::ConsumerGroupId,
            "matched_uri" => Var::MatchedUri,
            _ => return None,
        })
    }

    pub(super) fn value(self, scope: Scope<'_>) -> Option<Value<'_>> {
        let exchange = scope.exchange()?;
        let route = || exchange.route.as_ref();
        let service = || route()?.service.as_deref();
        let consumer = || exchange.consumer.as_deref();
        let text = match self {
            Var::RouteId => route()?.id.as_str(),
            Var::RouteName => route()?.name.as_deref()?,
            Var::ServiceId => service()?.id.as_str(),
            Var::ServiceName => service()?.name.as_deref()?,
            Var::ConsumerName => &consumer()?.name,
            Var::ConsumerGroupId => consumer()?.group_id.as_deref()?,
            Var::MatchedUri => route()?.uri(),
        };
        bytes(text.as_bytes())
    }
}
