//! `deployment.admin`: where the Admin API listens, and who may use it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use outrigger_model::read::{At, Object};
use outrigger_model::{BadIdentity, CertificateDer, Cidr, Identity, certificates};

use super::foreign::{self, Notes};
use super::listen::{read_ip, read_port};
use crate::watch::read_file;

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
    /// Set where it speaks TLS.
    pub tls: Option<AdminTls>,
}

/// How the Admin API speaks TLS.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminTls {
    /// What it shows.
    pub identity: Identity,
    /// Who has to vouch for clients; none if they need show nothing. Not empty.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
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
pub(super) fn read(section: &Object<'_>, folder: &Path, notes: &Notes) -> AdminApi {
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
        tls: read_tls(section, folder, notes),
    }
}

/// `https_admin`, with `admin_api_mtls`.
fn read_tls(section: &Object<'_>, folder: &Path, notes: &Notes) -> Option<AdminTls> {
    let https = section.get("https_admin");
    let https = https.filter(|at| at.boolean() == Some(true));
    let enabled = https.is_some();
    let Some(at) = section.get("admin_api_mtls") else {
        if let Some(https) = https {
            https.fault("needs admin_api_mtls.admin_ssl_cert and admin_ssl_cert_key");
        }
        return None;
    };
    let object = at.object()?;
    let file = |key| {
        let at = object.get(key)?;
        let name = at.string()?;
        // An empty name is as good as none: APISIX's default is one.
        (!name.is_empty()).then_some((at, folder.join(name)))
    };
    let keys = ["admin_ssl_cert", "admin_ssl_cert_key"];
    let [certificate, key, ca] = [keys[0], keys[1], "admin_ssl_ca_cert"].map(file);
    let asks = certificate.is_some() || key.is_some() || ca.is_some();
    if !enabled {
        object.finish();
        if asks {
            notes.add(&at, "has no effect: https_admin is false");
        }
        return None;
    }
    let missing = [(keys[0], &certificate), (keys[1], &key)];
    for (name, _) in missing.iter().filter(|(_, file)| file.is_none()) {
        at.fault(format!("property {name:?} is required with https_admin"));
    }
    object.finish();
    let authorities = match ca {
        None => None,
        Some((at, path)) => {
            let found = certificates(&read_pem(&at, &path)?);
            if found.is_none() {
                at.fault(format!("{}: expected certificates in PEM", path.display()));
            }
            Some(found?)
        }
    };
    let ((certificate_at, certificate), (key_at, key)) = certificate.zip(key)?;
    let chain = read_pem(&certificate_at, &certificate);
    let identity = Identity::from_pem(&chain?, &read_pem(&key_at, &key)?);
    let (to_blame, file) = match &identity {
        Err(BadIdentity::Certificate) => (certificate_at, certificate),
        _ => (key_at, key),
    };
    let identity = identity.map_err(|error| format!("{}: {error}", file.display()));
    Some(AdminTls {
        identity: to_blame.accept(identity)?,
        authorities,
    })
}

fn read_pem(at: &At<'_>, path: &Path) -> Option<String> {
    let text = read_file(path);
    at.accept(text.map_err(|error| format!("{}: {error}", path.display())))
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
