//! The list `plugins` of `apisix.yaml`: the plugins that its resources may use.
//!
//! In APISIX it takes the place of the list in `config.yaml`. Here both hold, where
//! both are there: what the operator has switched off stays off.

use outrigger_model::Kind;
use outrigger_model::read::{At, Object};

/// The key.
pub(super) const PLUGINS: &str = "plugins";

/// Reads the list, if there is one, and reports every plugin in resources that is not
/// in it.
pub(super) fn check(document: &Object<'_>) {
    let Some(listed) = document.read(PLUGINS, names) else {
        return;
    };
    for kind in Kind::ALL {
        // They stand among the consumers.
        if kind == Kind::Credential {
            continue;
        }
        // What is no list of objects is reported by whoever reads the resources.
        let Some(all) = document.get(kind.plural()) else {
            continue;
        };
        if !all.value().is_array() {
            continue;
        }
        for resource in all.items().into_iter().flatten() {
            check_resource(&resource, &listed);
        }
    }
}

fn check_resource(resource: &At<'_>, listed: &[String]) {
    if !resource.value().is_object() {
        return;
    }
    let Some(resource) = resource.object() else {
        return;
    };
    let Some(plugins) = resource.get("plugins") else {
        return;
    };
    if !plugins.value().is_object() {
        return;
    }
    for (name, conf) in plugins.object().iter().flat_map(Object::entries) {
        if !listed.iter().any(|known| known == name) {
            conf.fault(format!(
                "the plugin [{name}] is switched off: it is not in the list `plugins` of this file"
            ));
        }
    }
}

/// The names, but for plugins of stream routes, which there are none of.
fn names(at: &At<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for item in at.items()? {
        let Some(item) = item.object() else { continue };
        let name = item.require("name").and_then(|at| at.string());
        let of_streams = item.read("stream", At::boolean).unwrap_or(false);
        if let Some(name) = name.filter(|_| !of_streams) {
            names.push(name.to_owned());
        }
        item.finish();
    }
    Some(names)
}
