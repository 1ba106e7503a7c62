//! Secret managers: where a `$secret://MANAGER/ID/…` would lead.

use std::fmt;

use serde_json::Value;

use crate::read::{At, Null, Object, read};
use crate::{Faults, Id};

/// A manager of secrets, and what lets the gateway in.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretManager {
    /// Its id, with the manager's name: `vault/1`.
    pub key: Id,
    /// How to ask it.
    pub settings: ManagerSettings,
}

/// How to ask a manager of secrets. A text may be a reference to the environment.
#[derive(Clone, PartialEq)]
pub enum ManagerSettings {
    /// HashiCorp Vault.
    Vault {
        /// Where it is.
        uri: String,
        /// The path of a key-value engine in it.
        prefix: String,
        /// Secret.
        token: String,
        /// The namespace of the engine.
        namespace: Option<String>,
    },
    /// Secrets Manager of AWS.
    Aws {
        /// Whose secret the next is.
        access_key_id: String,
        /// Secret.
        secret_access_key: String,
        /// Secret.
        session_token: Option<String>,
        /// The region; by default `us-east-1`.
        region: String,
        /// Where it is, if not where AWS says.
        endpoint_url: Option<String>,
    },
    /// Secret Manager of Google Cloud.
    Gcp {
        /// An object, or the name of a file that holds one.
        auth: GcpAuth,
        /// Whether certificates are verified.
        ssl_verify: bool,
    },
}

/// What Google Cloud lets the gateway in by.
#[derive(Clone, PartialEq)]
pub enum GcpAuth {
    /// `auth_config`, with all that has to be in it. Secret.
    Config(Value),
    /// The path of a file that holds it.
    File(String),
}

/// Shows the manager's name alone.
impl fmt::Debug for ManagerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vault { .. } => "Vault",
            Self::Aws { .. } => "Aws",
            Self::Gcp { .. } => "Gcp",
        })
    }
}

impl SecretManager {
    /// Reads one from APISIX's JSON shape, or reports all that is wrong with it. `key` is
    /// `MANAGER/ID`.
    pub fn from_json(json: &Value, key: &str) -> Result<Self, Faults> {
        read(json, Null::IsAValue, |at| {
            Self::read_of(at, parts(at, key)?)
        })
    }

    /// Reads one among the `secrets` of `apisix.yaml`, whose id has the manager's name.
    pub(crate) fn read_entry(at: &At<'_>) -> Option<Self> {
        let object = at.object()?;
        let id = object.require("id")?;
        let key = parts(&id, id.string()?)?;
        Self::read_of(at, key)
    }

    fn read_of(at: &At<'_>, (manager, id): (&'static str, Id)) -> Option<Self> {
        let object = at.object()?;
        object.ignore(&["id", "create_time", "update_time", "timeout"]);
        let settings = match manager {
            "vault" => read_vault(&object),
            "aws" => read_aws(&object),
            _ => read_gcp(&object),
        };
        object.finish();
        Some(Self {
            key: Id::of_secret(manager, &id),
            settings: settings?,
        })
    }
}

fn read_vault(object: &Object<'_>) -> Option<ManagerSettings> {
    let (uri, prefix, token) = (
        required(object, "uri"),
        required(object, "prefix"),
        required(object, "token"),
    );
    let namespace = text(object, "namespace");
    Some(ManagerSettings::Vault {
        uri: uri?,
        prefix: prefix?,
        token: token?,
        namespace,
    })
}

fn read_aws(object: &Object<'_>) -> Option<ManagerSettings> {
    let id = required(object, "access_key_id");
    let secret = required(object, "secret_access_key");
    let session_token = text(object, "session_token");
    let region = text(object, "region");
    let endpoint_url = text(object, "endpoint_url");
    Some(ManagerSettings::Aws {
        access_key_id: id?,
        secret_access_key: secret?,
        session_token,
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        endpoint_url,
    })
}

fn read_gcp(object: &Object<'_>) -> Option<ManagerSettings> {
    let config = object.read("auth_config", |at| {
        let config = at.object()?;
        let all = ["client_email", "private_key", "project_id", "token_uri"];
        let all = all.map(|key| required(&config, key));
        all.iter()
            .all(Option::is_some)
            .then(|| GcpAuth::Config(at.value().clone()))
    });
    let file = object.read("auth_file", |at| at.string().map(str::to_owned));
    let ssl_verify = object.read("ssl_verify", At::boolean);
    if object.get("auth_config").is_some() == object.get("auth_file").is_some() {
        let message = "expected either \"auth_config\" or \"auth_file\"";
        object.at().fault(message);
        return None;
    }
    Some(ManagerSettings::Gcp {
        auth: config.or(file.map(GcpAuth::File))?,
        ssl_verify: ssl_verify.unwrap_or(true),
    })
}

fn text(object: &Object<'_>, key: &'static str) -> Option<String> {
    object.read(key, |at| at.string().map(str::to_owned))
}

fn required(object: &Object<'_>, key: &'static str) -> Option<String> {
    let at = object.require(key)?;
    at.string().map(str::to_owned)
}

/// The manager and the id in a key.
fn parts(at: &At<'_>, key: &str) -> Option<(&'static str, Id)> {
    const MANAGERS: [&str; 3] = ["vault", "aws", "gcp"];
    let parts = key.split_once('/').and_then(|(manager, id)| {
        let known = MANAGERS.into_iter().find(|known| *known == manager)?;
        Some((known, id))
    });
    let Some((manager, id)) = parts else {
        at.fault("expected vault/ID, aws/ID or gcp/ID");
        return None;
    };
    Some((manager, at.accept(id.parse())?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(key: &str, json: Value) -> String {
        match SecretManager::from_json(&json, key) {
            Ok(read) => format!("{read:?}"),
            Err(faults) => faults.to_string(),
        }
    }

    #[test]
    fn each_manager_has_its_own_properties() {
        let vault = json!({"uri": "http://v", "prefix": "kv", "token": "hush"});
        assert_eq!(
            said("vault/1", vault.clone()),
            "SecretManager { key: Id(\"vault/1\"), settings: Vault }"
        );
        let read = SecretManager::from_json(&vault, "vault/1").unwrap();
        assert_eq!(read.key.as_str(), "vault/1");
        for (key, json, expected) in [
            (
                "vault/1",
                json!({"uri": 5, "tokn": "t"}),
                "property \"prefix\" is required; property \"token\" is required; \
                 uri: wrong type: expected string, got number; \
                 tokn: unknown property, did you mean \"token\"?",
            ),
            (
                "aws/a",
                json!({"access_key_id": "i"}),
                "property \"secret_access_key\" is required",
            ),
            (
                "gcp/g",
                json!({}),
                "expected either \"auth_config\" or \"auth_file\"",
            ),
            (
                "gcp/g",
                json!({"auth_config": {"client_email": "e", "private_key": "k", "project_id": "p"}}),
                "auth_config: property \"token_uri\" is required",
            ),
            ("azure/1", json!({}), "expected vault/ID, aws/ID or gcp/ID"),
            ("vault", json!({}), "expected vault/ID, aws/ID or gcp/ID"),
        ] {
            let mut said: Vec<_> = said(key, json).split("; ").map(str::to_owned).collect();
            let mut expected: Vec<_> = expected.split("; ").map(str::to_owned).collect();
            said.sort();
            expected.sort();
            assert_eq!(said, expected);
        }
        let file = said("gcp/g", json!({"auth_file": "/f", "ssl_verify": false}));
        assert!(file.contains("Gcp"), "{file}");
    }
}
