//! The patterns that a route's `uri` can be.

use std::fmt;

use crate::limits;
use crate::read::At;

/// What the path of a request must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UriPattern {
    /// Exactly this.
    Exact(String),
    /// It begins with this: `/a/*` is `Prefix("/a/")`, `/*` is `Prefix("/")`.
    Prefix(String),
    /// It has an asterisk elsewhere than at its end, as `/a/*/c`.
    Glob(Glob),
}

impl UriPattern {
    /// Takes a pattern apart. Any text is a pattern.
    pub fn new(text: &str) -> Self {
        match text.find('*') {
            None => Self::Exact(text.to_owned()),
            Some(place) if place + 1 == text.len() => Self::Prefix(text[..place].to_owned()),
            Some(prefix_len) => Self::Glob(Glob {
                text: text.to_owned(),
                prefix_len,
            }),
        }
    }

    /// Whether `path` is what the pattern describes.
    pub fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(text) => path == text.as_bytes(),
            Self::Prefix(prefix) => path.starts_with(prefix.as_bytes()),
            Self::Glob(glob) => glob.matches(path),
        }
    }

    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        at.text(1..=limits::URI_CHARS).map(Self::new)
    }
}

/// The pattern as it was written.
impl fmt::Display for UriPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Glob(glob) => f.write_str(&glob.text),
        }
    }
}

/// A pattern with an asterisk elsewhere than at its end. Each asterisk stands for
/// any characters, slashes too, or none; the rest stands for itself.
///
/// In APISIX an asterisk that does not begin a segment (`/a*b`) cuts the pattern
/// off there; here it is no different from the others.
///
/// Invariant: `text` has its first asterisk at `prefix_len`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob {
    text: String,
    prefix_len: usize,
}

impl Glob {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What comes before the first asterisk.
    pub fn prefix(&self) -> &str {
        &self.text[..self.prefix_len]
    }

    /// Whether the whole of `path`, which need not be UTF-8, is what the pattern
    /// describes.
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(mut rest) = path.strip_prefix(self.prefix().as_bytes()) else {
            return false;
        };
        let pieces = self.text[self.prefix_len + 1..].split('*');
        let mut pieces = pieces.map(str::as_bytes).peekable();
        // Each piece is taken where it first occurs: what an earlier asterisk
        // does not take, a later one can. Only the last has to end the path.
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return rest.ends_with(piece);
            }
            let Some(place) = memchr::memmem::find(rest, piece) else {
                return false;
            };
            rest = &rest[place + piece.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asterisk_at_the_end_makes_a_prefix() {
        assert_eq!(UriPattern::new("/a"), UriPattern::Exact("/a".into()));
        assert_eq!(UriPattern::new("/a/*"), UriPattern::Prefix("/a/".into()));
        assert_eq!(UriPattern::new("/*"), UriPattern::Prefix("/".into()));
        assert_eq!(UriPattern::new("*"), UriPattern::Prefix(String::new()));
    }

    /// The rows are what APISIX answers (reference: "an asterisk in the middle of a uri").
    #[test]
    fn an_asterisk_in_the_middle_takes_slashes_too() {
        let rows = [
            ("/a/*/c", "/a/x/c", true),
            ("/a/*/c", "/a/x/y/c", true),
            ("/a/*/c", "/a/c", false),
            ("/a/*/c", "/a/x/d", false),
            ("/a/*/c", "/a/x/c/e", false),
            ("/b/*/d/*", "/b/1/d/2", true),
            ("/b/*/d/*", "/b/1/d", false),
            ("/a/*/c", "/a/*/c", true),
        ];
        for (pattern, path, expected) in rows {
            let matches = UriPattern::new(pattern).matches(path.as_bytes());
            assert_eq!(matches, expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn pieces_do_not_overlap() {
        assert!(!UriPattern::new("/ab*ba").matches(b"/aba"));
        assert!(UriPattern::new("/ab*ba").matches(b"/abba"));
        assert!(!UriPattern::new("/*ab*b").matches(b"/ab"));
        assert!(UriPattern::new("/**/x").matches(b"/a/x"));
    }

    #[test]
    fn is_shown_as_it_was_written() {
        for text in ["/a", "/a/*", "*", "/a/*/c", "/a*b*"] {
            assert_eq!(UriPattern::new(text).to_string(), text);
        }
    }
}
