//! All resources at one moment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::Key;

/// All resources at one moment, as documents.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    pub(super) revision: u64,
    pub(super) entries: BTreeMap<Key, Entry>,
}

/// One resource as a document.
#[derive(Clone, PartialEq)]
pub struct Entry {
    /// What was written.
    pub value: Arc<Value>,
    /// The revision in which it came to be.
    pub created: u64,
    /// The revision in which it was last written.
    pub modified: u64,
    /// When it goes by itself; none: never.
    pub expires: Option<SystemTime>,
}

/// Shows no value: it may hold secrets.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("created", &self.created)
            .field("modified", &self.modified)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Inventory {
    /// Resources that all came to be in one revision.
    pub fn of_revision(
        revision: u64,
        resources: impl IntoIterator<Item = (Key, Arc<Value>)>,
    ) -> Self {
        let entry = |(key, value)| {
            let entry = Entry {
                value,
                created: revision,
                modified: revision,
                expires: None,
            };
            (key, entry)
        };
        Self {
            revision,
            entries: resources.into_iter().map(entry).collect(),
        }
    }

    /// Resources as they were at one moment.
    pub fn of_entries(revision: u64, entries: impl IntoIterator<Item = (Key, Entry)>) -> Self {
        Self {
            revision,
            entries: entries.into_iter().collect(),
        }
    }

    /// Has documents that are equal to those of `before` be the same objects, of the
    /// same revisions.
    pub fn take_over(&mut self, before: &Self) {
        for (key, entry) in &mut self.entries {
            let same = before.get(key);
            if let Some(same) = same.filter(|same| same.value == entry.value) {
                *entry = same.clone();
            }
        }
    }

    /// What it is in `revision`, when these changes were made: none for a resource that is
    /// gone.
    pub(super) fn with(
        &self,
        revision: u64,
        changes: impl IntoIterator<Item = (Key, Option<Entry>)>,
    ) -> Self {
        let mut next = self.clone();
        next.revision = revision;
        for (key, entry) in changes {
            match entry {
                Some(entry) => next.entries.insert(key, entry),
                None => next.entries.remove(&key),
            };
        }
        next
    }

    /// Counts the changes; it grows with each.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether both hold the same objects under the same keys, whatever their
    /// revisions are.
    pub fn has_the_documents_of(&self, other: &Self) -> bool {
        let same = |((key, entry), (other_key, other)): ((&Key, &Entry), (&Key, &Entry))| {
            Arc::ptr_eq(&entry.value, &other.value) && key == other_key
        };
        self.entries.len() == other.entries.len() && self.iter().zip(other.iter()).all(same)
    }

    /// One resource.
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All resources, by their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// The resources of a collection such as `routes`, by their ids; not those
    /// of collections below it.
    pub fn collection<'a>(
        &'a self,
        collection: &str,
    ) -> impl Iterator<Item = (&'a Key, &'a Entry)> + use<'a> {
        let prefix = Key::prefix_of(collection);
        self.below(&prefix)
            .filter(move |(key, _)| key.collection().len() + 1 == prefix.len())
    }

    /// The resources whose keys begin so.
    pub fn below<'a>(
        &'a self,
        prefix: &str,
    ) -> impl Iterator<Item = (&'a Key, &'a Entry)> + use<'a> {
        let from = std::ops::Bound::Included(prefix);
        let prefix = prefix.to_owned();
        self.entries
            .range::<str, _>((from, std::ops::Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(&prefix))
    }
}
