//! Keeping the snapshot on disk up to date.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::time::sleep;

use super::super::{Inventory, Seal};
use super::health::{Event, Pulse};
use super::snapshot::{Snapshot, Taken};
use crate::limits;

/// The snapshot, if there is one of use.
pub(super) async fn read(snapshot: &Snapshot, seal: &Arc<Seal>, pulse: &Pulse) -> Option<Taken> {
    let reading = {
        let (snapshot, seal) = (snapshot.clone(), Arc::clone(seal));
        tokio::task::spawn_blocking(move || snapshot.read(&seal))
    };
    let read = reading.await.unwrap_or_else(|error| Err(error.to_string()));
    read.unwrap_or_else(|why| {
        let file = snapshot.path().to_owned();
        pulse.tell(Event::SnapshotUnusable { file, why });
        None
    })
}

/// Writes each change to the disk, some of them together. What `now` has when it is handed
/// in was read from the snapshot, or is nothing. Never ends by itself.
pub(super) async fn keep(
    snapshot: Snapshot,
    seal: Arc<Seal>,
    mut now: watch::Receiver<Arc<Inventory>>,
    pulse: Arc<Pulse>,
) {
    let mut is_told = false;
    while now.changed().await.is_ok() {
        sleep(limits::SNAPSHOT_PAUSE).await;
        let inventory = Arc::clone(&now.borrow_and_update());
        let writing = {
            let (snapshot, seal) = (snapshot.clone(), Arc::clone(&seal));
            tokio::task::spawn_blocking(move || {
                let begun = Instant::now();
                (snapshot.write(&inventory, &seal), begun.elapsed())
            })
        };
        let Ok((written, took)) = writing.await else {
            return;
        };
        match written {
            Ok(()) => is_told = false,
            Err(error) if !is_told => {
                is_told = true;
                let (file, why) = (snapshot.path().to_owned(), error.to_string());
                pulse.tell(Event::SnapshotNotWritten { file, why });
            }
            Err(_) => {}
        }
        sleep(took.saturating_mul(limits::SNAPSHOT_DUTY)).await;
    }
}
