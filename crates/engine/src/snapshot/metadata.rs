//! What plugins are told once for all of their configurations.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use outrigger_model::{Id, Invalid, Kind, Place, PluginMetadata, Resources};
use serde_json::Value;

use super::compiler::Compiler;
use crate::plugin::Told;

/// By the plugin's name.
#[derive(Default)]
pub(super) struct AllTold(HashMap<Id, (Arc<PluginMetadata>, Told)>);

impl fmt::Debug for AllTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl AllTold {
    pub(super) fn get<T: 'static>(&self, plugin: &str) -> Option<&T> {
        let (_, told) = self.0.get(plugin)?;
        told.downcast_ref()
    }
}

impl Compiler<'_> {
    /// Has each plugin read what it is told; what did not change stays as it was read.
    /// What is told to nobody is reported.
    pub(super) fn metadata(
        &self,
        resources: &Resources,
        previous: &AllTold,
        invalid: &mut Vec<Invalid>,
    ) -> AllTold {
        let mut all = AllTold::default();
        for metadata in &resources.plugin_metadata {
            let before = previous.0.get(&metadata.id);
            let before = before.filter(|_| !self.is_other_registry);
            let read = match before {
                Some((same, told)) if Arc::ptr_eq(same, metadata) || same == metadata => {
                    Ok(Arc::clone(told))
                }
                _ => self
                    .registry
                    .get(metadata.id.as_str())
                    .and_then(|factory| factory.metadata(&Value::Object(metadata.conf.clone()))),
            };
            match read {
                Ok(told) => {
                    let id = metadata.id.clone();
                    all.0.insert(id, (Arc::clone(metadata), told));
                }
                Err(fault) => invalid.push(Invalid {
                    at: Place {
                        kind: Kind::PluginMetadata,
                        id: metadata.id.clone(),
                        path: fault.path,
                    },
                    message: fault.message,
                }),
            }
        }
        all
    }
}
