//! Whether etcd is there, as whoever looks after the gateway wants to know it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use tokio::sync::watch;

/// What is known of etcd.
#[derive(Debug, Clone)]
pub struct Health {
    /// Whether it answered when it was last asked.
    pub reachable: bool,
    /// Since when that is so.
    pub since: SystemTime,
    /// When it was last heard; none: never.
    pub last_contact: Option<SystemTime>,
    /// The member that is listened to, or was last.
    pub host: Option<String>,
    /// The revision up to which everything that etcd holds is known.
    pub revision: u64,
    /// Whether the resources are those of the snapshot on disk: etcd was not heard
    /// since the start.
    pub from_snapshot: bool,
    /// Why it is not reachable.
    pub trouble: Option<String>,
    /// How often it was tried in vain since it was last heard.
    pub(super) failures: u32,
}

/// What happens between the gateway and etcd, told once each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// etcd cannot be reached, for the first time since it could.
    Lost {
        /// Why.
        why: String,
    },
    /// It can again.
    Back {
        /// The member that answers.
        host: String,
    },
    /// The gateway starts from the snapshot, because etcd cannot be reached.
    FromSnapshot {
        /// When it was taken.
        taken: SystemTime,
        /// The revision of its resources.
        revision: u64,
        /// Why etcd cannot be reached.
        why: String,
    },
    /// All resources were read again: etcd had forgotten what changed
    /// meanwhile, or is another one than before.
    Resynced {
        /// The revision that was read.
        revision: u64,
    },
    /// There are resources of kinds that are not known here.
    Unknown {
        /// Their collections.
        collections: BTreeSet<String>,
    },
    /// The snapshot on disk cannot be used.
    SnapshotUnusable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The snapshot cannot be written; said once until it can.
    SnapshotNotWritten {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
}

/// Hears of what happens.
pub type Observer = Box<dyn Fn(Event) + Send + Sync>;

/// Keeps [`Health`], and tells of what changes it.
pub(super) struct Pulse {
    health: watch::Sender<Health>,
    observer: Observer,
}

impl Pulse {
    pub(super) fn new(observer: Observer) -> Self {
        let health = Health {
            reachable: false,
            since: SystemTime::now(),
            last_contact: None,
            host: None,
            revision: 0,
            from_snapshot: false,
            trouble: None,
            failures: 0,
        };
        Self {
            health: watch::Sender::new(health),
            observer,
        }
    }

    pub(super) fn now(&self) -> Health {
        self.health.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(super) fn tell(&self, event: Event) {
        (self.observer)(event);
    }

    /// The resources are those of a snapshot.
    pub(super) fn begins_with_snapshot(&self) {
        self.health
            .send_modify(|health| health.from_snapshot = true);
    }

    /// Something was heard of this member.
    pub(super) fn heard(&self, host: &str) {
        self.health.send_modify(|health| {
            health.last_contact = Some(SystemTime::now());
            if health.host.as_deref() != Some(host) {
                health.host = Some(host.to_owned());
            }
        });
    }

    /// It is followed: everything up to `revision` is known.
    pub(super) fn synced(&self, host: &str, revision: u64) {
        self.heard(host);
        let mut is_back = false;
        self.health.send_modify(|health| {
            health.revision = revision;
            health.from_snapshot = false;
            health.failures = 0;
            health.trouble = None;
            if !health.reachable {
                is_back = true;
                health.reachable = true;
                health.since = SystemTime::now();
            }
        });
        if is_back {
            let host = host.to_owned();
            self.tell(Event::Back { host });
        }
    }

    /// It was tried in vain.
    pub(super) fn failed(&self, why: String) {
        let mut is_lost = false;
        self.health.send_modify(|health| {
            health.failures = health.failures.saturating_add(1);
            health.trouble = Some(why.clone());
            if health.reachable {
                is_lost = true;
                health.reachable = false;
                health.since = SystemTime::now();
            }
        });
        if is_lost {
            self.tell(Event::Lost { why });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let observer = {
            let told = Arc::clone(&told);
            Box::new(move |event| told.lock().unwrap().push(event))
        };
        let pulse = Pulse::new(observer);
        let take = || std::mem::take(&mut *told.lock().unwrap());
        // It was never there: whoever opens the store says that.
        pulse.failed("no".to_owned());
        assert_eq!(take(), []);
        pulse.synced("a", 5);
        pulse.synced("a", 6);
        let host = "a".to_owned();
        assert_eq!(take(), [Event::Back { host }]);
        pulse.failed("gone".to_owned());
        pulse.failed("still gone".to_owned());
        let why = "gone".to_owned();
        assert_eq!(take(), [Event::Lost { why }]);
        let health = pulse.now();
        assert_eq!(
            (health.reachable, health.failures, health.revision),
            (false, 2, 6)
        );
        assert_eq!(health.trouble.as_deref(), Some("still gone"));
    }
}
