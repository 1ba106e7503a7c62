//! `apisix.yaml` and `apisix.json`: all resources in one file.
//!
//! What counts of `apisix.yaml` ends at a line `#END`. A file without it is still being
//! written, and is never taken; JSON shows by itself whether it is complete. References between resources are checked here; what plugins' configurations
//! mean is not: whoever finds a fault there gets it
//! [traced back](Document::report) to its line.

mod listed;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrigger_model::read::{At, Null, read};
use outrigger_model::{Credential, Faults, Id, Invalid, Kind, Place, PropertyPath, Resources};
use serde_json::{Map, Value};

use crate::env::{Env, substitute};
use crate::references::{self, Masks};
use crate::report::{Location, Problem, Report};
use crate::store::{Inventory, Key};
use crate::tree::{Marks, Tree};
use crate::{json, yaml};

/// The line that ends the file.
const END: &str = "#END";

/// How deep resources stand in a file: in an array, below its name.
const RESOURCE_DEPTH: usize = 2;

/// Keys of `apisix.yaml` that APISIX has and this gateway does not support.
const UNSUPPORTED: [&str; 1] = ["stream_routes"];

/// How a file of resources is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As YAML, with a line `#END` after it.
    Yaml,
    /// As JSON.
    Json,
}

impl Format {
    /// The format of a file, by its name; none if that does not tell.
    pub fn of_file(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// Whether a text is complete, be it right or wrong.
    pub(crate) fn is_complete(self, text: &str) -> bool {
        match self {
            Self::Yaml => before_end(text).is_some(),
            Self::Json => json::is_complete(text),
        }
    }

    fn tree_of(self, text: &str) -> Result<Tree, Problem> {
        match self {
            Self::Json => json::parse(text),
            Self::Yaml => yaml::parse(before_end(text).ok_or_else(|| {
                Problem::of_file("there is no line #END: the file is not complete")
            })?),
        }
    }
}

/// The resources of a file as they were written, and where they stand in it.
pub struct Document {
    file: PathBuf,
    marks: Marks,
    /// Keep out of reports what is referred to.
    masks: Masks,
    /// By kind and place.
    written: Map<String, Value>,
    /// The place of each resource in the array of its kind.
    places: HashMap<(Kind, Id), usize>,
}

/// Shows no value: it may hold secrets.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// The resources as documents, each with its id. `revision` counts the
    /// versions of the file.
    pub fn inventory(&self, revision: u64) -> Inventory {
        self.inventory_of(revision, |kind, place| {
            self.written.get(kind.plural())?.get(place).cloned()
        })
    }

    /// As [`inventory`](Self::inventory), and what is worth keeping of the document
    /// then: where each resource begins. Of many resources, the rest takes as much
    /// memory as all that is made of them.
    pub fn into_inventory(mut self, revision: u64) -> (Self, Inventory) {
        let mut written = std::mem::take(&mut self.written);
        let inventory = self.inventory_of(revision, |kind, place| {
            Some(written.get_mut(kind.plural())?.get_mut(place)?.take())
        });
        self.marks.forget_below(RESOURCE_DEPTH);
        (self, inventory)
    }

    fn inventory_of(
        &self,
        revision: u64,
        mut document: impl FnMut(Kind, usize) -> Option<Value>,
    ) -> Inventory {
        let resource = |(&(kind, ref id), &place): (&(Kind, Id), &usize)| {
            let mut value = document(kind, place)?;
            let written = value.as_object_mut()?;
            let key = match written.insert("id".to_owned(), id.as_str().into()) {
                Some(_) => id.to_string(),
                // APISIX's key for an entry without an id.
                None => format!("arr_{}", place + 1),
            };
            let key = Key::new(kind.plural(), &key).ok()?;
            Some((key, Arc::new(value)))
        };
        Inventory::of_revision(revision, self.places.iter().filter_map(resource))
    }

    /// The resources as they were written, with their variables put in: arrays by
    /// the names of their collections.
    pub fn written(&self) -> &Map<String, Value> {
        &self.written
    }

    /// A report on problems with the properties at these places. None if there is none.
    pub fn report_at(
        &self,
        found: impl IntoIterator<Item = (PropertyPath, String)>,
    ) -> Option<Report> {
        let problems = found.into_iter().map(|(path, message)| Problem {
            location: Some(self.marks.locate(&path)),
            path,
            message,
        });
        Report::new(&self.file, problems.collect())
    }

    /// Where a property of a resource stands, or what is nearest above it. None
    /// if the file has no such resource.
    pub fn locate(&self, place: &Place) -> Option<Location> {
        self.path_of(place).map(|path| self.marks.locate(&path))
    }

    /// A report on what is wrong with these resources. None if nothing is.
    pub fn report(&self, found: impl IntoIterator<Item = Invalid>) -> Option<Report> {
        let problems = found.into_iter().map(|Invalid { at, message }| {
            let Some(path) = self.path_of(&at) else {
                return Problem::of_file(self.masks.hide(format!("{at}: {message}")));
            };
            let message = self.masks.hide(message);
            let location = Some(self.marks.locate(&path));
            Problem {
                location,
                path,
                message,
            }
        });
        Report::new(&self.file, problems.collect())
    }

    fn path_of(&self, place: &Place) -> Option<PropertyPath> {
        let index = *self.places.get(&(place.kind, place.id.clone()))?;
        let resource = PropertyPath::root().key(place.kind.plural()).index(index);
        Some(resource.join(&place.path))
    }
}

/// Reads a text as what it says alone: in YAML it needs no `#END`, and variables are not
/// put in.
///
/// # Errors
/// What is wrong with it, and where.
pub fn value_of(text: &str, format: Format) -> Result<Value, String> {
    let tree = match format {
        Format::Json => json::parse(text),
        Format::Yaml => yaml::parse(text),
    };
    let tree = tree.map_err(|problem| match problem.location {
        Some(location) => format!("{location}: {}", problem.message),
        None => problem.message,
    })?;
    Ok(tree.split().0)
}

/// Reads the text of `file`, which is written in `format`, or reports all that is
/// wrong with it.
pub fn parse(
    text: &str,
    format: Format,
    file: &Path,
    env: &Env<'_>,
) -> Result<(Document, Resources), Report> {
    let (document, resources) = parse_part(text, format, file, env)?;
    let broken = resources.check_references().err().unwrap_or_default();
    match document.report(broken) {
        Some(report) => Err(report),
        None => Ok((document, resources)),
    }
}

/// As [`parse`], of resources that need not be all there are: what they name may be
/// elsewhere, and their ids are not compared.
pub fn parse_part(
    text: &str,
    format: Format,
    file: &Path,
    env: &Env<'_>,
) -> Result<(Document, Resources), Report> {
    let tree = format.tree_of(text);
    let mut tree = tree.map_err(|problem| Report::of_one(file, problem))?;
    if let Some(report) = Report::new(file, substitute(&mut tree, env)) {
        return Err(report);
    }
    let (value, marks) = tree.split();
    let value = without_empty_keys(value);
    let resolved = references::resolve_all(&value, env);
    let resources = resolved.and_then(|resolved| read_resources(&resolved));
    let resources = resources.map_err(|faults| Report::of_faults(file, faults, &marks))?;
    let masks = Masks::of(&value, env);
    let Value::Object(mut written) = value else {
        unreachable!("resources were read from an object")
    };
    written.shift_remove(listed::PLUGINS);
    let document = Document {
        file: file.to_owned(),
        places: places_of(&resources, &written),
        marks,
        masks,
        written,
    };
    Ok((document, resources))
}

/// The text before the line `#END`. That line begins at the margin, where no text of
/// several lines that is a value could have it.
fn before_end(text: &str) -> Option<&str> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == END {
            return Some(&text[..start]);
        }
        start += line.len();
    }
    None
}

fn read_resources(value: &Value) -> Result<Resources, Faults> {
    read(value, Null::IsAValue, |at| {
        let object = at.object()?;
        for key in UNSUPPORTED {
            if let Some(at) = object.get(key)
                && !is_empty(&at)
            {
                at.fault(format!("{key:?} is not supported yet: remove it"));
            }
        }
        listed::check(&object);
        let resources = Resources::read(&object);
        object.finish();
        Some(resources)
    })
}

/// A file of comments only, and a key with nothing after it, are as good as none.
fn without_empty_keys(value: Value) -> Value {
    match value {
        Value::Null => Value::Object(Map::new()),
        Value::Object(mut properties) => {
            properties.retain(|_, value| !value.is_null());
            Value::Object(properties)
        }
        other => other,
    }
}

fn is_empty(at: &At<'_>) -> bool {
    match at.value() {
        Value::Array(items) => items.is_empty(),
        Value::Object(properties) => properties.is_empty(),
        _ => false,
    }
}

fn places_of(resources: &Resources, written: &Map<String, Value>) -> HashMap<(Kind, Id), usize> {
    let mut places = HashMap::new();
    for kind in Kind::ALL {
        let entries = written.get(kind.plural()).and_then(Value::as_array);
        let entries = entries.into_iter().flatten().enumerate();
        let of_kind = entries.filter(|(_, entry)| match kind {
            Kind::Credential => Credential::is_entry(entry),
            Kind::Consumer => !Credential::is_entry(entry),
            _ => true,
        });
        for ((index, _), id) in of_kind.zip(resources.ids(kind)) {
            // Of two with the same id, the later one is the one to point at.
            places.insert((kind, id.clone()), index);
        }
    }
    places
}
