//! Things that are found by key for as long as somebody holds them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

/// Remembers values without keeping them alive.
#[derive(Debug)]
pub(crate) struct Held<K, V> {
    values: HashMap<K, Weak<V>>,
    /// The size at which those that nobody holds are looked for.
    clean_at: usize,
}

/// The least size at which looking is worth it.
const CLEAN_AT_LEAST: usize = 64;

impl<K, V> Default for Held<K, V> {
    fn default() -> Self {
        Held {
            values: HashMap::new(),
            clean_at: CLEAN_AT_LEAST,
        }
    }
}

impl<K: Eq + Hash, V> Held<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.values.get(key).and_then(Weak::upgrade)
    }

    /// Remembers `value`; what nobody holds any more does not pile up.
    pub(crate) fn insert(&mut self, key: K, value: &Arc<V>) {
        if self.values.len() >= self.clean_at {
            self.clean();
            self.clean_at = CLEAN_AT_LEAST.max(self.values.len() * 2);
        }
        self.values.insert(key, Arc::downgrade(value));
    }

    /// How many are held.
    pub(crate) fn count(&mut self) -> usize {
        self.clean();
        self.values.len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<V>> {
        self.values.values().filter_map(Weak::upgrade).collect()
    }

    fn clean(&mut self) {
        self.values.retain(|_, value| value.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let mut held = Held::default();
        let kept = Arc::new("kept");
        held.insert(0, &kept);
        for key in 1..10_000 {
            held.insert(key, &Arc::new("dropped"));
        }
        assert!(held.values.len() <= CLEAN_AT_LEAST + 1);
        assert_eq!(held.get(&0).as_deref(), Some(&"kept"));
        assert_eq!(held.get(&9_999), None);
        assert_eq!((held.count(), held.all().len()), (1, 1));
    }
}
