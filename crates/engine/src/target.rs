//! The request target: what the client asked for, what routes are matched
//! against, and what the upstream is asked for.
//!
//! Untouched parts reach the upstream byte for byte; only a part that a
//! plugin changed is written anew.

use std::borrow::Cow;

use bytes::Bytes;
use http::uri::PathAndQuery;

use crate::args::Args;
use crate::limits::MAX_TARGET;

mod encode;
mod rules;

pub use encode::{NewPath, QueryText, push_query};
pub use rules::PathRules;

/// A path that cannot be decoded and normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// `%` without two hexadecimal digits after it.
    #[error("a percent sign in the path is not followed by two hexadecimal digits")]
    Escape,
    /// An encoded NUL.
    #[error("the path has an encoded NUL byte")]
    Nul,
    /// More `..` than there are segments.
    #[error("the path leads above the root")]
    AboveRoot,
    /// A segment that means another place with its parameters than without.
    #[error("the path has a segment that is nothing but dots, or nothing, before its parameters")]
    Parameters,
    /// Not a path, such as `*`.
    #[error("the request target has no path")]
    NoPath,
}

/// The request target of one request.
#[derive(Debug, Clone)]
pub struct Target {
    original: PathAndQuery,
    /// Decoded and normalised path, where it differs from the original's.
    path: Option<Bytes>,
    /// Path to send, percent-encoded, where a plugin changed it.
    sent_path: Option<Bytes>,
    /// Query to send, where a plugin changed it; `Some(None)`: no query.
    sent_query: Option<Option<Bytes>>,
    rules: PathRules,
}

impl Target {
    /// Takes the target that the client sent.
    ///
    /// # Errors
    /// [`BadPath`] where the path cannot be normalised; the request is to be
    /// answered with 400.
    pub fn new(original: PathAndQuery) -> Result<Self, BadPath> {
        Self::by(PathRules::default(), original)
    }

    /// Takes the target that the client sent, whose path is to be seen by these rules.
    /// The upstream is asked for the path as the client sent it all the same, unless a
    /// plugin changes it.
    ///
    /// # Errors
    /// As [`Target::new`].
    pub fn by(rules: PathRules, original: PathAndQuery) -> Result<Self, BadPath> {
        let path = match rules.apply(normalise(original.path().as_bytes())?)? {
            Cow::Borrowed(path) if path.len() == original.path().len() => None,
            path => Some(path.into_owned().into()),
        };
        Ok(Target {
            original,
            path,
            sent_path: None,
            sent_query: None,
            rules,
        })
    }

    /// The target as the client sent it, with the query (nginx's
    /// `request_uri`).
    #[must_use]
    pub fn original(&self) -> &str {
        self.original.as_str()
    }

    /// The decoded, normalised path without the query, with the changes of
    /// plugins (nginx's `uri`).
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.path
            .as_deref()
            .unwrap_or_else(|| self.original.path().as_bytes())
    }

    /// The query as it will be sent, without the question mark; `None` where
    /// there is no question mark either.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        match &self.sent_query {
            Some(changed) => changed.as_deref(),
            None => self.original.query().map(str::as_bytes),
        }
    }

    /// Whether the path to send is still the client's own.
    #[must_use]
    pub fn path_is_original(&self) -> bool {
        self.sent_path.is_none()
    }

    /// The arguments of the query, decoded, in order.
    #[must_use]
    pub fn args(&self) -> Args<'_> {
        Args::new(self.query().unwrap_or_default())
    }

    /// Replaces the path by decoded bytes; they are percent-encoded so that
    /// no byte of them can end the path. The path that is there already
    /// changes nothing.
    pub fn set_path(&mut self, decoded: &[u8]) {
        if decoded != self.path() {
            self.replace_path(NewPath::from_decoded(decoded.to_vec()));
        }
    }

    /// Replaces the path, even by one that means the same as the client's: the
    /// upstream then sees nothing of the client's spelling.
    pub fn replace_path(&mut self, path: NewPath) {
        self.sent_path = Some(path.encoded);
        self.path = Some(path.decoded);
    }

    /// Takes back all that plugins changed.
    pub fn restore(&mut self) {
        if self.sent_path.is_some() || self.sent_query.is_some() {
            let original = Target::by(self.rules, self.original.clone());
            *self = original.expect("it was taken when the request came");
        }
    }

    /// Replaces the query by text that is already encoded.
    pub fn set_query(&mut self, query: Option<Bytes>) {
        if query.as_deref() != self.query() {
            self.sent_query = Some(query);
        }
    }

    /// Whether path and query together are longer than a target can be.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        let path = self.sent_path.as_deref();
        let path = path.map_or(self.original.path().len(), <[u8]>::len);
        path + self.query().map_or(0, |query| query.len() + 1) > MAX_TARGET
    }

    /// What the upstream is asked for.
    ///
    /// Encoded parts are made of ASCII that is valid in a target, so this
    /// fails only on a query that a plugin set to something else, and on a
    /// target that [is too long](Target::is_too_long).
    ///
    /// # Errors
    /// [`http::uri::InvalidUri`] for such a query.
    pub fn for_upstream(&self) -> Result<PathAndQuery, http::uri::InvalidUri> {
        if self.sent_path.is_none() && self.sent_query.is_none() {
            return Ok(self.original.clone());
        }
        let path = self
            .sent_path
            .as_deref()
            .unwrap_or(self.original.path().as_bytes());
        let query = self.query();
        let mut whole = Vec::with_capacity(path.len() + 1 + query.map_or(0, <[u8]>::len));
        whole.extend_from_slice(path);
        if let Some(query) = query {
            whole.push(b'?');
            whole.extend_from_slice(query);
        }
        PathAndQuery::from_maybe_shared(Bytes::from(whole))
    }
}

/// Decodes percent escapes, merges slashes and resolves dot segments, in this
/// order, as nginx does for `$uri`.
fn normalise(path: &[u8]) -> Result<Cow<'_, [u8]>, BadPath> {
    if path.first() != Some(&b'/') {
        return Err(BadPath::NoPath);
    }
    let plain = memchr::memchr(b'%', path).is_none()
        && !path.windows(2).any(|pair| pair == b"//" || pair == b"/.");
    if plain {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path)?;
    let mut out = Vec::with_capacity(decoded.len());
    let mut segments = decoded[1..].split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = memchr::memrchr(b'/', &out).ok_or(BadPath::AboveRoot)?;
                out.truncate(parent);
            }
            name => {
                out.push(b'/');
                out.extend_from_slice(name);
                if last {
                    return Ok(Cow::Owned(out));
                }
            }
        }
    }
    out.push(b'/');
    Ok(Cow::Owned(out))
}

fn decode(path: &[u8]) -> Result<Vec<u8>, BadPath> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let [high, low, tail @ ..] = rest else {
            return Err(BadPath::Escape);
        };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or(BadPath::Escape);
        let decoded = u8::try_from(digit(high)? * 16 + digit(low)?).expect("two hex digits");
        if decoded == 0 {
            return Err(BadPath::Nul);
        }
        out.push(decoded);
        rest = tail;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(text: &str) -> Result<Target, BadPath> {
        Target::new(text.parse().unwrap())
    }

    fn path(text: &str) -> String {
        String::from_utf8(target(text).unwrap().path().to_vec()).unwrap()
    }

    #[test]
    fn paths_are_decoded_and_normalised_as_nginx_does() {
        for (sent, seen) in [
            ("/", "/"),
            ("/a/b?x=/../", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/c/../b", "/a/b"),
            ("//a//b", "/a/b"),
            ("/a/b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/./", "/"),
            ("/x/%2e%2e/a/b", "/a/b"),
            ("/a%2Fb", "/a/b"),
            ("/a/%2E/b", "/a/b"),
            ("/a%20b", "/a b"),
            ("/a%3Fb", "/a?b"),
            ("/a+b", "/a+b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/...", "/a/..."),
        ] {
            assert_eq!(path(sent), seen, "{sent}");
        }
    }

    #[test]
    fn paths_that_mean_nothing_are_refused() {
        for (sent, error) in [
            ("/a/../../b", BadPath::AboveRoot),
            ("/../a/b", BadPath::AboveRoot),
            ("/x/..%2f..%2fa/b", BadPath::AboveRoot),
            ("/a%00b", BadPath::Nul),
            ("/a%", BadPath::Escape),
            ("/a%2", BadPath::Escape),
            ("/a%zz", BadPath::Escape),
            ("*", BadPath::NoPath),
        ] {
            assert_eq!(target(sent).unwrap_err(), error, "{sent}");
        }
    }

    #[test]
    fn an_untouched_target_is_sent_byte_for_byte() {
        for sent in [
            "/a%2Fb/../c%20d?x=%41",
            "//a//b?",
            "/x?a=%&&=",
            "/?a=../b//c",
        ] {
            let mut target = target(sent).unwrap();
            let same = target.path().to_vec();
            target.set_path(&same);
            assert_eq!(target.for_upstream().unwrap().as_str(), sent);
        }
    }

    #[test]
    fn a_changed_path_is_encoded_and_keeps_the_query() {
        let mut target = target("/a?x=%41").unwrap();
        target.set_path(b"/new path?not=a&query#%41\xff");
        let sent = target.for_upstream().unwrap();
        assert_eq!(sent.as_str(), "/new%20path%3Fnot=a&query%23%2541%FF?x=%41");
        assert_eq!(target.path(), b"/new path?not=a&query#%41\xff");
        target.set_query(None);
        assert_eq!(target.for_upstream().unwrap().query(), None);
    }

    proptest! {
        #[test]
        fn any_path_can_be_set_and_is_read_back(decoded: Vec<u8>) {
            let mut target = target("/was").unwrap();
            target.set_path(&decoded);
            let sent = target.for_upstream().unwrap();
            let text = sent.path().as_bytes();
            prop_assert!(text.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'?'));
            if decoded.starts_with(b"/") && !decoded.contains(&0) {
                prop_assert_eq!(decode(text).unwrap(), decoded);
            }
        }

        #[test]
        fn normalising_never_panics(path in "/[a./%0-9A-F?]{0,30}") {
            if let Ok(uri) = path.parse() {
                let _ = Target::new(uri);
            }
        }
    }
}
