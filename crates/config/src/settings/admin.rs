//! `deployment.admin`: where the Admin API listens, and who may use it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use outrigger_model::Cidr;
use outrigger_model::read::{At, Object};

use super::foreign::{self, Notes};
use super::listen::{read_ip, read_port};

/// APISIX's port.
const DEFAULT_PORT: u16 = 9180;

/// The Admin API.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminApi {
    /// Where it listens; port 0 is one that the system chooses.
    pub listen: SocketAddr,
    /// The keys that let in; empty if none is configured.
    pub keys: Vec<AdminKey>,
    /// Whether a key is needed at all.
    pub key_required: bool,
    /// The addresses that may connect.
    pub allow: Vec<Cidr>,
    /// Whether web pages of other origins may use it, with a key.
    pub cors: bool,
}

/// A key of the Admin API.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminKey {
    /// Whose it is, in words.
    pub name: String,
    /// What is shown to be let in; not empty.
    pub key: String,
    /// What it lets do.
    pub role: AdminRole,
}

/// Does not show the key.
impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminKey")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// What a key of the Admin API lets do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminRole {
    /// Everything.
    Admin,
    /// Looking.
    Viewer,
}

/// Reads the section `admin`.
pub(super) fn read(section: &Object<'_>, notes: &Notes) -> AdminApi {
    foreign::sort_out(section, foreign::ADMIN, notes);
    let flag = |key, default| section.read(key, At::boolean).unwrap_or(default);
    let keys = section.read("admin_key", read_keys);
    let allow = section.read("allow_admin", |at| {
        let ranges = at.items()?;
        let read = |range: At<'_>| range.accept(range.string()?.parse());
        Some(ranges.filter_map(read).collect())
    });
    section.read("admin_api_version", |at| {
        let version = at.one_of(&["v2", "v3"])?;
        if version != "v3" {
            at.fault("only version v3 is supported");
        }
        Some(version)
    });
    AdminApi {
        listen: section.section("admin_listen", |listen| {
            let ip = listen.read("ip", read_ip);
            let port = listen.read("port", read_port);
            // Unlike in APISIX, where it is every address: who wants to be reached
            // from elsewhere says so.
            let ip = ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            SocketAddr::new(ip, port.unwrap_or(DEFAULT_PORT))
        }),
        keys: keys.unwrap_or_default(),
        key_required: flag("admin_key_required", true),
        allow: allow.unwrap_or_else(loopback),
        cors: flag("enable_admin_cors", true),
    }
}

/// Whoever the default may let in: APISIX's range, and IPv6's of the same meaning.
fn loopback() -> Vec<Cidr> {
    let ranges = ["127.0.0.0/24", "::1"];
    ranges
        .iter()
        .filter_map(|range| range.parse().ok())
        .collect()
}

/// Keys that are empty are as good as none: APISIX's default is one.
fn read_keys(at: &At<'_>) -> Option<Vec<AdminKey>> {
    let mut keys = Vec::new();
    for item in at.items()? {
        let Some(object) = item.object() else {
            continue;
        };
        let name = object.read("name", At::string).unwrap_or_default();
        let key = object.require("key").and_then(|at| {
            let key = at.string()?;
            if key.chars().any(|c| c.is_control() || c.is_whitespace()) {
                at.fault("expected a key without spaces and control characters");
            }
            Some(key)
        });
        let role = object.read("role", |at| at.one_of(&["admin", "viewer"]));
        object.finish();
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            keys.push(AdminKey {
                name: name.to_owned(),
                key: key.to_owned(),
                role: match role {
                    Some("viewer") => AdminRole::Viewer,
                    _ => AdminRole::Admin,
                },
            });
        }
    }
    Some(keys)
}
