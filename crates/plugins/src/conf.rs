//! Reading a plugin's configuration.

use outrigger_model::{Fault, PropertyPath, Segment};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a configuration into its type.
///
/// # Errors
/// The [`Fault`] names the property that does not hold.
pub(crate) fn read<T: DeserializeOwned>(conf: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(conf).map_err(|error| {
        let path = error.path().iter().filter_map(segment).collect();
        Fault {
            path,
            message: error.into_inner().to_string(),
        }
    })
}

/// A fault of the property `path` leads to.
pub(crate) fn fault(path: PropertyPath, message: impl Into<String>) -> Fault {
    Fault {
        path,
        message: message.into(),
    }
}

fn segment(segment: &serde_path_to_error::Segment) -> Option<Segment> {
    match segment {
        serde_path_to_error::Segment::Seq { index } => Some(Segment::Index(*index)),
        serde_path_to_error::Segment::Map { key } => Some(Segment::Key(key.clone())),
        serde_path_to_error::Segment::Enum { variant } => Some(Segment::Key(variant.clone())),
        serde_path_to_error::Segment::Unknown => None,
    }
}
