//! Resources as documents, by their keys: what sources hold and the Admin API serves.
//!
//! Nothing here knows what a resource means: that is the model's.

mod inventory;
mod key;

pub use inventory::{Entry, Inventory};
pub use key::{Key, NotAKey};
