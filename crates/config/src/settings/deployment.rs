//! The section `deployment`: where resources come from, and who changes them.

use std::path::{Path, PathBuf};

use outrigger_model::read::{At, Object};

use super::Source;
use super::admin::{self, AdminApi};
use super::etcd;
use super::foreign::{self, Notes};
use crate::apisix_yaml::Format;

/// The files beside `config.yaml` that hold the resources.
const YAML_FILE: &str = "apisix.yaml";
const JSON_FILE: &str = "apisix.json";

const ROLES: [&str; 4] = ["traditional", "control_plane", "data_plane", "standalone"];
const PROVIDERS: [&str; 5] = ["control_plane", "etcd", "json", "xds", "yaml"];

/// What there is to choose as yet.
const INSTEAD: &str = "use `role: traditional`, with an Admin API and a store of its own; or \
                       `role: data_plane` and `role_data_plane: {config_provider: yaml}`, and \
                       write the resources into apisix.yaml beside this file; or set \
                       `deployment.etcd`, and share an etcd with other gateways";

/// What to do where resources are to come from etcd, and nobody says where it is.
const NO_ETCD: &str = "deployment.etcd is required for this: say where etcd is, such as \
                       `etcd: {host: [\"http://127.0.0.1:2379\"]}`";

/// What the section says.
pub(super) struct Deployment {
    pub(super) source: Source,
    /// None where resources are not changed through the gateway.
    pub(super) admin: Option<AdminApi>,
    /// Whether clients' requests are served.
    pub(super) serves: bool,
}

/// None if there is a fault.
pub(super) fn read(root: &Object<'_>, folder: &Path, notes: &Notes) -> Option<Deployment> {
    root.section("deployment", |section| {
        let role = match section.get("role") {
            Some(at) => at.one_of(&ROLES),
            // APISIX's default.
            None => Some("traditional"),
        };
        match role {
            None => {
                // What is said of the other roles' sections would be beside the point.
                section.ignore(&["admin", "certs", "etcd"]);
                section.ignore(&["role_traditional", "role_control_plane", "role_data_plane"]);
                None
            }
            Some("traditional") => traditional(section, folder, notes),
            Some("control_plane") => control_plane(section, folder, notes),
            Some("data_plane") => data_plane(section, folder, notes),
            Some(role) => {
                fault(
                    section,
                    "role",
                    format!("the role {role:?} is not available yet: {INSTEAD}"),
                );
                foreign::sort_out(section, foreign::DATA_PLANE, notes);
                section.ignore(&["role_data_plane", "admin", "etcd"]);
                None
            }
        }
    })
}

fn traditional(section: &Object<'_>, folder: &Path, notes: &Notes) -> Option<Deployment> {
    foreign::sort_out(section, foreign::TRADITIONAL, notes);
    let provider = provider(section, "role_traditional");
    let admin = section.section("admin", |section| admin::read(section, folder, notes));
    if provider == Some("yaml") {
        foreign::sort_out(section, foreign::WITHOUT_ETCD, notes);
    }
    match provider {
        // Where nobody says where etcd is, the embedded store is in its place.
        None | Some("etcd") => Some(Deployment {
            source: match etcd::read(section, folder, notes)? {
                Some(etcd) => Source::Etcd(Box::new(etcd)),
                None => Source::Store,
            },
            admin: Some(admin),
            serves: true,
        }),
        // Not a file: APISIX's name for resources that are told through the Admin API.
        Some("yaml") => Some(Deployment {
            source: Source::Memory,
            admin: Some(admin),
            serves: true,
        }),
        Some(provider) => {
            section.ignore(&["etcd"]);
            fault(
                section,
                "role_traditional",
                format!("the provider {provider:?} is not available yet with this role: {INSTEAD}"),
            );
            None
        }
    }
}

/// The Admin API alone, on an etcd that data planes read.
fn control_plane(section: &Object<'_>, folder: &Path, notes: &Notes) -> Option<Deployment> {
    foreign::sort_out(section, foreign::CONTROL_PLANE, notes);
    let etcd = etcd::read(section, folder, notes);
    let admin = section.section("admin", |section| admin::read(section, folder, notes));
    section.section("role_control_plane", |role| {
        foreign::sort_out(role, foreign::ROLE_CONTROL_PLANE, notes);
        role.read("config_provider", |at: &At<'_>| at.one_of(&["etcd"]));
    });
    match etcd? {
        Some(etcd) => Some(Deployment {
            source: Source::Etcd(Box::new(etcd)),
            admin: Some(admin),
            serves: false,
        }),
        None => {
            fault(section, "role", NO_ETCD.to_owned());
            None
        }
    }
}

/// The file of a provider that is one.
pub(super) fn file_of(provider: &str, folder: &Path) -> Option<(PathBuf, Format)> {
    match provider {
        "yaml" => Some((folder.join(YAML_FILE), Format::Yaml)),
        "json" => Some((folder.join(JSON_FILE), Format::Json)),
        _ => None,
    }
}

fn data_plane(section: &Object<'_>, folder: &Path, notes: &Notes) -> Option<Deployment> {
    foreign::sort_out(section, foreign::DATA_PLANE, notes);
    let provider = provider(section, "role_data_plane");
    if provider == Some("etcd") {
        return match etcd::read(section, folder, notes)? {
            Some(etcd) => Some(Deployment {
                source: Source::Etcd(Box::new(etcd)),
                admin: None,
                serves: true,
            }),
            None => {
                fault(section, "role_data_plane", NO_ETCD.to_owned());
                None
            }
        };
    }
    foreign::sort_out(section, foreign::WITHOUT_ETCD, notes);
    if let Some((path, format)) = provider.and_then(|provider| file_of(provider, folder)) {
        return Some(file(path, format));
    }
    match provider {
        Some(provider) => {
            let message = format!("the provider {provider:?} is not available yet: {INSTEAD}");
            fault(section, "role_data_plane", message);
            None
        }
        None => {
            fault(
                section,
                "role_data_plane",
                format!("a config_provider is required: {INSTEAD}"),
            );
            None
        }
    }
}

fn file(path: PathBuf, format: Format) -> Deployment {
    Deployment {
        source: Source::File { path, format },
        admin: None,
        serves: true,
    }
}

fn provider<'a>(section: &Object<'a>, role: &'static str) -> Option<&'static str> {
    section.section(role, |role| {
        role.read("config_provider", |at: &At<'_>| at.one_of(&PROVIDERS))
    })
}

fn fault(section: &Object<'_>, key: &'static str, message: String) {
    match section.get(key) {
        Some(at) => at.fault(message),
        None => section.at().fault(message),
    }
}
