//! Resources that say something to plugins alone.

use std::fmt;

use serde_json::{Map, Value};

use crate::described::Described;
use crate::read::{At, Null, read};
use crate::service::read_id;
use crate::{Faults, Id, Labels};

/// What a plugin is told once for all of its configurations.
#[derive(Clone, PartialEq)]
pub struct PluginMetadata {
    /// The plugin's name.
    pub id: Id,
    /// What it is told.
    pub conf: Map<String, Value>,
}

/// Shows the name alone: what a plugin is told may be secret.
impl fmt::Debug for PluginMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PluginMetadata({})", self.id)
    }
}

/// A definition of Protocol Buffers. No plugin here uses one.
#[derive(Debug, Clone, PartialEq)]
pub struct Proto {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Option<String>,
    /// What it is for, in words.
    pub desc: Option<String>,
    /// Its labels.
    pub labels: Labels,
    /// The definition, or a compiled one in base64.
    pub content: String,
}

impl PluginMetadata {
    /// Reads that of the plugin `id` from APISIX's JSON shape, or reports all that is wrong with it.
    pub fn from_json(json: &Value, id: &str) -> Result<Self, Faults> {
        read(json, Null::IsAValue, |at| {
            let id = at.accept(id.parse())?;
            Self::read_of(at, id)
        })
    }

    /// Reads one among the `plugin_metadata` of `apisix.yaml`.
    pub(crate) fn read_entry(at: &At<'_>) -> Option<Self> {
        let id = at.object()?.require("id").and_then(|at| Id::read(&at));
        Self::read_of(at, id?)
    }

    fn read_of(at: &At<'_>, id: Id) -> Option<Self> {
        let entries = at.object()?;
        let conf = entries.entries().filter(|(name, _)| *name != "id");
        Some(Self {
            id,
            conf: conf
                .map(|(name, at)| (name.to_owned(), at.value().clone()))
                .collect(),
        })
    }
}

impl Proto {
    /// Reads one from APISIX's JSON shape, or reports all that is wrong with it.
    pub fn from_json(json: &Value) -> Result<Self, Faults> {
        read(json, Null::IsAValue, |at| Self::read(at, None))
    }

    /// `given` is the id of a document that holds none.
    pub(crate) fn read(at: &At<'_>, given: Option<Id>) -> Option<Self> {
        let object = at.object()?;
        let id = read_id(&object, given);
        let Described { name, desc, labels } = Described::read(&object);
        let content = object.require("content");
        let content = content.and_then(|at| at.text(crate::limits::PROTO_CHARS));
        object.finish();
        Some(Self {
            id: id?,
            name,
            desc,
            labels,
            content: content?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_whatever_a_plugin_wants() {
        let json = json!({"id": "cors", "a": {"b": 1}});
        let metadata = PluginMetadata::from_json(&json, "cors").unwrap();
        assert_eq!(metadata.id.as_str(), "cors");
        assert_eq!(Value::Object(metadata.conf), json!({"a": {"b": 1}}));
        assert!(PluginMetadata::from_json(&json!([]), "cors").is_err());
    }

    #[test]
    fn a_proto_has_a_content() {
        let proto = Proto::from_json(&json!({"id": 1, "content": "x", "desc": "d"})).unwrap();
        assert_eq!((proto.id.as_str(), &*proto.content), ("1", "x"));
        let said = Proto::from_json(&json!({"id": 1})).unwrap_err();
        assert_eq!(said.to_string(), "property \"content\" is required");
    }
}
