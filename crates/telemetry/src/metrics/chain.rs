//! A few values by key that are found and added without a lock: a chain that
//! only grows, up to a limit.
//!
//! Meant for one worker's part of a series: keys are few and come early, so
//! that looking one up is a handful of comparisons. Several threads may share
//! one; whoever comes second with a new key waits for the first to store it.

use std::sync::OnceLock;

#[derive(Debug)]
pub(crate) struct Chain<K, V>(OnceLock<Box<Link<K, V>>>);

#[derive(Debug)]
struct Link<K, V> {
    key: K,
    value: V,
    next: Chain<K, V>,
}

impl<K, V> Default for Chain<K, V> {
    fn default() -> Self {
        Chain(OnceLock::new())
    }
}

impl<K, V: Default> Chain<K, V> {
    /// The value of the key that `is` recognises; where there is none yet,
    /// `make` makes the key. `None` if there are `limit` others already.
    pub(crate) fn find(
        &self,
        limit: usize,
        is: impl Fn(&K) -> bool,
        make: impl Fn() -> K,
    ) -> Option<&V> {
        let mut place = self;
        for _ in 0..limit {
            let link = place.0.get_or_init(|| {
                Box::new(Link {
                    key: make(),
                    value: V::default(),
                    next: Chain::default(),
                })
            });
            if is(&link.key) {
                return Some(&link.value);
            }
            place = &link.next;
        }
        None
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let first = self.0.get();
        let links = std::iter::successors(first, |link| link.next.0.get());
        links.map(|link| (&link.key, &link.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::cells::Counter;

    #[test]
    fn each_key_has_its_value_until_the_limit() {
        let chain: Chain<u16, Counter> = Chain::default();
        let count = |key: u16| {
            let found = chain.find(2, |known| *known == key, || key);
            found.map(|counter| counter.add(1)).is_some()
        };
        assert!(count(200) && count(404) && count(200));
        assert!(!count(500), "the chain is full");
        assert!(count(404));
        let all: Vec<_> = chain.iter().map(|(key, n)| (*key, n.get())).collect();
        assert_eq!(all, [(200, 2), (404, 2)]);
    }
}
