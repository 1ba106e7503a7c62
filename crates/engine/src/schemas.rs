//! What configurations of a plugin look like, as JSON schemas: one truth for those
//! who write one and for the plugin that reads it.

use std::sync::LazyLock;

use outrigger_model::schema::{BadSchema, Schema};
use serde_json::{Value, json};

/// The schemas of one plugin.
#[derive(Debug)]
pub struct Schemas {
    /// Of what it does with requests.
    pub requests: Schema,
    /// Of what it knows a consumer by: it is an authentication plugin.
    pub consumer: Option<Schema>,
    /// Of what is configured once for all its configurations.
    pub metadata: Option<Schema>,
}

impl Schemas {
    /// Reads `schema`, `consumer_schema` and `metadata_schema`, as APISIX lists them for
    /// each plugin. The first gets `_meta`, which every plugin has.
    ///
    /// # Errors
    /// A schema that cannot be read.
    pub fn new(mut all: Value) -> Result<Self, BadSchema> {
        let mut requests = all["schema"].take();
        requests["$comment"] = json!("this is a mark for our injected plugin schema");
        requests["properties"]["_meta"] = META.json().clone();
        let optional = |schema: Value| match schema {
            Value::Null => Ok(None),
            schema => Schema::new(schema).map(Some),
        };
        Ok(Self {
            requests: Schema::new(requests)?,
            consumer: optional(all["consumer_schema"].take())?,
            metadata: optional(all["metadata_schema"].take())?,
        })
    }

    /// Those of a plugin that takes any configuration.
    pub(crate) fn any() -> &'static Self {
        static ANY: LazyLock<Schemas> = LazyLock::new(|| {
            let schemas = Schemas::new(json!({"schema": {"type": "object"}}));
            schemas.expect("nothing is wrong with it")
        });
        &ANY
    }
}

/// The schema of `_meta`.
pub(crate) static META: LazyLock<Schema> = LazyLock::new(|| {
    let schema = json!({
        "type": "object",
        "properties": {
            "disable": {"type": "boolean"},
            "error_response": {"oneOf": [{"type": "string"}, {"type": "object"}]},
            "priority": {
                "description": "where the plugin stands among the others of its phase",
                "type": "integer",
            },
            "filter": {
                "description": "for which requests the plugin runs",
                "type": "array",
                "maxItems": 20,
            },
            "pre_function": {
                "description": "Lua to be run before the plugin; not supported",
                "type": "string",
            },
        },
        "additionalProperties": false,
    });
    Schema::new(schema).expect("nothing is wrong with it")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_has_meta_and_the_schemas_that_are_given() {
        let schemas = Schemas::new(json!({
            "schema": {"type": "object"},
            "consumer_schema": {"required": ["key"]},
        }))
        .unwrap();
        let disabled = json!({"_meta": {"disable": 1}});
        assert_eq!(
            schemas.requests.check(&disabled).unwrap_err().to_string(),
            "_meta.disable: wrong type: expected boolean, got number"
        );
        assert!(schemas.consumer.unwrap().check(&json!({})).is_err());
        assert!(schemas.metadata.is_none());
        assert!(Schemas::any().requests.check(&json!({"a": 1})).is_ok());
    }
}
