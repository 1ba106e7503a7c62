//! Clients behind proxies: the keys `real_ip_*` of `nginx_config.http`.

use http::HeaderName;
use outrigger_model::Cidr;
use outrigger_model::read::{At, Object};

use super::foreign::Notes;

/// Proxies that are believed about their clients' addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealIp {
    /// The header in which a proxy tells its client's address.
    pub header: HeaderName,
    /// The addresses of the proxies.
    pub from: Vec<Cidr>,
    /// Whether the header's last address that is no proxy's counts, instead of
    /// the last.
    pub recursive: bool,
}

/// APISIX's default.
const HEADER: HeaderName = HeaderName::from_static("x-real-ip");

/// None where no proxy is named.
pub(super) fn read(http: &Object<'_>, notes: &Notes) -> Option<RealIp> {
    let at_header = http.get("real_ip_header");
    let at_recursive = http.get("real_ip_recursive");
    let from = http.read("real_ip_from", read_proxies).unwrap_or_default();
    let header = at_header.as_ref().and_then(read_header);
    let recursive = at_recursive.as_ref().and_then(read_switch);
    if from.is_empty() {
        for at in at_header.iter().chain(&at_recursive) {
            notes.add(at, "has no effect: real_ip_from names no proxy");
        }
        return None;
    }
    Some(RealIp {
        header: header.unwrap_or(HEADER),
        from,
        recursive: recursive.unwrap_or(false),
    })
}

/// Addresses and ranges. `unix:`, which APISIX has among its defaults, is a
/// kind of listener that there is none of.
fn read_proxies(at: &At<'_>) -> Option<Vec<Cidr>> {
    let items = at.items()?.filter(|item| item.value() != "unix:");
    Some(
        items
            .filter_map(|item| item.accept(item.string()?.parse()))
            .collect(),
    )
}

fn read_header(at: &At<'_>) -> Option<HeaderName> {
    let name = at.string()?;
    if name == "proxy_protocol" {
        at.fault("the PROXY protocol is not supported yet: name a header");
        return None;
    }
    let header = HeaderName::from_bytes(name.as_bytes()).ok();
    if header.is_none() {
        at.fault("expected the name of a header");
    }
    header
}

fn read_switch(at: &At<'_>) -> Option<bool> {
    if at.value().is_boolean() {
        return at.boolean();
    }
    Some(at.one_of(&["on", "off"])? == "on")
}
