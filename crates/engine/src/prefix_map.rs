//! A map from byte strings to values that finds all keys that are prefixes of
//! a text, longest first, in the time of one binary search.

/// Invariant: `entries` is sorted by key without doubles, and each `parent`
/// is the index of the longest other key that is a prefix of the entry's.
#[derive(Debug, Clone)]
pub(crate) struct PrefixMap<T> {
    entries: Vec<Entry<T>>,
}

#[derive(Debug, Clone)]
struct Entry<T> {
    key: Box<[u8]>,
    value: T,
    parent: Option<usize>,
}

impl<T> PrefixMap<T> {
    /// Builds the map from distinct keys.
    pub(crate) fn new(pairs: impl IntoIterator<Item = (Vec<u8>, T)>) -> Self {
        let mut entries: Vec<Entry<T>> = pairs
            .into_iter()
            .map(|(key, value)| Entry {
                key: key.into(),
                value,
                parent: None,
            })
            .collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        // A key's prefixes come before it, nested like brackets.
        let mut open: Vec<usize> = Vec::new();
        for at in 0..entries.len() {
            while let Some(&outer) = open.last()
                && !entries[at].key.starts_with(&entries[outer].key)
            {
                open.pop();
            }
            entries[at].parent = open.last().copied();
            open.push(at);
        }
        PrefixMap { entries }
    }

    /// Whether there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The values whose keys `text` starts with, longest key first.
    ///
    /// Whatever sorts between a prefix of `text` and `text` itself has that
    /// prefix too; so the last key not after `text` is the longest prefix or
    /// has it among its parents.
    pub(crate) fn prefixes_of<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = &'a T> {
        let after = self.entries.partition_point(|entry| &*entry.key <= text);
        let mut next = after.checked_sub(1);
        std::iter::from_fn(move || {
            loop {
                let entry = &self.entries[next?];
                next = entry.parent;
                if text.starts_with(&entry.key) {
                    return Some(&entry.value);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn prefixes_come_longest_first() {
        let keys = ["/", "/a/", "/a/b", "/a/c", "/b"];
        let map = PrefixMap::new(keys.map(|key| (key.as_bytes().to_vec(), key)));
        let find = |text: &'static str| {
            map.prefixes_of(text.as_bytes())
                .copied()
                .collect::<Vec<_>>()
        };
        assert_eq!(find("/a/bc"), ["/a/b", "/a/", "/"]);
        assert_eq!(find("/a/b"), ["/a/b", "/a/", "/"]);
        assert_eq!(find("/ab"), ["/"]);
        assert_eq!(find("x"), [""; 0]);
    }

    proptest! {
        #[test]
        fn finds_what_a_search_of_all_keys_finds(
            keys in prop::collection::btree_set("[ab]{0,4}", 0..12), text in "[ab]{0,6}",
        ) {
            let keys: BTreeSet<String> = keys;
            let map = PrefixMap::new(keys.iter().map(|key| (key.clone().into_bytes(), key.clone())));
            let mut expected: Vec<&String> = keys.iter().filter(|key| text.starts_with(*key)).collect();
            expected.sort_by_key(|key| std::cmp::Reverse(key.len()));
            let found: Vec<&String> = map.prefixes_of(text.as_bytes()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
