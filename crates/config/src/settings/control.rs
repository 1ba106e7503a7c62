//! `apisix.enable_control` and `apisix.control`: where the control API listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use outrigger_model::read::{At, Object};

use super::listen::{read_ip, read_port};

/// APISIX's port.
const DEFAULT_PORT: u16 = 9090;

/// Where the control API listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlApi {
    /// The address; port 0 is one that the system chooses.
    pub address: SocketAddr,
    /// Whether somebody asked for this address. Otherwise the gateway does
    /// without the API where the address cannot be had.
    pub explicit: bool,
}

/// None if the API is off.
pub(super) fn read(apisix: &Object<'_>) -> Option<ControlApi> {
    let on = apisix.read("enable_control", At::boolean).unwrap_or(true);
    let explicit = apisix.get("control").is_some();
    let address = apisix.section("control", |control| {
        let ip = control.read("ip", read_ip);
        let port = control.read("port", read_port);
        SocketAddr::new(
            ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port.unwrap_or(DEFAULT_PORT),
        )
    });
    on.then_some(ControlApi { address, explicit })
}
