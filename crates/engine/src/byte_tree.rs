//! A map from byte strings to values, whose versions share what they have in common.
//!
//! It is a radix tree: a change copies the nodes on the way to its key and leaves the
//! others to both versions, so it costs the length of the key and not the size of the
//! map, and so does dropping one of the versions. One walk along a text finds all keys
//! that the text begins with.

use std::sync::Arc;

/// Invariants: a node but the root has a label, and a value or several children; the
/// labels of a node's children begin with the bytes of `firsts`, which are in order.
#[derive(Debug, Clone)]
pub(crate) struct ByteTree<T> {
    /// Its label is empty.
    root: Arc<Node<T>>,
}

#[derive(Debug, Clone)]
struct Node<T> {
    /// What follows after the labels above.
    label: Box<[u8]>,
    value: Option<T>,
    firsts: Vec<u8>,
    children: Vec<Arc<Node<T>>>,
}

impl<T> Default for ByteTree<T> {
    fn default() -> Self {
        ByteTree {
            root: Arc::new(Node::new(&[])),
        }
    }
}

impl<T> ByteTree<T> {
    /// Whether there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&T> {
        let mut here = &*self.root;
        let mut rest = key;
        while !rest.is_empty() {
            (here, rest) = here.below(rest)?;
        }
        here.value.as_ref()
    }

    /// What `wanted` makes of the first value that it likes, of those whose keys `text`
    /// begins with, longest key first. It is told whether the key is all of the text.
    pub(crate) fn find<'t, R>(
        &'t self,
        text: &[u8],
        mut wanted: impl FnMut(&'t T, bool) -> Option<R>,
    ) -> Option<R> {
        self.root.find(text, &mut wanted)
    }
}

impl<T: Clone> ByteTree<T> {
    /// Changes the value of `key`, which may be none before and after.
    pub(crate) fn change(&mut self, key: &[u8], change: impl FnOnce(&mut Option<T>)) {
        Arc::make_mut(&mut self.root).change(key, change);
    }
}

impl<T> Node<T> {
    fn new(label: &[u8]) -> Self {
        Node {
            label: label.into(),
            value: None,
            firsts: Vec::new(),
            children: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.value.is_none() && self.children.is_empty()
    }

    /// The child that `text` leads to, and what is left of the text there.
    fn below<'k>(&self, text: &'k [u8]) -> Option<(&Self, &'k [u8])> {
        let at = memchr::memchr(*text.first()?, &self.firsts)?;
        let child = &*self.children[at];
        Some((child, text.strip_prefix(&*child.label)?))
    }

    fn find<'t, R>(
        &'t self,
        text: &[u8],
        wanted: &mut impl FnMut(&'t T, bool) -> Option<R>,
    ) -> Option<R> {
        if let Some((child, rest)) = self.below(text)
            && let Some(found) = child.find(rest, wanted)
        {
            return Some(found);
        }
        wanted(self.value.as_ref()?, text.is_empty())
    }
}

impl<T: Clone> Node<T> {
    fn change(&mut self, key: &[u8], change: impl FnOnce(&mut Option<T>)) {
        let Some(first) = key.first() else {
            return change(&mut self.value);
        };
        match self.firsts.binary_search(first) {
            Ok(at) => {
                let child = Arc::make_mut(&mut self.children[at]);
                let common = common_len(&child.label, key);
                if common < child.label.len() {
                    child.split(common);
                }
                child.change(&key[common..], change);
                if child.is_empty() {
                    self.firsts.remove(at);
                    self.children.remove(at);
                } else {
                    child.join();
                }
            }
            Err(at) => {
                let mut leaf = Node::new(key);
                change(&mut leaf.value);
                if leaf.value.is_some() {
                    self.firsts.insert(at, *first);
                    self.children.insert(at, Arc::new(leaf));
                }
            }
        }
    }

    /// Ends the label after `len` bytes, and puts what comes then into a child.
    fn split(&mut self, len: usize) {
        let mut upper = Node::new(&self.label[..len]);
        self.label = self.label[len..].into();
        std::mem::swap(self, &mut upper);
        self.firsts.push(upper.label[0]);
        self.children.push(Arc::new(upper));
    }

    /// Becomes one with its only child, if there is nothing else in it.
    fn join(&mut self) {
        if self.value.is_some() || self.children.len() != 1 {
            return;
        }
        if let Some(only) = self.children.pop() {
            let mut only = Arc::unwrap_or_clone(only);
            only.label = [&*self.label, &*only.label].concat().into();
            *self = only;
        }
    }
}

fn common_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn tree(keys: &[&'static str]) -> ByteTree<&'static str> {
        let mut tree = ByteTree::default();
        for &key in keys {
            tree.change(key.as_bytes(), |value| *value = Some(key));
        }
        tree
    }

    /// All keys that `text` begins with, in the order in which they are found.
    fn prefixes<T: Clone>(tree: &ByteTree<T>, text: &str) -> Vec<(T, bool)> {
        let mut found = Vec::new();
        tree.find(text.as_bytes(), |value, whole| {
            found.push((value.clone(), whole));
            None::<()>
        });
        found
    }

    #[test]
    fn the_longest_key_comes_first() {
        let tree = tree(&["/", "/a/", "/a/b", "/a/c", "/b"]);
        let found = |text| prefixes(&tree, text);
        assert_eq!(
            found("/a/bc"),
            [("/a/b", false), ("/a/", false), ("/", false)]
        );
        assert_eq!(
            found("/a/b"),
            [("/a/b", true), ("/a/", false), ("/", false)]
        );
        assert_eq!(found("/ab"), [("/", false)]);
        assert_eq!(found("x"), []);
    }

    #[test]
    fn a_change_leaves_other_versions_alone_and_shares_their_nodes() {
        let before = tree(&["/a/1", "/a/2", "/b/1"]);
        let mut after = before.clone();
        after.change(b"/a/1", |value| *value = Some("other"));
        assert_eq!(before.get(b"/a/1"), Some(&"/a/1"));
        assert_eq!(after.get(b"/a/1"), Some(&"other"));
        let place = |tree: &ByteTree<&'static str>, key: &[u8]| -> *const &'static str {
            tree.get(key).unwrap()
        };
        assert_eq!(place(&before, b"/b/1"), place(&after, b"/b/1"));
    }

    /// What the tree promises of its shape.
    fn check_shape<T>(node: &Node<T>, is_root: bool) {
        if !is_root {
            assert!(!node.label.is_empty());
            assert!(node.value.is_some() || node.children.len() > 1);
        }
        assert!(node.firsts.is_sorted());
        let firsts = node.children.iter().map(|child| child.label[0]);
        assert_eq!(firsts.collect::<Vec<_>>(), node.firsts);
        node.children
            .iter()
            .for_each(|child| check_shape(child, false));
    }

    proptest! {
        #[test]
        fn it_is_a_map(changes in prop::collection::vec(("[ab]{0,4}", any::<bool>()), 0..40),
                       text in "[ab]{0,6}") {
            let mut tree = ByteTree::default();
            let mut map = BTreeMap::new();
            for (key, put) in changes {
                let value = put.then(|| key.clone());
                tree.change(key.as_bytes(), |it| *it = value.clone());
                match value {
                    Some(value) => map.insert(key, value),
                    None => map.remove(&key),
                };
                check_shape(&tree.root, true);
            }
            for (key, value) in &map {
                prop_assert_eq!(tree.get(key.as_bytes()), Some(value));
            }
            prop_assert_eq!(tree.is_empty(), map.is_empty());
            prop_assert_eq!(tree.get(text.as_bytes()), map.get(&text));
            let mut expected: Vec<_> = map.keys().filter(|key| text.starts_with(*key)).collect();
            expected.sort_by_key(|key| std::cmp::Reverse(key.len()));
            let expected: Vec<_> = expected.into_iter().map(|key| (key.clone(), *key == text)).collect();
            prop_assert_eq!(prefixes(&tree, &text), expected);
        }
    }
}
