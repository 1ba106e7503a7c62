//! What this gateway itself has in etcd: documents on their way there, so that they are the
//! same objects when they come back, and leases, so that it is known when they end.
//!
//! Of leases that others took it is not known when they end; that they did, etcd
//! tells by an event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::Value;

use super::super::{Change, Key};

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Ours(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The ends of leases, by their ids.
    leases: HashMap<u64, SystemTime>,
    drafts: HashMap<Key, Arc<Value>>,
}

/// Shows no value: it may hold secrets.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

impl Ours {
    /// These documents are on their way, until what is returned is dropped.
    pub(super) fn draft(&self, changes: &[Change]) -> Drafts<'_> {
        let documents = changes.iter().filter_map(|change| match change {
            Change::Put { key, value, .. } => Some((key.clone(), Arc::clone(value))),
            Change::Delete(_) => None,
        });
        let documents: Vec<_> = documents.collect();
        self.lock().drafts.extend(documents.iter().cloned());
        Drafts {
            ours: self,
            documents,
        }
    }

    /// The document that is on its way and is equal to this one.
    pub(super) fn drafted(&self, key: &Key, value: &Value) -> Option<Arc<Value>> {
        let known = self.lock();
        known.drafts.get(key).filter(|it| ***it == *value).cloned()
    }

    /// Remembers when a lease ends; forgets those that have ended.
    pub(super) fn taken(&self, id: u64, until: SystemTime) {
        let mut known = self.lock();
        let now = SystemTime::now();
        known.leases.retain(|_, until| *until > now);
        known.leases.insert(id, until);
    }

    /// When a lease ends, if that is known.
    pub(super) fn expiry(&self, id: u64) -> Option<SystemTime> {
        self.lock().leases.get(&id).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Documents on their way.
pub(super) struct Drafts<'o> {
    ours: &'o Ours,
    documents: Vec<(Key, Arc<Value>)>,
}

impl Drop for Drafts<'_> {
    fn drop(&mut self) {
        let mut known = self.ours.lock();
        for (key, document) in &self.documents {
            // Another may have been sent after it.
            let is_it = |known: &Arc<Value>| Arc::ptr_eq(known, document);
            if known.drafts.get(key).is_some_and(is_it) {
                known.drafts.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn leases_that_have_ended_are_forgotten() {
        let ours = Ours::default();
        let now = SystemTime::now();
        let later = now + Duration::from_secs(60);
        ours.taken(1, now);
        ours.taken(2, later);
        assert_eq!((ours.expiry(1), ours.expiry(2)), (None, Some(later)));
    }

    #[test]
    fn a_document_on_its_way_is_known_until_it_has_arrived() {
        let ours = Ours::default();
        let key: Key = "routes/1".parse().unwrap();
        let value = Arc::new(json!({"a": 1}));
        let put = |value: &Arc<Value>| Change::Put {
            key: key.clone(),
            value: Arc::clone(value),
            expires: None,
        };
        let drafts = ours.draft(&[put(&value)]);
        let found = ours.drafted(&key, &json!({"a": 1})).unwrap();
        assert!(Arc::ptr_eq(&found, &value));
        assert!(ours.drafted(&key, &json!({"a": 2})).is_none());
        let later = Arc::new(json!({"a": 2}));
        let later_drafts = ours.draft(&[put(&later)]);
        drop(drafts);
        assert!(ours.drafted(&key, &json!({"a": 2})).is_some());
        drop(later_drafts);
        assert!(ours.drafted(&key, &json!({"a": 2})).is_none());
    }
}
