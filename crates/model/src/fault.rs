//! What is wrong with a document, and where.

use std::fmt;

use crate::{Id, Kind, PropertyPath, Segment};

/// One thing that is wrong with a document.
///
/// The message never repeats a value that could be a secret: it names what was
/// expected, and of what was found only the type, unless the property is known to be public.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The property that is wrong, or the object that lacks one.
    pub path: PropertyPath,
    /// What is wrong with it.
    pub message: String,
}

impl Fault {
    /// The fault in a sentence of APISIX: `property "a" validation failed: failed to
    /// validate item 1: …`.
    pub fn in_words(&self) -> String {
        let mut words = String::new();
        for segment in self.path.segments() {
            match segment {
                Segment::Key(key) => {
                    words.push_str(&format!("property \"{key}\" validation failed: "));
                }
                Segment::Index(index) => {
                    words.push_str(&format!("failed to validate item {}: ", index + 1));
                }
            }
        }
        words.push_str(&self.message);
        words
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_root() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// Everything that is wrong with a document, in the order in which it was read.
///
/// Invariant: not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// None if there is no fault.
    pub fn new(faults: Vec<Fault>) -> Option<Self> {
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// The first of them.
    pub fn into_first(self) -> Fault {
        self.0
            .into_iter()
            .next()
            .expect("there are no faults without one")
    }

    /// The faults, one after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A property of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// What the resource is.
    pub kind: Kind,
    /// Which one it is.
    pub id: Id,
    /// Where in it.
    pub path: PropertyPath,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)?;
        if !self.path.is_root() {
            write!(f, ": {}", self.path)?;
        }
        Ok(())
    }
}

/// A resource that reads well means nothing that can work: it names another
/// that does not exist, or a plugin refuses its configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct Invalid {
    /// The property at fault.
    pub at: Place,
    /// What is wrong with it.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_comes_before_what_is_wrong() {
        let fault = Fault {
            path: PropertyPath::root().key("conf").index(0),
            message: "property \"value\" is required".to_owned(),
        };
        assert_eq!(
            fault.in_words(),
            "property \"conf\" validation failed: failed to validate item 1: \
             property \"value\" is required"
        );
        assert_eq!(fault.to_string(), "conf[0]: property \"value\" is required");
    }
}
