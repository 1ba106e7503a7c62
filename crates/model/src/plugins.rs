//! The configurations of plugins, as they were written.

use std::fmt;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::read::At;

/// The `plugins` of a resource: each plugin's configuration by its name, in the
/// order of the document. Every configuration is a JSON object; what it means is
/// for the plugin to say.
#[derive(Clone, Default, PartialEq)]
pub struct PluginConfs(IndexMap<String, Value>);

impl PluginConfs {
    /// The configuration of one plugin; always an object.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, conf)| (name.as_str(), conf))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves one out.
    pub fn remove(&mut self, name: &str) {
        self.0.shift_remove(name);
    }

    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object_or_empty_array()?;
        let mut confs = IndexMap::new();
        for (name, conf) in object.entries() {
            if !conf.value().is_object() {
                conf.wrong_type::<()>("object");
            }
            confs.insert(name.to_owned(), conf.value().clone());
        }
        Some(Self(confs))
    }
}

impl FromIterator<(String, Map<String, Value>)> for PluginConfs {
    fn from_iter<I: IntoIterator<Item = (String, Map<String, Value>)>>(confs: I) -> Self {
        let confs = confs.into_iter();
        Self(
            confs
                .map(|(name, conf)| (name, Value::Object(conf)))
                .collect(),
        )
    }
}

/// Shows names only: configurations hold secrets.
impl fmt::Debug for PluginConfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
