//! `apisix.node_listen`: where clients are listened to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use outrigger_model::read::{At, Object};
use serde_json::Value;

/// APISIX's port where none is given.
const DEFAULT_PORT: u16 = 9080;

/// Reads `node_listen` (a port, an object, or a list of either) and `enable_ipv6`. What
/// names no address is listened to on all of IPv4, and with `enable_ipv6` on all of IPv6.
pub(super) fn read(section: &Object<'_>) -> Vec<SocketAddr> {
    // Unlike in APISIX, it has to be asked for: not every machine has IPv6, and a
    // gateway that listens where nobody asked it to is a surprise.
    let ipv6 = section.read("enable_ipv6", At::boolean).unwrap_or(false);
    let mut listens = Listens {
        ipv6,
        addresses: Vec::new(),
    };
    match section.get("node_listen") {
        None => listens.add_port(DEFAULT_PORT),
        Some(at) => match at.value() {
            Value::Array(_) => listens.read_list(&at),
            _ => listens.read_one(&at),
        },
    }
    listens.addresses
}

struct Listens {
    ipv6: bool,
    addresses: Vec<SocketAddr>,
}

impl Listens {
    fn read_list(&mut self, at: &At<'_>) {
        let items = at.items().into_iter().flatten();
        let mut empty = true;
        for item in items {
            self.read_one(&item);
            empty = false;
        }
        if empty {
            at.fault("expect array to have at least 1 items");
        }
    }

    fn read_one(&mut self, at: &At<'_>) {
        let before = self.addresses.len();
        match at.value() {
            Value::Number(_) => {
                if let Some(port) = read_port(at) {
                    self.add_port(port);
                }
            }
            Value::Object(_) => self.read_object(at),
            _ => {
                at.wrong_type::<()>("port or object");
            }
        }
        let (earlier, new) = self.addresses.split_at(before);
        let twice = new
            .iter()
            .find(|address| address.port() != 0 && earlier.contains(address));
        if let Some(address) = twice {
            at.fault(format!("{address} is listened to already"));
        }
    }

    fn read_object(&mut self, at: &At<'_>) {
        let Some(object) = at.object() else { return };
        let port = match object.get("port") {
            Some(at) => read_port(&at),
            None => Some(DEFAULT_PORT),
        };
        let ip = object.get("ip").map(|at| read_ip(&at));
        if let Some(at) = object.get("enable_http2")
            && at.boolean() == Some(true)
        {
            at.fault("HTTP/2 is not supported yet: set it to false");
        }
        object.finish();
        match (port, ip) {
            (Some(port), Some(Some(ip))) => self.addresses.push(SocketAddr::new(ip, port)),
            (Some(port), None) => self.add_port(port),
            _ => {}
        }
    }

    fn add_port(&mut self, port: u16) {
        self.addresses.push((Ipv4Addr::UNSPECIFIED, port).into());
        if self.ipv6 {
            self.addresses.push((Ipv6Addr::UNSPECIFIED, port).into());
        }
    }
}

/// A port; 0 is one that the system chooses.
pub(super) fn read_port(at: &At<'_>) -> Option<u16> {
    u16::try_from(at.integer(0..=65535)?).ok()
}

/// An address; one of IPv6 may stand in brackets.
pub(super) fn read_ip(at: &At<'_>) -> Option<IpAddr> {
    let text = at.string()?;
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let ip = inside.unwrap_or(text).parse().ok();
    if ip.is_none() {
        at.fault("expected an IP address");
    }
    ip
}
