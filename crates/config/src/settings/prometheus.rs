//! `plugin_attr.prometheus`: where metrics are handed out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use outrigger_model::read::{At, Object};

use super::foreign::{self, Notes};
use super::listen::{read_ip, read_port};

/// APISIX's port.
const DEFAULT_PORT: u16 = 9091;

/// APISIX's path.
const DEFAULT_PATH: &str = "/apisix/prometheus/metrics";

/// Where metrics are handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsExport {
    /// The address; port 0 is one that the system chooses.
    pub address: SocketAddr,
    /// Whether somebody asked for this address. Otherwise the gateway does
    /// without where the address cannot be had.
    pub explicit: bool,
    /// The path; it begins with a slash.
    pub path: String,
}

impl Default for MetricsExport {
    fn default() -> Self {
        MetricsExport {
            address: (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(),
            explicit: false,
            path: DEFAULT_PATH.to_owned(),
        }
    }
}

/// Reads the section; none if metrics are not handed out.
pub(super) fn read(section: &Object<'_>, notes: &Notes) -> Option<MetricsExport> {
    let on = section.read("enable_export_server", At::boolean);
    let path = section.read("export_uri", read_path);
    let explicit = section.get("export_addr").is_some();
    let address = section.section("export_addr", |address| {
        let ip = address.read("ip", read_ip);
        let port = address.read("port", read_port);
        SocketAddr::new(
            ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port.unwrap_or(DEFAULT_PORT),
        )
    });
    foreign::sort_out(section, foreign::PROMETHEUS, notes);
    on.unwrap_or(true).then(|| MetricsExport {
        address,
        explicit,
        path: path.unwrap_or_else(|| DEFAULT_PATH.to_owned()),
    })
}

/// A path as a client asks for it.
fn read_path(at: &At<'_>) -> Option<String> {
    let path = at.string()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    if !path.starts_with('/') || !path.bytes().all(plain) {
        at.fault("expected a path such as /metrics, of letters, digits and -_.~/");
        return None;
    }
    Some(path.to_owned())
}
