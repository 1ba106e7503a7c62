//! The section `deployment`: where resources come from.

use std::path::Path;

use outrigger_model::read::Object;

use super::Source;
use super::foreign::{self, Notes};

/// The file beside `config.yaml` that holds the resources.
const RESOURCES: &str = "apisix.yaml";

const ROLES: [&str; 4] = ["traditional", "control_plane", "data_plane", "standalone"];
const PROVIDERS: [&str; 5] = ["control_plane", "etcd", "json", "xds", "yaml"];

/// What there is to choose as yet.
const INSTEAD: &str = "use `role: data_plane` and `role_data_plane: {config_provider: yaml}`, \
                       and write the resources into apisix.yaml beside this file";

/// None if there is a fault.
pub(super) fn read(root: &Object<'_>, folder: &Path, notes: &Notes) -> Option<Source> {
    root.section("deployment", |section| {
        foreign::sort_out(section, foreign::DEPLOYMENT, notes);
        let provider = section.section("role_data_plane", |role| {
            role.read("config_provider", |at| {
                Some((at.path(), at.one_of(&PROVIDERS)?))
            })
        });
        let role = match section.get("role") {
            Some(at) => at.one_of(&ROLES)?,
            // APISIX's default.
            None => "traditional",
        };
        let fault = |key, message: String| match section.get(key) {
            Some(at) => at.fault(message),
            None => section.at().fault(message),
        };
        match (role, provider) {
            ("data_plane", Some((_, "yaml"))) => Some(Source::Yaml {
                path: folder.join(RESOURCES),
            }),
            ("data_plane", Some((_, provider))) => {
                let message = format!("the provider {provider:?} is not available yet: {INSTEAD}");
                fault("role_data_plane", message);
                None
            }
            ("data_plane", None) => {
                fault(
                    "role_data_plane",
                    format!("a config_provider is required: {INSTEAD}"),
                );
                None
            }
            _ => {
                fault(
                    "role",
                    format!("the role {role:?} is not available yet: {INSTEAD}"),
                );
                None
            }
        }
    })
}
