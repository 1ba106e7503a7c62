//! Variables about the upstream: what it is asked for, and what became of it.
//!
//! Where several nodes were asked, `upstream_addr`, `upstream_status` and the times
//! list them in order, separated by commas, as nginx does.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::time::Duration;

use http::header;

use super::{Scope, Value, bytes, text};
use crate::exchange::Exchange;
use crate::upstream::Address;
use crate::upstream_trace::Try;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Var {
    Addr,
    Status,
    ConnectTime,
    HeaderTime,
    ResponseTime,
    Scheme,
    Host,
    Uri,
    BalancerIp,
    BalancerPort,
}

impl Var {
    pub(super) fn read(name: &str) -> Option<Self> {
        Some(match name {
            "upstream_addr" => Var::Addr,
            "upstream_status" => Var::Status,
            "upstream_connect_time" => Var::ConnectTime,
            "upstream_header_time" => Var::HeaderTime,
            "upstream_response_time" => Var::ResponseTime,
            "upstream_scheme" => Var::Scheme,
            "upstream_host" => Var::Host,
            "upstream_uri" => Var::Uri,
            "balancer_ip" => Var::BalancerIp,
            "balancer_port" => Var::BalancerPort,
            _ => return None,
        })
    }

    pub(super) fn value(self, scope: Scope<'_>) -> Option<Value<'_>> {
        let exchange = scope.exchange()?;
        match self {
            Var::Addr => list(exchange, |each, out| match each.address() {
                (Some(peer), _) => write!(out, "{peer}"),
                (None, Address::Socket(address)) => write!(out, "{address}"),
                (None, Address::Name(name, port)) => write!(out, "{name}:{port}"),
            }),
            Var::Status => list(exchange, |each, out| match each.status {
                Some(status) => write!(out, "{}", status.as_u16()),
                None => write!(out, "-"),
            }),
            Var::ConnectTime => list(exchange, |each, out| time(out, each.connect_time)),
            Var::HeaderTime => list(exchange, |each, out| time(out, each.header_time)),
            Var::ResponseTime => list(exchange, |each, out| time(out, each.response_time)),
            Var::Scheme => bytes(scheme(exchange)),
            Var::Host => host(exchange),
            Var::Uri => text(exchange.target.for_upstream().ok()?),
            Var::BalancerIp => match exchange.upstream.last()?.address() {
                (Some(peer), _) => text(peer.ip()),
                (None, Address::Socket(address)) => text(address.ip()),
                (None, Address::Name(name, _)) => text(name),
            },
            Var::BalancerPort => text(match exchange.upstream.last()?.address() {
                (Some(peer), _) => peer.port(),
                (None, Address::Socket(address)) => address.port(),
                (None, Address::Name(_, port)) => *port,
            }),
        }
    }
}

/// What the route's upstream speaks, or would if it were asked.
fn scheme(exchange: &Exchange) -> &'static [u8] {
    let upstream = exchange
        .route
        .as_ref()
        .and_then(|route| route.upstream.as_ref());
    if upstream.is_some_and(|upstream| upstream.tls.is_some()) {
        b"https"
    } else {
        b"http"
    }
}

/// The `Host` field that the upstream gets: known of several nodes with
/// `pass_host: node` when one of them has been chosen.
fn host(exchange: &Exchange) -> Option<Value<'_>> {
    let last = exchange.upstream.last();
    let route = exchange.route.as_ref();
    let node = last.and_then(|last| route?.upstream.as_ref()?.node_host_field(&last.node));
    let host = match node {
        Some(host) => Some(host),
        None if exchange.headers.contains_key(header::HOST) => Some(exchange.host_for_upstream()),
        None => None,
    };
    bytes(host?.as_bytes())
}

/// What is told of each node that was asked.
fn list<'a>(
    exchange: &Exchange,
    tell: impl Fn(&Try, &mut Vec<u8>) -> io::Result<()>,
) -> Option<Value<'a>> {
    let mut out = Vec::new();
    for (index, each) in exchange.upstream.tries().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        tell(each, &mut out).ok()?;
    }
    (!out.is_empty()).then_some(Cow::Owned(out))
}

fn time(out: &mut Vec<u8>, time: Option<Duration>) -> io::Result<()> {
    match time {
        Some(time) => write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis()),
        None => write!(out, "-"),
    }
}
