//! Variables about the client and its connection.

use std::borrow::Cow;
use std::net::IpAddr;

use super::{Scope, Value, bytes, text};
use crate::exchange::Exchange;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Var {
    RemoteAddr,
    RemotePort,
    BinaryRemoteAddr,
    RealipRemoteAddr,
    RealipRemotePort,
    ServerAddr,
    ServerPort,
    ServerName,
    Scheme,
    Https,
    Connection,
    ConnectionRequests,
}

impl Var {
    pub(super) fn read(name: &str) -> Option<Self> {
        Some(match name {
            "remote_addr" => Var::RemoteAddr,
            "remote_port" => Var::RemotePort,
            "binary_remote_addr" => Var::BinaryRemoteAddr,
            "realip_remote_addr" => Var::RealipRemoteAddr,
            "realip_remote_port" => Var::RealipRemotePort,
            "server_addr" => Var::ServerAddr,
            "server_port" => Var::ServerPort,
            "server_name" => Var::ServerName,
            "scheme" => Var::Scheme,
            "https" => Var::Https,
            "connection" => Var::Connection,
            "connection_requests" => Var::ConnectionRequests,
            _ => return None,
        })
    }

    pub(super) fn value(self, scope: Scope<'_>) -> Option<Value<'_>> {
        let client = scope.client();
        match self {
            Var::RemoteAddr => match scope.exchange() {
                Some(exchange) => bytes(exchange.remote_value().as_bytes()),
                None => bytes(client.values.peer().as_bytes()),
            },
            Var::RemotePort => match scope.exchange().map(Exchange::remote_port) {
                Some(Some(port)) => text(port),
                Some(None) => bytes(b""),
                None => text(client.peer.port()),
            },
            Var::RealipRemoteAddr => bytes(client.values.peer().as_bytes()),
            Var::RealipRemotePort => text(client.peer.port()),
            Var::BinaryRemoteAddr => Some(Cow::Owned(match remote_ip(scope) {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            })),
            Var::ServerAddr => text(client.local.ip().to_canonical()),
            Var::ServerPort => text(client.local.port()),
            // nginx's name of the server block: APISIX has one, named "_".
            Var::ServerName => bytes(b"_"),
            Var::Scheme => bytes(client.scheme.as_bytes()),
            Var::Https => bytes(if client.scheme == "https" { b"on" } else { b"" }),
            Var::Connection => text(client.connection),
            Var::ConnectionRequests => text(client.requests.get()),
        }
    }
}

fn remote_ip(scope: Scope<'_>) -> IpAddr {
    match scope.exchange() {
        Some(exchange) => exchange.remote_ip(),
        None => scope.client().peer.ip().to_canonical(),
    }
}
