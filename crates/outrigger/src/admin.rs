//! The Admin API of this gateway: where it listens, its keys, its plugins.

use std::collections::HashSet;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outrigger_admin::api::{self, Access, Key, Role};
use outrigger_admin::control::{Answer, Control};
use outrigger_admin::{Catalogue, PluginInfo, PluginUse};
use outrigger_config::references::{self, Masks};
use outrigger_config::store::{Inventory, Key as ResourceKey, Store};
use outrigger_config::{AdminApi, AdminKey, AdminRole};
use outrigger_engine::plugin::{Owner, Registry};
use outrigger_model::schema::Schema;
use outrigger_model::{Fault, Faults, Kind};
use serde_json::Value;

use crate::Failure;
use crate::source::{self, Live, env};

/// What keys of resources begin with in answers where no etcd has them (APISIX's
/// default).
pub(crate) const PREFIX: &str = "/apisix";

/// How long a change may take to be in effect before it is answered all the same.
const APPLY: Duration = Duration::from_secs(1);

/// The file in the data folder with the key that was made up.
const KEY_FILE: &str = "admin.key";

/// Random bytes of such a key.
const KEY_BYTES: usize = 16;

/// The Admin API on `store`, for what is configured in `settings`. Keys of resources
/// begin with `prefix` in answers.
///
/// # Errors
/// A key that was made up cannot be kept.
pub(crate) fn api(
    settings: &AdminApi,
    data_dir: &Path,
    prefix: &str,
    store: Arc<dyn Store>,
    live: &Arc<Live>,
    control: Arc<dyn Control>,
) -> Result<api::AdminApi, Failure> {
    let keys = match settings.key_required {
        true => Some(keys(&settings.keys, data_dir)?),
        false => {
            tracing::warn!(
                "the Admin API asks for no key (deployment.admin.admin_key_required): \
                 whoever reaches {} can change everything",
                settings.listen
            );
            None
        }
    };
    Ok(api::AdminApi {
        access: Access {
            keys,
            addresses: settings.allow.clone(),
        },
        store,
        catalogue: Arc::clone(live.catalogue()),
        gateway: running(live, control),
        seal: Arc::clone(live.seal()),
        env,
        whole: None,
        prefix: prefix.to_owned(),
        cors: settings.cors,
    })
}

/// These plugins as the Admin API knows them.
///
/// # Errors
/// A plugin's schema cannot be read, which is a defect of the plugin.
pub(crate) fn catalogue(registry: &Arc<Registry>) -> Result<Arc<Catalogue>, Failure> {
    let infos = registry.names().filter_map(|name| {
        let factory = registry.get(name).ok()?;
        let schemas = factory.schemas();
        let json = |schema: &Schema| schema.json().clone();
        Some(PluginInfo {
            name: name.to_owned(),
            priority: factory.priority(),
            is_auth: schemas.consumer.is_some(),
            schema: json(&schemas.requests),
            consumer_schema: schemas.consumer.as_ref().map(json),
            metadata_schema: schemas.metadata.as_ref().map(json),
        })
    });
    let judge = {
        let registry = Arc::clone(registry);
        move |name: &str, conf: &Value, what_for: PluginUse, key: &ResourceKey| {
            judge(&registry, name, conf, what_for, key)
        }
    };
    Ok(Catalogue::new(infos.collect(), judge)?)
}

/// What the plugin itself says of a configuration.
fn judge(
    registry: &Registry,
    name: &str,
    conf: &Value,
    what_for: PluginUse,
    key: &ResourceKey,
) -> Result<(), Fault> {
    let factory = registry.get(name)?;
    let meant = &*references::resolve_conf(conf, &env).map_err(Faults::into_first)?;
    let credential = match what_for {
        PluginUse::Consumer => factory.credential(meant),
        PluginUse::Requests => None,
    };
    let judged = match (credential, owner(key)) {
        (Some(credential), _) => credential.map(drop),
        (None, Some(owner)) => registry.check(name, meant, &owner),
        (None, None) => Ok(()),
    };
    judged.map_err(|fault| Fault {
        message: Masks::of(conf, &env).hide(fault.message),
        ..fault
    })
}

/// Whose plugin it is, as far as the engine knows such resources.
fn owner(key: &ResourceKey) -> Option<Owner> {
    // Credentials run no plugins.
    let mut kinds = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Credential);
    Some(Owner {
        kind: kinds.find(|kind| kind.plural() == key.collection())?,
        id: key.id().parse().ok()?,
    })
}

/// The gateway, as whoever changes its resources sees it.
pub(crate) fn running(live: &Arc<Live>, control: Arc<dyn Control>) -> Arc<dyn api::Gateway> {
    Arc::new(Running {
        live: Arc::clone(live),
        control,
    })
}

/// The gateway, seen from the Admin API.
struct Running {
    live: Arc<Live>,
    control: Arc<dyn Control>,
}

impl api::Gateway for Running {
    fn try_out(&self, next: &Inventory, key: &ResourceKey) -> Result<(), String> {
        source::try_out(&self.live, next, key)
    }

    fn try_out_all(
        &self,
        next: &Inventory,
        written: &HashSet<ResourceKey>,
    ) -> Result<(), Vec<(ResourceKey, String)>> {
        source::try_out_all(&self.live, next, written)
    }

    fn applied(&self, revision: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut changes = self.live.changes();
            let applied = changes.wait_for(|resources| resources.revision() >= revision);
            // Neither a change that takes long nor a gateway that is stopping
            // makes the change undone.
            let _ = tokio::time::timeout(APPLY, applied).await;
        })
    }

    fn reload(&self) -> Answer<'_, Result<(), String>> {
        self.control.reload()
    }
}

/// The keys that let in; if none is configured, one that was made up and is kept.
fn keys(configured: &[AdminKey], data_dir: &Path) -> Result<Vec<Key>, Failure> {
    if configured.is_empty() {
        let secret = kept_key(&data_dir.join(KEY_FILE))?;
        let role = Role::Admin;
        return Ok(vec![Key { secret, role }]);
    }
    let key = |key: &AdminKey| Key {
        secret: key.key.clone(),
        role: match key.role {
            AdminRole::Admin => Role::Admin,
            AdminRole::Viewer => Role::Viewer,
        },
    };
    Ok(configured.iter().map(key).collect())
}

#[allow(
    clippy::print_stderr,
    reason = "the one time that the key is shown is not one for the log"
)]
fn kept_key(file: &Path) -> Result<String, Failure> {
    let failed = |error| {
        format!(
            "cannot keep a key for the Admin API in {}: {error}; \
             set deployment.admin.admin_key, or outrigger.data_dir",
            file.display()
        )
    };
    match std::fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => {
            tracing::info!("Admin API: the key is in {}", file.display());
            return Ok(text.trim().to_owned());
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error).into()),
    }
    let bytes: [u8; KEY_BYTES] = rand::random();
    let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let write = || {
        if let Some(folder) = file.parent() {
            let mut private = std::fs::DirBuilder::new();
            private.mode(0o700).recursive(true).create(folder)?;
        }
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        writeln!(options.open(file)?, "{key}")
    };
    write().map_err(failed)?;
    tracing::warn!(
        "Admin API: no key is configured (deployment.admin.admin_key); \
         a random one was made and is kept in {}",
        file.display()
    );
    eprintln!("The key of the Admin API, shown this once: {key}");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_that_was_made_up_is_kept_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = keys(&[], &data).unwrap();
        let again = keys(&[], &data).unwrap();
        assert_eq!(first[0].secret.len(), 2 * KEY_BYTES);
        assert_eq!(first[0].secret, again[0].secret);
        let file = data.join(KEY_FILE);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(first[0].secret, keys(&[], other.path()).unwrap()[0].secret);
    }
}
