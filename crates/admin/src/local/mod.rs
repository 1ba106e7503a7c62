//! How the gateway's own commands reach the resources that a running gateway keeps:
//! the store's file is the gateway's alone while it runs.
//!
//! One request on one connection to a unix socket beside that file; who asks closes
//! his side, gets one answer, and that is all. Whoever may open the socket may
//! as well read the file, secrets included: there are no keys, and nothing is sealed.
//! Requests are served one after the other. Both ends are of one version, or say
//! that they are not.

mod client;
mod server;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use outrigger_config::store::{Change, Entry, Inventory, Key, NotAKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use client::{AskError, Client};
pub use server::serve;

/// Told in every message: other versions may mean something else by the rest.
const VERSION: u32 = 1;

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    version: u32,
    request: Request,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    /// All resources.
    Read,
    /// That these changes are made to the resources of this revision.
    Write { base: u64, changes: Vec<Changed> },
}

/// A change; without a value a deletion.
#[derive(Serialize, Deserialize)]
struct Changed {
    key: String,
    value: Option<Value>,
}

/// Shows no value: it may hold secrets.
impl std::fmt::Debug for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Changed({})", self.key)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Resources {
        revision: u64,
        resources: Vec<Row>,
    },
    /// The changes are made, in this revision.
    Written {
        revision: u64,
    },
    /// Requests could not run on what they would make: these would not hold.
    Refused {
        faults: Vec<(String, String)>,
    },
    /// The resources are of another revision by now.
    Conflict,
    /// It was not done.
    Failed {
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Row {
    key: String,
    created: u64,
    modified: u64,
    /// In milliseconds since 1970.
    expires: Option<u64>,
    value: Value,
}

impl Row {
    fn of((key, entry): (&Key, &Entry)) -> Self {
        let expires = entry.expires.map(|at| {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
        Self {
            key: key.to_string(),
            created: entry.created,
            modified: entry.modified,
            expires,
            value: Value::clone(&entry.value),
        }
    }

    fn into_entry(self) -> Result<(Key, Entry), NotAKey> {
        let since = self.expires.map(Duration::from_millis);
        let entry = Entry {
            value: Arc::new(self.value),
            created: self.created,
            modified: self.modified,
            expires: since.and_then(|since| SystemTime::checked_add(&UNIX_EPOCH, since)),
        };
        Ok((self.key.parse()?, entry))
    }
}

fn reply_of(inventory: &Inventory) -> Reply {
    Reply::Resources {
        revision: inventory.revision(),
        resources: inventory.iter().map(Row::of).collect(),
    }
}

impl Changed {
    fn of(change: &Change) -> Self {
        match change {
            // What is carried here has no time to live.
            Change::Put { key, value, .. } => Self {
                key: key.to_string(),
                value: Some(Value::clone(value)),
            },
            Change::Delete(key) => Self {
                key: key.to_string(),
                value: None,
            },
        }
    }

    fn into_change(self) -> Result<Change, NotAKey> {
        let key = self.key.parse()?;
        Ok(match self.value {
            Some(value) => Change::Put {
                key,
                value: Arc::new(value),
                expires: None,
            },
            None => Change::Delete(key),
        })
    }
}

#[cfg(test)]
mod tests;
