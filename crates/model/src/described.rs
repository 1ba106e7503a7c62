//! What people write about a resource: its name, description and labels.

use indexmap::IndexMap;

use crate::limits;
use crate::read::{At, Object};

/// The `labels` of a resource, in the order of the document. A value has 1 to 256
/// characters, none of them a space.
pub type Labels = IndexMap<String, String>;

/// The properties that resources of every kind have.
pub(crate) struct Described {
    pub(crate) name: Option<String>,
    pub(crate) desc: Option<String>,
    pub(crate) labels: Labels,
}

impl Described {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        let name = object.read("name", |at| at.text(1..=limits::NAME_CHARS));
        let desc = object.read("desc", |at| at.text(0..=limits::DESC_CHARS));
        // What APISIX itself writes into a resource.
        object.ignore(&["create_time", "update_time"]);
        Self {
            name: name.map(str::to_owned),
            desc: desc.map(str::to_owned),
            labels: object.read("labels", read_labels).unwrap_or_default(),
        }
    }
}

fn read_labels(at: &At<'_>) -> Option<Labels> {
    let object = at.object_or_empty_array()?;
    let mut labels = Labels::new();
    for (name, value) in object.entries() {
        let Some(text) = value.text(1..=limits::LABEL_CHARS) else {
            continue;
        };
        if text.contains(char::is_whitespace) {
            value.fault("a label's value must not contain spaces");
        }
        labels.insert(name.to_owned(), text.to_owned());
    }
    Some(labels)
}
