//! Where in a document a property stands.

use std::fmt;

/// One step down into a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// Into the property of this name.
    Key(String),
    /// Into the item of this number, counted from 0.
    Index(usize),
}

/// The way from a document's root to one of its properties.
///
/// Shown as `plugins.proxy-rewrite.uri` or `conf[0].name`; a key that would not
/// read well in between, as `nodes["127.0.0.1:80"]`. The root is shown as nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PropertyPath(Vec<Segment>);

impl PropertyPath {
    /// The document itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The steps, from the root down.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether this is the document itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one more step, into a property.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.push(Segment::Key(key.into()));
        self
    }

    /// Takes one more step, into an item.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    /// Goes on from here along `rest`.
    #[must_use]
    pub fn join(mut self, rest: &PropertyPath) -> Self {
        self.0.extend_from_slice(&rest.0);
        self
    }
}

impl FromIterator<Segment> for PropertyPath {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self(segments.into_iter().collect())
    }
}

impl fmt::Display for PropertyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if reads_well(key) => {
                    if place > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(key)?;
                }
                Segment::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

fn reads_well(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_as_people_write_it() {
        let root = PropertyPath::root();
        assert_eq!(root.to_string(), "");
        let name = root.key("conf").index(0).key("name");
        assert_eq!(name.to_string(), "conf[0].name");
        let node = PropertyPath::root().key("nodes").key("127.0.0.1:80");
        assert_eq!(node.to_string(), r#"nodes["127.0.0.1:80"]"#);
        assert_eq!(PropertyPath::root().key("").to_string(), r#"[""]"#);
    }

    #[test]
    fn goes_on_along_another() {
        let plugin = PropertyPath::root().key("plugins").key("cors");
        let inside = PropertyPath::root().key("max_age");
        assert_eq!(plugin.join(&inside).to_string(), "plugins.cors.max_age");
    }
}
