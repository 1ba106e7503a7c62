//! What etcd holds, as far as it was heard: answers and events in, an
//! [`Inventory`] out.
//!
//! A machine without I/O. A document that did not change stays the same object, even
//! when all of them were read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::super::{Entry, Inventory, Key, Seal};
use super::api::{Event, EventKind, KeyValue};
use super::layout::{Layout, Place, document};
use super::ours::Ours;

/// The present inventory, and what it takes to make the next one.
pub(super) struct Mirror {
    layout: Arc<Layout>,
    seal: Arc<Seal>,
    ours: Arc<Ours>,
    inventory: Arc<Inventory>,
}

/// All resources, on their way in.
pub(super) struct Reading<'m> {
    mirror: &'m Mirror,
    entries: BTreeMap<Key, Entry>,
    unknown: BTreeSet<String>,
}

/// All resources as they were read.
pub(super) struct Read {
    entries: BTreeMap<Key, Entry>,
    /// The collections beside them that are not known here.
    pub(super) unknown: BTreeSet<String>,
}

impl Mirror {
    pub(super) fn new(
        layout: Arc<Layout>,
        seal: Arc<Seal>,
        ours: Arc<Ours>,
        inventory: Arc<Inventory>,
    ) -> Self {
        Self {
            layout,
            seal,
            ours,
            inventory,
        }
    }

    pub(super) fn inventory(&self) -> &Arc<Inventory> {
        &self.inventory
    }

    /// Begins to take everything in.
    pub(super) fn read(&self) -> Reading<'_> {
        Reading {
            mirror: self,
            entries: BTreeMap::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// Goes over to what was read, as of `revision`. Whether that changes anything.
    pub(super) fn replace(&mut self, read: Read, revision: u64) -> bool {
        let before = self.inventory.iter();
        let same = before.eq(read.entries.iter());
        // The first time, even nothing at all is news: that it is so.
        let is_first = self.inventory.revision() == 0;
        if same && !is_first {
            return false;
        }
        self.inventory = Arc::new(Inventory::of_entries(revision, read.entries));
        true
    }

    /// Goes over to what these events made. Whether they changed any resource.
    pub(super) fn apply(&mut self, events: &[Event]) -> bool {
        let mut revision = self.inventory.revision();
        let mut changes = Vec::new();
        for Event { kind, kv } in events {
            let Place::Resource(key) = self.layout.place(&kv.key.0) else {
                continue;
            };
            revision = revision.max(kv.mod_revision);
            let entry = match kind {
                EventKind::Put => Some(self.entry(&key, kv)),
                EventKind::Delete => None,
            };
            changes.push((key, entry));
        }
        if changes.is_empty() {
            return false;
        }
        self.inventory = Arc::new(self.inventory.with(revision, changes));
        true
    }

    fn entry(&self, key: &Key, kv: &KeyValue) -> Entry {
        let read = document(key, &kv.value.0);
        let value = match self.seal.open(key, &read) {
            std::borrow::Cow::Borrowed(_) => read,
            std::borrow::Cow::Owned(opened) => opened,
        };
        Entry {
            value: self.kept(key, value),
            created: kv.create_revision,
            modified: kv.mod_revision,
            expires: self.expires(kv.lease),
        }
    }

    /// The object of the same value that is there already, if there is one.
    fn kept(&self, key: &Key, value: Value) -> Arc<Value> {
        match self.inventory.get(key) {
            Some(known) if *known.value == value => Arc::clone(&known.value),
            _ => {
                let drafted = self.ours.drafted(key, &value);
                drafted.unwrap_or_else(|| Arc::new(value))
            }
        }
    }

    fn expires(&self, lease: u64) -> Option<SystemTime> {
        (lease != 0).then(|| self.ours.expiry(lease)).flatten()
    }
}

impl Reading<'_> {
    /// Takes some of what etcd holds.
    pub(super) fn take(&mut self, kvs: &[KeyValue]) {
        for kv in kvs {
            match self.mirror.layout.place(&kv.key.0) {
                Place::Resource(key) => {
                    let entry = self.mirror.entry(&key, kv);
                    self.entries.insert(key, entry);
                }
                Place::Beside => {}
                Place::Unknown(collection) => {
                    self.unknown.insert(collection.to_owned());
                }
            }
        }
    }

    /// That was all.
    pub(super) fn finish(self) -> Read {
        Read {
            entries: self.entries,
            unknown: self.unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::api::Bytes64;
    use super::*;

    fn mirror() -> Mirror {
        Mirror::new(
            Arc::new(Layout::new("/apisix")),
            Arc::default(),
            Arc::default(),
            Arc::default(),
        )
    }

    fn kv(key: &str, value: &str, revision: u64) -> KeyValue {
        KeyValue {
            key: Bytes64(format!("/apisix/{key}").into_bytes()),
            value: Bytes64(value.as_bytes().to_vec()),
            create_revision: 1,
            mod_revision: revision,
            lease: 0,
        }
    }

    fn put(key: &str, value: &str, revision: u64) -> Event {
        Event {
            kind: EventKind::Put,
            kv: kv(key, value, revision),
        }
    }

    fn load(mirror: &mut Mirror, kvs: &[KeyValue], revision: u64) -> bool {
        let mut reading = mirror.read();
        reading.take(kvs);
        let read = reading.finish();
        mirror.replace(read, revision)
    }

    fn value(mirror: &Mirror, key: &str) -> Arc<Value> {
        let key: Key = key.parse().unwrap();
        Arc::clone(&mirror.inventory().get(&key).unwrap().value)
    }

    #[test]
    fn what_did_not_change_stays_the_same_object_when_all_is_read_again() {
        let mut mirror = mirror();
        let (a, b) = (r#"{"id":"a","uri":"/a"}"#, r#"{"id":"b","uri":"/b"}"#);
        assert!(load(
            &mut mirror,
            &[kv("routes/a", a, 2), kv("routes/b", b, 3)],
            3
        ));
        let before = (value(&mirror, "routes/a"), value(&mirror, "routes/b"));
        let changed = r#"{"id":"b","uri":"/c"}"#;
        assert!(load(
            &mut mirror,
            &[kv("routes/a", a, 2), kv("routes/b", changed, 9)],
            9
        ));
        assert!(Arc::ptr_eq(&before.0, &value(&mirror, "routes/a")));
        assert!(!Arc::ptr_eq(&before.1, &value(&mirror, "routes/b")));
        assert_eq!(mirror.inventory().revision(), 9);
        // Read once more, nothing changes, however far etcd has come.
        assert!(!load(
            &mut mirror,
            &[kv("routes/a", a, 2), kv("routes/b", changed, 9)],
            20
        ));
        assert_eq!(mirror.inventory().revision(), 9);
    }

    #[test]
    fn that_there_is_nothing_is_news_the_first_time() {
        let mut mirror = mirror();
        assert!(load(&mut mirror, &[], 5));
        assert_eq!(mirror.inventory().revision(), 5);
        assert!(!load(&mut mirror, &[], 6));
    }

    #[test]
    fn events_change_what_they_name_and_nothing_else() {
        let mut mirror = mirror();
        let a = r#"{"id":"a","uri":"/a"}"#;
        load(&mut mirror, &[kv("routes/a", a, 2)], 2);
        let before = value(&mirror, "routes/a");
        assert!(mirror.apply(&[put("upstreams/u", r#"{"nodes":{}}"#, 4)]));
        assert!(Arc::ptr_eq(&before, &value(&mirror, "routes/a")));
        assert_eq!(
            *value(&mirror, "upstreams/u"),
            json!({"nodes": {}, "id": "u"})
        );
        assert_eq!(mirror.inventory().revision(), 4);
        let gone = Event {
            kind: EventKind::Delete,
            kv: kv("routes/a", "", 6),
        };
        assert!(mirror.apply(&[gone]));
        let key: Key = "routes/a".parse().unwrap();
        assert!(mirror.inventory().get(&key).is_none());
        assert_eq!(mirror.inventory().revision(), 6);
    }

    #[test]
    fn what_is_no_resource_changes_nothing_and_is_named_if_it_may_be_missed() {
        let mut mirror = mirror();
        let mut reading = mirror.read();
        reading.take(&[
            kv("routes/", "init_dir", 2),
            kv("data_plane/server_info/x", "{}", 3),
            kv("stream_routes/1", "{}", 4),
        ]);
        let read = reading.finish();
        assert_eq!(read.unknown, BTreeSet::from(["stream_routes".to_owned()]));
        mirror.replace(read, 4);
        assert_eq!(mirror.inventory().iter().count(), 0);
        let before = Arc::clone(mirror.inventory());
        assert!(!mirror.apply(&[put("data_plane/server_info/x", "{}", 5)]));
        assert!(Arc::ptr_eq(&before, mirror.inventory()));
    }

    #[test]
    fn a_value_that_is_no_json_is_there_and_no_resource() {
        let mut mirror = mirror();
        load(&mut mirror, &[kv("routes/a", "{broken", 2)], 2);
        assert_eq!(*value(&mirror, "routes/a"), json!("{broken"));
    }
}
