//! Documents with the position of every property, whatever format they were written in.

use outrigger_model::{PropertyPath, Segment};
use serde_json::{Map, Value};

use crate::report::Location;

/// A value and where it stands. It is not shown: it may hold secrets.
pub(crate) struct Tree {
    pub(crate) at: Location,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Scalar(Value),
    Array(Vec<Tree>),
    Object(Vec<Entry>),
}

/// A property of an object.
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key stands: the line that a person looks for.
    pub(crate) at: Location,
    pub(crate) value: Tree,
}

impl Tree {
    /// The values without their positions, and the positions without values.
    pub(crate) fn split(self) -> (Value, Marks) {
        let (value, below) = match self.content {
            Content::Scalar(value) => (value, Below::Nothing),
            Content::Array(items) => {
                let (values, marks) = items.into_iter().map(Self::split).unzip();
                (Value::Array(values), Below::Items(marks))
            }
            Content::Object(entries) => {
                let mut properties = Map::new();
                let mut keys = Vec::with_capacity(entries.len());
                for Entry { key, at, value } in entries {
                    let (value, mut marks) = value.split();
                    marks.at = at;
                    properties.insert(key.clone(), value);
                    keys.push((key, marks));
                }
                (Value::Object(properties), Below::Keys(keys))
            }
        };
        (value, Marks { at: self.at, below })
    }
}

/// Where the values of a document stand. A property stands where its key does.
#[derive(Debug)]
pub(crate) struct Marks {
    at: Location,
    below: Below,
}

#[derive(Debug)]
enum Below {
    Nothing,
    Items(Vec<Marks>),
    Keys(Vec<(String, Marks)>),
}

impl Marks {
    /// Forgets what stands more than `depth` values down.
    pub(crate) fn forget_below(&mut self, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else {
            self.below = Below::Nothing;
            return;
        };
        match &mut self.below {
            Below::Nothing => {}
            Below::Items(items) => items.iter_mut().for_each(|it| it.forget_below(depth)),
            Below::Keys(keys) => keys.iter_mut().for_each(|(_, it)| it.forget_below(depth)),
        }
    }

    /// Where `path` leads to, or the nearest above it that the document has.
    pub(crate) fn locate(&self, path: &PropertyPath) -> Location {
        let mut here = self;
        for segment in path.segments() {
            let next = match (segment, &here.below) {
                (Segment::Index(index), Below::Items(items)) => items.get(*index),
                (Segment::Key(key), Below::Keys(keys)) => keys
                    .iter()
                    .find(|(name, _)| name == key)
                    .map(|(_, marks)| marks),
                _ => None,
            };
            match next {
                Some(next) => here = next,
                None => break,
            }
        }
        here.at
    }
}
