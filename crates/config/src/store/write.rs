//! Changes, and what must hold for them.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::{Inventory, Key};

/// Changes that are made together or not at all.
#[derive(Debug, Clone)]
pub struct Write {
    /// The revision on which they were decided.
    pub base: u64,
    /// What must still be as it was in that revision.
    pub conditions: Vec<Condition>,
    /// The changes; no key twice.
    pub changes: Vec<Change>,
}

/// Something that must still be as it was.
///
/// Each can be told by comparing revisions of keys and of ranges of keys, which
/// etcd's transactions can do too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The resource was there and has not been written since, nor deleted.
    Same(Key),
    /// The resource is not there.
    Absent(Key),
    /// Nothing whose key begins so has been written since. Deletions do not count.
    NothingNewer(String),
}

/// One change.
#[derive(Clone)]
pub enum Change {
    /// Writes a resource, be there one or not.
    Put {
        /// Which one.
        key: Key,
        /// What it is from now on.
        value: Arc<Value>,
        /// When it goes by itself; none: never.
        expires: Option<SystemTime>,
    },
    /// Deletes a resource, if there is one.
    Delete(Key),
}

/// Shows no value: it may hold secrets.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, .. } => write!(f, "Put({key})"),
            Self::Delete(key) => write!(f, "Delete({key})"),
        }
    }
}

/// A write that was not made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has changed what it depends on.
    #[error("the resources have changed meanwhile; try again")]
    Conflict,
    /// The store cannot write: a full disk, a cluster that is away.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
}

/// A store that cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or read.
    #[error(
        "the store in {folder}: {source}; set outrigger.data_dir to a folder that can be written to"
    )]
    Folder {
        /// The folder.
        folder: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "the store in {folder} is used by another gateway; \
         stop it, or set outrigger.data_dir to a folder of this one's own"
    )]
    InUse {
        /// The folder.
        folder: String,
    },
    /// The file is not what was written.
    #[error(
        "the store {file} cannot be read: {why}; restore it from a copy, or move it away to begin anew"
    )]
    Broken {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Condition {
    /// Whether it holds in `now`, for what was decided on revision `base`.
    pub(super) fn holds(&self, now: &Inventory, base: u64) -> bool {
        match self {
            Self::Same(key) => now.get(key).is_some_and(|entry| entry.modified <= base),
            Self::Absent(key) => now.get(key).is_none(),
            Self::NothingNewer(prefix) => {
                now.below(prefix).all(|(_, entry)| entry.modified <= base)
            }
        }
    }
}

impl Inventory {
    /// What it becomes by these changes, in the revision after this one.
    pub fn after(&self, changes: &[Change]) -> Self {
        let mut next = self.clone();
        next.revision += 1;
        for change in changes {
            match change {
                Change::Put {
                    key,
                    value,
                    expires,
                } => {
                    let before = next.entries.get(key);
                    let entry = super::Entry {
                        value: Arc::clone(value),
                        created: before.map_or(next.revision, |entry| entry.created),
                        modified: next.revision,
                        expires: *expires,
                    };
                    next.entries.insert(key.clone(), entry);
                }
                Change::Delete(key) => {
                    next.entries.remove(key);
                }
            }
        }
        next
    }

    /// What has to be deleted at `now`, and when the next thing has to.
    pub(super) fn expired(&self, now: SystemTime) -> (Vec<Change>, Option<SystemTime>) {
        let mut gone = Vec::new();
        let mut next = None;
        for (key, entry) in &self.entries {
            match entry.expires {
                Some(at) if at <= now => gone.push(Change::Delete(key.clone())),
                Some(at) => next = Some(next.map_or(at, |soonest: SystemTime| soonest.min(at))),
                None => {}
            }
        }
        (gone, next)
    }
}
