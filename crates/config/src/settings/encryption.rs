//! `apisix.data_encryption`: whether secrets are sealed, and with which keys.

use outrigger_model::read::{At, Object};
use serde_json::Value;

use crate::store::seal::{Keyring, Seal, SealKey, SecretFields};

/// How secrets are kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataEncryption {
    /// Whether they are sealed; `enable_encrypt_fields`.
    pub enabled: bool,
    /// The keys; `keyring`.
    pub keyring: Keyring,
}

impl Default for DataEncryption {
    /// APISIX's defaults.
    fn default() -> Self {
        Self {
            enabled: true,
            keyring: Keyring::default(),
        }
    }
}

impl DataEncryption {
    /// The seal of these settings, for documents with secrets in these fields.
    pub fn seal(&self, fields: SecretFields) -> Seal {
        let keyring = self.keyring.clone();
        match self.enabled {
            true => Seal::new(keyring, fields),
            false => Seal::off(keyring, fields),
        }
    }

    pub(super) fn read(apisix: &Object<'_>) -> Self {
        apisix.section("data_encryption", |section| {
            let enabled = section.read("enable_encrypt_fields", At::boolean);
            let keys = section.read("keyring", read_keys);
            let defaults = Self::default();
            Self {
                enabled: enabled.unwrap_or(defaults.enabled),
                keyring: keys.map_or(defaults.keyring, Keyring::new),
            }
        })
    }
}

/// One key, or several.
fn read_keys(at: &At<'_>) -> Option<Vec<SealKey>> {
    let key = |at: &At<'_>| at.accept(at.string()?.parse());
    match at.value() {
        Value::String(_) => Some(vec![key(at)?]),
        _ => {
            let items = at.unique_items_at_least_one()?;
            Some(items.filter_map(|at| key(&at)).collect())
        }
    }
}
