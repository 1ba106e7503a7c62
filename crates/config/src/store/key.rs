//! Keys of resources.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits;

/// What a resource is called, below the prefix that all of them share:
/// `routes/1`, `consumers/jack/credentials/c1`.
///
/// Invariant: an even number of segments, each the name of a collection or an
/// id: not empty, none of `/`, control characters and spaces in it; at most
/// [`limits::KEY_LEN`] bytes. Ids of secrets alone have two segments, of which the
/// first says who keeps them: `secrets/vault/1`.
///
/// Cheap to clone: many states of a store hold the same keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

/// The collection whose ids have two segments.
const SECRETS: &str = "secrets";

/// A text is no [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a key: pairs of a collection and an id, such as routes/1, of at most {} bytes",
    limits::KEY_LEN
)]
pub struct NotAKey;

impl Key {
    /// The key of `id` in `collection`, such as `routes` or
    /// `consumers/jack/credentials`.
    ///
    /// # Errors
    /// [`NotAKey`] where either cannot be a part of one.
    pub fn new(collection: &str, id: &str) -> Result<Self, NotAKey> {
        format!("{collection}/{id}").parse()
    }

    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The collection that it is in: `routes`, `consumers/jack/credentials`.
    pub fn collection(&self) -> &str {
        self.split().0
    }

    /// What kind of resource it names: `routes`, `credentials`.
    pub fn kind(&self) -> &str {
        let collection = self.collection();
        collection
            .rsplit_once('/')
            .map_or(collection, |(_, kind)| kind)
    }

    /// The id within its collection.
    pub fn id(&self) -> &str {
        self.split().1
    }

    /// What all keys of a collection begin with.
    pub fn prefix_of(collection: &str) -> String {
        format!("{collection}/")
    }

    fn split(&self) -> (&str, &str) {
        if let Some((SECRETS, id)) = self.0.split_once('/') {
            return (SECRETS, id);
        }
        self.0.rsplit_once('/').expect("a key has two segments")
    }
}

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let good = |segment: &str| {
            !segment.is_empty() && !segment.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        let segments = text.split('/').count();
        let is_good = match text.split('/').next() {
            Some(SECRETS) => segments == 3,
            _ => segments.is_multiple_of(2),
        };
        if !is_good || text.len() > limits::KEY_LEN || !text.split('/').all(good) {
            return Err(NotAKey);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_knows_its_parts() {
        let key: Key = "consumers/jack/credentials/c1".parse().unwrap();
        assert_eq!(
            (key.collection(), key.kind(), key.id()),
            ("consumers/jack/credentials", "credentials", "c1")
        );
        let key = Key::new("routes", "1").unwrap();
        assert_eq!(
            (key.collection(), key.kind(), key.id()),
            ("routes", "routes", "1")
        );
        let key = Key::new("secrets", "vault/1").unwrap();
        assert_eq!(
            (key.collection(), key.kind(), key.id()),
            ("secrets", "secrets", "vault/1")
        );
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        for text in [
            "",
            "routes",
            "routes/",
            "/routes",
            "a/b/c",
            "a//b/c",
            "a/b c",
            "a/\n",
            "secrets/1",
            "secrets/vault/1/2",
        ] {
            assert_eq!(text.parse::<Key>(), Err(NotAKey), "{text:?}");
        }
        assert!(Key::new("routes", &"x".repeat(limits::KEY_LEN)).is_err());
        assert!(Key::new("routes", "a/b").is_err());
    }
}
