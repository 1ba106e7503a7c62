//! Resources as documents, by their keys: where they are kept, and how they change.
//!
//! A [`Store`] hands out all resources at one moment ([`Inventory`]) and takes
//! a [`Write`]: changes, with what must still be so for them to be right. So
//! whoever changes a resource looks at one consistent state, decides, and either
//! all of the changes are made on what was seen, or none.
//!
//! Nothing here knows what a resource means: that is the model's.

mod disk;
mod embedded;
pub mod etcd;
mod inventory;
mod key;
mod read;
pub mod seal;
mod write;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use embedded::Embedded;
pub use etcd::Etcd;
pub use inventory::{Entry, Inventory};
pub use key::{Key, NotAKey};
pub use read::{Reader, ReaderEnv, Reading};
pub use seal::Seal;
pub use write::{Change, Condition, OpenError, StoreError, Write};

/// What comes after a moment.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where resources are kept.
///
/// What is read is in memory; only writes wait. An implementation that shares
/// its resources with others keeps up with them by itself.
pub trait Store: Send + Sync + 'static {
    /// All resources as they are now.
    fn inventory(&self) -> Arc<Inventory>;

    /// Makes all changes of `write` if all its conditions hold, or none. When
    /// this has returned `Ok` they are durable, and [`inventory`](Self::inventory)
    /// shows them. Returns the revision that they made.
    ///
    /// If the future is dropped, the changes are made or not.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where a condition does not hold: look again and
    /// decide again. Nothing was changed, whatever the error is, as far as the
    /// store can tell.
    fn commit(&self, write: Write) -> Later<'_, Result<u64, StoreError>>;

    /// Most changes that one write can have.
    fn most_changes(&self) -> usize {
        usize::MAX
    }

    /// Waits until the resources are of another revision than `seen`, and
    /// returns them. Somebody has to wait here all the time: resources whose
    /// time is over go while somebody does.
    fn changed(&self, seen: u64) -> Later<'_, Arc<Inventory>>;
}
