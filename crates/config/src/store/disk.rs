//! The embedded store's file.
//!
//! One table holds the resources by their keys, secrets sealed, one the revision. A write is
//! one transaction, synced before it returns.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits;

use super::{Change, Entry, Inventory, Key, OpenError, Seal};

/// The file in the folder.
const FILE: &str = "resources.redb";

const RESOURCES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("resources");
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");

/// The last revision.
const REVISION: &str = "revision";
/// The layout of the file, to be told from later ones.
const LAYOUT: &str = "layout";
const THIS_LAYOUT: u64 = 1;

/// A resource in the file.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    created: u64,
    modified: u64,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(borrow)]
    value: Cow<'a, RawValue>,
}

/// The file. After an error it is opened anew for the next write: what the
/// error was about may be over, as with a disk that was full.
pub(super) struct Disk {
    path: PathBuf,
    /// What is in the file is sealed.
    seal: Seal,
    database: Option<Database>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("path", &self.path).finish()
    }
}

impl Disk {
    /// The file in a folder.
    pub(super) fn file(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Opens or makes the file, and reads it.
    pub(super) fn open(folder: &Path, seal: Seal) -> Result<(Self, Inventory), OpenError> {
        let path = Self::file(folder);
        let of_folder = |source| OpenError::Folder {
            folder: folder.display().to_string(),
            source,
        };
        // It holds secrets: for the gateway's user alone.
        let mut private = fs::DirBuilder::new();
        private.mode(0o700).recursive(true);
        private.create(folder).map_err(of_folder)?;
        let mut file = fs::OpenOptions::new();
        file.read(true).write(true).create(true).mode(0o600);
        drop(file.open(&path).map_err(of_folder)?);
        let database = match database().create(&path) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => {
                let folder = folder.display().to_string();
                return Err(OpenError::InUse { folder });
            }
            Err(error) => return Err(broken(&path, error)),
        };
        let inventory = read(&database, &seal).map_err(|why| broken(&path, why))?;
        let disk = Self {
            path,
            seal,
            database: Some(database),
        };
        Ok((disk, inventory))
    }

    /// Makes the changes, of which `after` is the result, durable.
    pub(super) fn write(&mut self, changes: &[Change], after: &Inventory) -> Result<(), String> {
        let database = match self.database.take() {
            Some(database) => database,
            None => database()
                .open(&self.path)
                .map_err(|error| error.to_string())?,
        };
        // Where this fails the database is dropped: after an error of the disk
        // it takes no more writes.
        write(&database, changes, after, &self.seal).map_err(|error| error.to_string())?;
        self.database = Some(database);
        Ok(())
    }
}

/// All that is read is in memory already, so it needs to hold no more of the file than a
/// write touches.
fn database() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(limits::STORE_CACHE);
    builder
}

fn broken(path: &Path, why: impl ToString) -> OpenError {
    OpenError::Broken {
        file: path.display().to_string(),
        why: why.to_string(),
    }
}

fn write(
    database: &Database,
    changes: &[Change],
    after: &Inventory,
    seal: &Seal,
) -> Result<(), Box<dyn std::error::Error>> {
    let transaction = database.begin_write()?;
    {
        let mut facts = transaction.open_table(FACTS)?;
        facts.insert(LAYOUT, THIS_LAYOUT)?;
        facts.insert(REVISION, after.revision())?;
        let mut resources = transaction.open_table(RESOURCES)?;
        for change in changes {
            let (Change::Put { key, .. } | Change::Delete(key)) = change;
            match after.get(key) {
                Some(entry) => {
                    resources.insert(
                        key.as_str(),
                        &*serde_json::to_vec(&stored(key, entry, seal)?)?,
                    )?;
                }
                None => {
                    resources.remove(key.as_str())?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn stored(key: &Key, entry: &Entry, seal: &Seal) -> Result<Stored<'static>, serde_json::Error> {
    let expires = entry.expires.map(|at| {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    Ok(Stored {
        created: entry.created,
        modified: entry.modified,
        expires,
        value: Cow::Owned(serde_json::value::to_raw_value(
            &*seal.seal_all(key, &entry.value),
        )?),
    })
}

fn read(database: &Database, seal: &Seal) -> Result<Inventory, String> {
    let mut inventory = Inventory::default();
    let transaction = database.begin_read().map_err(|error| error.to_string())?;
    let facts = match transaction.open_table(FACTS) {
        Ok(facts) => facts,
        // Nothing was written yet.
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(inventory),
        Err(error) => return Err(error.to_string()),
    };
    let fact = |name| -> Result<u64, String> {
        let found = facts.get(name).map_err(|error| error.to_string())?;
        found
            .map(|value| value.value())
            .ok_or_else(|| format!("it has no {name}"))
    };
    let layout = fact(LAYOUT)?;
    if layout != THIS_LAYOUT {
        return Err(format!(
            "it was written by another version (layout {layout}, not {THIS_LAYOUT})"
        ));
    }
    inventory.revision = fact(REVISION)?;
    let resources = transaction.open_table(RESOURCES);
    let resources = resources.map_err(|error| error.to_string())?;
    for row in resources.iter().map_err(|error| error.to_string())? {
        let (key, value) = row.map_err(|error| error.to_string())?;
        let name = key.value();
        let key: Key = name.parse().map_err(|error| format!("{name}: {error}"))?;
        let entry = entry(&key, value.value(), seal).map_err(|error| format!("{name}: {error}"))?;
        inventory.entries.insert(key, entry);
    }
    Ok(inventory)
}

fn entry(key: &Key, bytes: &[u8], seal: &Seal) -> Result<Entry, serde_json::Error> {
    let stored: Stored<'_> = serde_json::from_slice(bytes)?;
    let expires = stored.expires.map(Duration::from_millis);
    let value = serde_json::from_str(stored.value.get())?;
    let value = match seal.open(key, &value) {
        Cow::Owned(opened) => opened,
        Cow::Borrowed(_) => value,
    };
    Ok(Entry {
        value: Arc::new(value),
        created: stored.created,
        modified: stored.modified,
        expires: expires.and_then(|since| SystemTime::checked_add(&UNIX_EPOCH, since)),
    })
}
