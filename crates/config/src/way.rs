//! Ways to the texts in a document, for who puts others in their place.

use outrigger_model::PropertyPath;
use serde_json::Value;

/// From a value to one that is in it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'v> {
    Key(&'v str),
    Index(usize),
}

/// Where the way leads, from the root.
pub(crate) fn path(way: &[Step<'_>]) -> PropertyPath {
    way.iter()
        .fold(PropertyPath::root(), |path, step| match step {
            Step::Key(name) => path.key(*name),
            Step::Index(index) => path.index(*index),
        })
}

/// Puts a value where the way leads, which has to be a way of this document.
pub(crate) fn put(document: &mut Value, way: &[Step<'_>], value: Value) {
    let mut at = document;
    for step in way {
        let next = match step {
            Step::Key(name) => at.get_mut(name),
            Step::Index(index) => at.get_mut(index),
        };
        at = next.expect("it was found there");
    }
    *at = value;
}
