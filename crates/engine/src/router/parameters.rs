//! Patterns with parameters: `/users/:name/*rest`, as the router
//! `radixtree_uri_with_parameter` takes them.
//!
//! A segment `:name` stands for one segment that is not empty, `*name` at the
//! end for everything that is left, which may be nothing. The rest stands for
//! itself.

use outrigger_model::UriPattern;

/// A pattern with at least one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    prefix: Box<[u8]>,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// From one slash up to the next or the end.
    Segment(Box<str>),
    /// What stands between two parameters, or after the last.
    Text(Box<[u8]>),
    /// All that is left.
    Rest(Box<str>),
}

/// Parameters' names, and what they stand for in a path.
pub(crate) type Captured = Vec<(Box<str>, Box<[u8]>)>;

impl Parameters {
    /// `None` for a pattern without parameters.
    pub(super) fn of(pattern: &UriPattern) -> Option<Self> {
        let written = pattern.to_string();
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut segments = written.split('/').enumerate().peekable();
        while let Some((at, segment)) = segments.next() {
            if at > 0 {
                text.push('/');
            }
            let piece = match segment.split_at_checked(1) {
                Some((":", name)) if !name.is_empty() => Piece::Segment(name.into()),
                Some(("*", name)) if segments.peek().is_none() => Piece::Rest(name.into()),
                _ => {
                    text.push_str(segment);
                    continue;
                }
            };
            pieces.push(Piece::Text(std::mem::take(&mut text).into_bytes().into()));
            pieces.push(piece);
        }
        let named = |piece: &Piece| match piece {
            Piece::Segment(_) => true,
            Piece::Rest(name) => !name.is_empty(),
            Piece::Text(_) => false,
        };
        if !pieces.iter().any(named) {
            return None;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.into_bytes().into()));
        }
        // A parameter has text before it, if only an empty one.
        let Piece::Text(prefix) = pieces.remove(0) else {
            return None;
        };
        Some(Self { prefix, pieces })
    }

    /// What every path that matches begins with.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// What the parameters stand for in `path`; `None` where it does not match.
    pub(super) fn capture(&self, path: &[u8]) -> Option<Captured> {
        let mut rest = path.strip_prefix(&*self.prefix)?;
        let mut captured = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => rest = rest.strip_prefix(&**text)?,
                Piece::Segment(name) => {
                    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
                    if end == 0 {
                        return None;
                    }
                    captured.push((name.clone(), rest[..end].into()));
                    rest = &rest[end..];
                }
                Piece::Rest(name) => {
                    captured.push((name.clone(), rest.into()));
                    rest = b"";
                }
            }
        }
        rest.is_empty().then_some(captured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(pattern: &str, path: &str) -> Option<String> {
        let parameters = Parameters::of(&UriPattern::new(pattern)).expect("it has parameters");
        let captured = parameters.capture(path.as_bytes())?;
        let each = captured
            .iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
        Some(each.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn segments_and_the_rest_are_captured() {
        for (pattern, path, expected) in [
            ("/u/:name/o/:id", "/u/jack/o/7", Some("name=jack id=7")),
            ("/u/:name/o/:id", "/u/j k/o/1", Some("name=j k id=1")),
            ("/u/:name/o/:id", "/u/jack/o/", None),
            ("/u/:name/o/:id", "/u/jack/o/7/x", None),
            ("/u/:name/o/:id", "/u//o/7", None),
            ("/u/:name", "/u/jack", Some("name=jack")),
            ("/u/:name", "/u/jack/", None),
            ("/u/:name/", "/u/jack/", Some("name=jack")),
            ("/f/*path", "/f/a/b", Some("path=a/b")),
            ("/f/*path", "/f/", Some("path=")),
            ("/f/*path", "/g/", None),
            ("/:a/*", "/x/y/z", Some("a=x =y/z")),
            ("/:a/:b/*c", "/1/2/3/4", Some("a=1 b=2 c=3/4")),
        ] {
            assert_eq!(
                capture(pattern, path).as_deref(),
                expected,
                "{pattern} on {path}"
            );
        }
    }

    #[test]
    fn a_pattern_without_parameters_is_none() {
        for pattern in ["/a", "/a/*", "/a:b", "/:", "/a/*/c", "*"] {
            assert_eq!(Parameters::of(&UriPattern::new(pattern)), None, "{pattern}");
        }
    }
}
