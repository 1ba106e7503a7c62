//! Reading a plugin's configuration.

use outrigger_model::read::{self, Null, Object};
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

/// Reads a configuration property by property.
///
/// # Errors
/// The first [`Fault`] names the property that does not hold.
pub(crate) fn read_with<T>(
    conf: &Value,
    reader: impl FnOnce(&Object<'_>) -> Option<T>,
) -> Result<T, Fault> {
    // Properties that nobody knows are accepted, as in APISIX; so the object is
    // never finished.
    let made = read::read(conf, Null::IsAValue, |at| reader(&at.object()?));
    made.map_err(|faults| faults.into_iter().next().expect("faults are not empty"))
}
