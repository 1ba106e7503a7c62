//! Snapshots that were replaced, until no request runs on them any more.
//!
//! Whoever lets go of a snapshot last frees all of it that its successor has not taken
//! over. A worker must not do that between requests, so somebody on the control
//! thread holds every snapshot longer than the workers do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outrigger_engine::snapshot::Snapshot;
use tokio::sync::Notify;

/// How often to look whether anybody still runs on them.
const LOOK: Duration = Duration::from_millis(500);

/// Replaced snapshots. It holds as many as there would be without it: those that requests
/// run on, and for [`LOOK`] the others.
#[derive(Debug, Default)]
pub(super) struct Retired {
    snapshots: Mutex<Vec<Arc<Snapshot>>>,
    more: Notify,
}

impl Retired {
    /// Takes a snapshot that no request will begin on any more.
    pub(super) fn add(&self, snapshot: Arc<Snapshot>) {
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        snapshots.push(snapshot);
        self.more.notify_one();
    }

    /// Drops each when nobody else has it. Never ends.
    pub(super) async fn drop_unused(&self) {
        loop {
            if self.sweep() == 0 {
                self.more.notified().await;
            } else {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Drops those that nobody else has; says how many are left.
    fn sweep(&self) -> usize {
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        snapshots.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        snapshots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_lets_go_of_a_snapshot_last() {
        let retired = Retired::default();
        let (worker, unused) = (Arc::new(Snapshot::empty()), Arc::new(Snapshot::empty()));
        let (kept, gone) = (Arc::downgrade(&worker), Arc::downgrade(&unused));
        retired.add(Arc::clone(&worker));
        retired.add(unused);
        let wait = || tokio::time::timeout(2 * LOOK, retired.drop_unused());
        assert!(wait().await.is_err(), "it never ends");
        assert!(gone.upgrade().is_none());
        drop(worker);
        assert!(kept.upgrade().is_some(), "a worker frees nothing");
        assert!(wait().await.is_err());
        assert!(kept.upgrade().is_none());
    }
}
