//! The store of a gateway that shares its resources with nobody: memory, and a
//! file behind it.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{Mutex, watch};

use super::disk::Disk;
use super::{Change, Inventory, Later, OpenError, Seal, Store, StoreError, Write};
use crate::limits;

/// Resources in memory, and in a file where there is one.
///
/// Writes come one after the other; each is on the disk before anybody sees it.
#[derive(Debug)]
pub struct Embedded {
    /// Held by whoever writes.
    disk: Arc<Mutex<Option<Disk>>>,
    now: watch::Sender<Arc<Inventory>>,
}

impl Embedded {
    /// A store that forgets everything when it is dropped.
    pub fn in_memory() -> Self {
        Self::new(None, Inventory::default())
    }

    /// The store in `folder`, which is made if it is not there. Secrets in it are
    /// sealed by `seal`; those that were written plain before are read too. Reads all of
    /// it: do not call this where others wait.
    ///
    /// # Errors
    /// The file cannot be made, read or locked.
    pub fn open(folder: &Path, seal: Seal) -> Result<Self, OpenError> {
        let (disk, inventory) = Disk::open(folder, seal)?;
        Ok(Self::new(Some(disk), inventory))
    }

    /// As [`open`](Self::open), but none if nothing was ever stored there: nothing is
    /// made.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_existing(folder: &Path, seal: Seal) -> Result<Option<Self>, OpenError> {
        match Disk::file(folder).exists() {
            true => Self::open(folder, seal).map(Some),
            false => Ok(None),
        }
    }

    fn new(disk: Option<Disk>, inventory: Inventory) -> Self {
        Self {
            disk: Arc::new(Mutex::new(disk)),
            now: watch::Sender::new(Arc::new(inventory)),
        }
    }

    async fn write(&self, write: Write) -> Result<u64, StoreError> {
        let mut disk = Arc::clone(&self.disk).lock_owned().await;
        let before = self.inventory();
        let holds = |condition: &super::Condition| condition.holds(&before, write.base);
        if !write.conditions.iter().all(holds) {
            return Err(StoreError::Conflict);
        }
        let after = Arc::new(before.after(&write.changes));
        let now = self.now.clone();
        // A task of its own: if whoever waits for it goes away meanwhile, what
        // is on the disk is seen all the same.
        let writing = tokio::task::spawn_blocking(move || {
            if let Some(disk) = &mut *disk {
                disk.write(&write.changes, &after)
                    .map_err(StoreError::Unavailable)?;
            }
            let revision = after.revision();
            now.send_replace(after);
            Ok(revision)
        });
        match writing.await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    /// Deletes what has expired; returns when to come again.
    async fn expire(&self) -> Option<SystemTime> {
        let inventory = self.inventory();
        let (changes, next) = inventory.expired(SystemTime::now());
        if changes.is_empty() {
            return next;
        }
        let same = changes.iter().filter_map(|change| match change {
            Change::Delete(key) => Some(super::Condition::Same(key.clone())),
            Change::Put { .. } => None,
        });
        let write = Write {
            base: inventory.revision(),
            conditions: same.collect(),
            changes,
        };
        match self.write(write).await {
            // There may be more.
            Ok(_) | Err(StoreError::Conflict) => Some(SystemTime::now()),
            Err(StoreError::Unavailable(_)) => Some(SystemTime::now() + limits::EXPIRY_RETRY),
        }
    }
}

impl Store for Embedded {
    fn inventory(&self) -> Arc<Inventory> {
        Arc::clone(&self.now.borrow())
    }

    fn commit(&self, write: Write) -> Later<'_, Result<u64, StoreError>> {
        Box::pin(self.write(write))
    }

    fn changed(&self, seen: u64) -> Later<'_, Arc<Inventory>> {
        Box::pin(async move {
            let mut now = self.now.subscribe();
            loop {
                let inventory = Arc::clone(&now.borrow_and_update());
                if inventory.revision() != seen {
                    return inventory;
                }
                let expiry = self.expire().await;
                let until = expiry.map(|at| at.duration_since(SystemTime::now()));
                let sleep = until.map_or(limits::EXPIRY_LOOK, |left| {
                    left.unwrap_or_default().min(limits::EXPIRY_LOOK)
                });
                tokio::select! {
                    // The sender lives as long as this store.
                    _ = now.changed() => {}
                    () = tokio::time::sleep(sleep) => {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
