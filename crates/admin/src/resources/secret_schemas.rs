//! The schemas of secret managers, with APISIX's rules.

use std::sync::LazyLock;

use outrigger_model::schema::Schema;
use serde_json::{Value, json};

/// The schema of the settings of a manager; none if there is no such manager.
pub(super) fn schema_of_manager(manager: &str) -> Option<&'static Schema> {
    static ALL: LazyLock<[(&str, Schema); 3]> = LazyLock::new(|| {
        [("vault", vault()), ("aws", aws()), ("gcp", gcp())].map(|(name, json)| {
            let schema = Schema::new(json).expect("schemas of secret managers are tested");
            (name, schema)
        })
    });
    let found = ALL.iter().find(|(name, _)| *name == manager)?;
    Some(&found.1)
}

fn text() -> Value {
    json!({"type": "string"})
}

fn uri() -> Value {
    json!({
        "type": "string",
        "pattern": "^[^\\/]+:\\/\\/([\\da-zA-Z.-]+|\\[[\\da-fA-F:]+\\])(:\\d+)?",
    })
}

fn vault() -> Value {
    json!({
        "type": "object",
        "properties": {
            "uri": uri(),
            "prefix": text(),
            "token": text(),
            "namespace": text(),
        },
        "required": ["uri", "prefix", "token"],
    })
}

fn aws() -> Value {
    json!({
        "type": "object",
        "properties": {
            "access_key_id": text(),
            "secret_access_key": text(),
            "session_token": text(),
            "region": {"type": "string", "default": "us-east-1"},
            "endpoint_url": uri(),
        },
        "required": ["access_key_id", "secret_access_key"],
    })
}

fn gcp() -> Value {
    json!({
        "type": "object",
        "properties": {
            "auth_config": {
                "type": "object",
                "properties": {
                    "client_email": text(),
                    "private_key": text(),
                    "project_id": text(),
                    "token_uri": {
                        "type": "string", "default": "https://oauth2.googleapis.com/token",
                    },
                    "scopes": {
                        "type": "string",
                        "default": "https://www.googleapis.com/auth/cloud-platform",
                    },
                    "entries_uri": {
                        "type": "string", "default": "https://secretmanager.googleapis.com/v1/",
                    },
                },
                "required": ["client_email", "private_key", "project_id", "token_uri"],
            },
            "ssl_verify": {"type": "boolean", "default": true},
            "auth_file": text(),
        },
        "oneOf": [{"required": ["auth_config"]}, {"required": ["auth_file"]}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manager_has_a_schema_that_says_what_lacks() {
        let said = |manager: &str, conf: Value| {
            let schema = schema_of_manager(manager).unwrap();
            let fault = schema.check(&conf).err();
            fault.map(|it| it.in_words()).unwrap_or_default()
        };
        let vault = |uri: &str| json!({"uri": uri, "prefix": "p", "token": "t"});
        assert_eq!(said("vault", vault("http://127.0.0.1:8200")), "");
        assert_eq!(said("vault", vault("https://[::1]:8200/x")), "");
        assert!(said("vault", vault("vault")).contains("failed to match pattern"));
        assert_eq!(
            said("vault", json!({"uri": "http://v"})),
            "property \"prefix\" is required"
        );
        assert_eq!(
            said("aws", json!({"access_key_id": "a"})),
            "property \"secret_access_key\" is required"
        );
        assert_eq!(said("gcp", json!({"auth_file": "/f"})), "");
        assert_ne!(said("gcp", json!({})), "");
        assert!(schema_of_manager("azure").is_none());
    }
}
