//! Writing the parts of a request target: what is percent-encoded where.
//!
//! Knows bytes only; which text stands where is said by those who write it.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::{BadPath, normalise};

/// What may stand in a path unencoded: `pchar` and `/` of RFC 3986, section
/// 3.3. The percent sign is not among it: decoded bytes are encoded.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What a path that is encoded already cannot hold: it would end the path or
/// the request line, or is not taken by `http`'s parser. What RFC 3986 forbids
/// beyond that passes, as it does when a client sends it.
const ENCODED_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`');

/// The same for a query.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');
const QUERY_VALUE: &AsciiSet = &QUERY.add(b'?');
const QUERY_DECODED: &AsciiSet = &QUERY_VALUE.add(b'%');

/// A path to send in place of the client's, decoded and as it is sent.
///
/// Invariants: both begin with a slash, and the encoded one is of ASCII that
/// can stand in a request target's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPath {
    pub(super) decoded: Bytes,
    pub(super) encoded: Bytes,
}

impl NewPath {
    /// A path of decoded bytes, which are percent-encoded so that none of
    /// them can end the path. One without a slash at its begin gets it: such
    /// a target would join the authority.
    #[must_use]
    pub fn from_decoded(mut decoded: Vec<u8>) -> Self {
        if decoded.first() != Some(&b'/') {
            decoded.insert(0, b'/');
        }
        let encoded = match Cow::from(percent_encode(&decoded, PATH)) {
            Cow::Borrowed(_) => None,
            Cow::Owned(encoded) => Some(Bytes::from(encoded)),
        };
        let decoded = Bytes::from(decoded);
        let encoded = encoded.unwrap_or_else(|| decoded.clone());
        NewPath { decoded, encoded }
    }

    /// A path that is encoded already; only bytes that no path can hold are
    /// encoded.
    ///
    /// # Errors
    /// [`BadPath`] where it cannot be decoded and normalised.
    pub fn from_encoded(text: &[u8]) -> Result<Self, BadPath> {
        let slash = if text.starts_with(b"/") { "" } else { "/" };
        let encoded = format!("{slash}{}", percent_encode(text, ENCODED_PATH));
        let decoded = match normalise(encoded.as_bytes())? {
            Cow::Borrowed(_) => None,
            Cow::Owned(decoded) => Some(Bytes::from(decoded)),
        };
        let encoded = Bytes::from(encoded);
        let decoded = decoded.unwrap_or_else(|| encoded.clone());
        Ok(NewPath { decoded, encoded })
    }
}

/// What a text that goes into a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryText {
    /// Part of a query, encoded already; only what no query can hold is encoded.
    Query,
    /// A value from somewhere else, perhaps encoded; a question mark is
    /// encoded too, as APISIX does.
    Value,
    /// Decoded text, such as a part of a path; percent signs are encoded too.
    /// `&`, `=` and `+` stay: such a text may be a whole list of arguments.
    Decoded,
}

/// Appends `text` to `query` in a form that can be sent.
pub fn push_query(query: &mut Vec<u8>, text: &[u8], kind: QueryText) {
    let set = match kind {
        QueryText::Query => QUERY,
        QueryText::Value => QUERY_VALUE,
        QueryText::Decoded => QUERY_DECODED,
    };
    for part in percent_encode(text, set) {
        query.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(path: &NewPath) -> (&str, &str) {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        (text(&path.decoded), text(&path.encoded))
    }

    #[test]
    fn decoded_bytes_cannot_end_the_path() {
        for (decoded, encoded) in [
            ("/a/b.c;d=e", "/a/b.c;d=e"),
            ("/a b?c#d%41\r\n", "/a%20b%3Fc%23d%2541%0D%0A"),
            ("/caf\u{e9}", "/caf%C3%A9"),
        ] {
            let path = NewPath::from_decoded(decoded.into());
            assert_eq!(both(&path), (decoded, encoded));
        }
        assert_eq!(both(&NewPath::from_decoded("a".into())), ("/a", "/a"));
        assert_eq!(both(&NewPath::from_decoded(Vec::new())), ("/", "/"));
    }

    #[test]
    fn an_encoded_path_keeps_what_it_can() {
        for (text, decoded, encoded) in [
            ("/a%2Fb/../c%20d", "/a/c d", "/a%2Fb/../c%20d"),
            ("/a{b}|\"", "/a{b}|\"", "/a{b}|\""),
            ("/a b?\u{e9}", "/a b?\u{e9}", "/a%20b%3F%C3%A9"),
            ("a//b", "/a/b", "/a//b"),
        ] {
            let path = NewPath::from_encoded(text.as_bytes()).unwrap();
            assert_eq!(both(&path), (decoded, encoded), "{text}");
        }
        assert_eq!(NewPath::from_encoded(b"/a%"), Err(BadPath::Escape));
        assert_eq!(NewPath::from_encoded(b"/../a"), Err(BadPath::AboveRoot));
    }

    #[test]
    fn a_query_takes_each_kind_of_text_in_its_way() {
        let text = b"a=%41?b&c+d e#\"<>\r\xff";
        for (kind, sent) in [
            (QueryText::Query, "a=%41?b&c+d%20e%23%22%3C%3E%0D%FF"),
            (QueryText::Value, "a=%41%3Fb&c+d%20e%23%22%3C%3E%0D%FF"),
            (QueryText::Decoded, "a=%2541%3Fb&c+d%20e%23%22%3C%3E%0D%FF"),
        ] {
            let mut query = b"x=1&".to_vec();
            push_query(&mut query, text, kind);
            assert_eq!(String::from_utf8(query).unwrap(), format!("x=1&{sent}"));
        }
    }
}
