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
    snapshots: Mutex<Snapshots>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Snapshots {
    all: Vec<Arc<Snapshot>>,
    /// Whether some have come since they were last looked at.
    more: bool,
}

impl Retired {
    /// Takes a snapshot that no request will begin on any more.
    pub(super) fn add(&self, snapshot: Arc<Snapshot>) {
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        snapshots.all.push(snapshot);
        snapshots.more = true;
        self.more.notify_one();
    }

    /// Drops each when nobody else has it. Never ends.
    ///
    /// A while after snapshots have come or gone `settled` is called: what changes take, and
    /// is free again, can go back to the system then.
    pub(super) async fn drop_unused(&self, settled: impl Fn()) {
        loop {
            let (left, is_other) = self.sweep();
            if is_other {
                settled();
            }
            if left == 0 {
                self.more.notified().await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Drops those that nobody else has. Says how many are left, and whether these are
    /// others than the last time.
    fn sweep(&self) -> (usize, bool) {
        let mut snapshots = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = snapshots.all.len();
        snapshots.all.retain(|it| Arc::strong_count(it) > 1);
        let left = snapshots.all.len();
        (left, std::mem::take(&mut snapshots.more) || left < before)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_lets_go_of_a_snapshot_last() {
        let retired = Retired::default();
        let (worker, unused) = (Arc::new(Snapshot::empty()), Arc::new(Snapshot::empty()));
        let (kept, gone) = (Arc::downgrade(&worker), Arc::downgrade(&unused));
        retired.add(Arc::clone(&worker));
        retired.add(unused);
        let settled = Cell::new(0);
        let count = || settled.set(settled.get() + 1);
        let wait = || tokio::time::timeout(4 * LOOK, retired.drop_unused(count));
        assert!(wait().await.is_err(), "it never ends");
        assert!(gone.upgrade().is_none());
        assert_eq!(settled.get(), 1, "once for all that has come");
        drop(worker);
        assert!(kept.upgrade().is_some(), "a worker frees nothing");
        assert!(wait().await.is_err());
        assert!(kept.upgrade().is_none());
        assert_eq!(settled.get(), 2);
    }
}
