//! `apisix.status`: where it is told that the gateway serves.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use outrigger_model::read::Object;

use super::listen::{read_ip, read_port};

/// APISIX's port.
const DEFAULT_PORT: u16 = 7085;

/// None where nobody asked for it, as in APISIX.
pub(super) fn read(apisix: &Object<'_>) -> Option<SocketAddr> {
    let wanted = apisix.get("status").is_some();
    let address = apisix.section("status", |status| {
        let ip = status.read("ip", read_ip);
        let port = status.read("port", read_port);
        SocketAddr::new(
            ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port.unwrap_or(DEFAULT_PORT),
        )
    });
    wanted.then_some(address)
}
