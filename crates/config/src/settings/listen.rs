//! `apisix.node_listen` and `apisix.ssl.listen`: where clients are listened to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use outrigger_model::read::{At, Object};
use serde_json::Value;

/// APISIX's port where none is given.
const DEFAULT_PORT: u16 = 9080;

/// The same, over TLS.
const DEFAULT_TLS_PORT: u16 = 9443;

/// Where clients are listened to, and what they may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 is one that the system chooses.
    pub address: SocketAddr,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Whether HTTP/2 may be spoken; without TLS by clients that know it may.
    pub http2: bool,
}

/// Reads `node_listen` (a port, an object, or a list of either), `listen` of the section
/// `ssl` where there is one and it is switched on, `enable_http2` and `enable_ipv6`. What names no address is listened
/// to on all of IPv4, and with `enable_ipv6` on all of IPv6.
pub(super) fn read(section: &Object<'_>, ssl: Option<&Object<'_>>) -> Vec<Listen> {
    let flag = |key, default| section.read(key, At::boolean).unwrap_or(default);
    let mut listens = Listens {
        // Unlike in APISIX, it has to be asked for: not every machine has IPv6, and a
        // gateway that listens where nobody asked it to is a surprise.
        ipv6: flag("enable_ipv6", false),
        http2: flag("enable_http2", true),
        tls: false,
        default_port: DEFAULT_PORT,
        listens: Vec::new(),
    };
    listens.read(section.get("node_listen"));
    if let Some(ssl) = ssl {
        listens.tls = true;
        listens.default_port = DEFAULT_TLS_PORT;
        listens.read(ssl.get("listen"));
    }
    listens.listens
}

struct Listens {
    ipv6: bool,
    http2: bool,
    tls: bool,
    default_port: u16,
    listens: Vec<Listen>,
}

impl Listens {
    fn read(&mut self, at: Option<At<'_>>) {
        match at {
            None => self.add_port(self.default_port, self.http2),
            Some(at) => match at.value() {
                Value::Array(_) => self.read_list(&at),
                _ => self.read_one(&at),
            },
        }
    }

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
        let before = self.listens.len();
        match at.value() {
            Value::Number(_) => {
                if let Some(port) = read_port(at) {
                    self.add_port(port, self.http2);
                }
            }
            Value::Object(_) => self.read_object(at),
            _ => {
                at.wrong_type::<()>("port or object");
            }
        }
        let (earlier, new) = self.listens.split_at(before);
        let known = |address| earlier.iter().any(|listen| listen.address == address);
        let mut new = new.iter().map(|listen| listen.address);
        if let Some(address) = new.find(|address| address.port() != 0 && known(*address)) {
            at.fault(format!("{address} is listened to already"));
        }
    }

    fn read_object(&mut self, at: &At<'_>) {
        let Some(object) = at.object() else { return };
        let port = match object.get("port") {
            Some(at) => read_port(&at),
            None => Some(self.default_port),
        };
        let ip = object.get("ip").map(|at| read_ip(&at));
        let http2 = object.read("enable_http2", At::boolean);
        let http2 = http2.unwrap_or(self.http2);
        if self.tls
            && let Some(at) = object.get("enable_http3")
            && at.boolean() == Some(true)
        {
            at.fault("HTTP/3 is not supported: set it to false");
        }
        object.finish();
        match (port, ip) {
            (Some(port), Some(Some(ip))) => self.add(SocketAddr::new(ip, port), http2),
            (Some(port), None) => self.add_port(port, http2),
            _ => {}
        }
    }

    fn add_port(&mut self, port: u16, http2: bool) {
        self.add((Ipv4Addr::UNSPECIFIED, port).into(), http2);
        if self.ipv6 {
            self.add((Ipv6Addr::UNSPECIFIED, port).into(), http2);
        }
    }

    fn add(&mut self, address: SocketAddr, http2: bool) {
        let tls = self.tls;
        self.listens.push(Listen {
            address,
            tls,
            http2,
        });
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
