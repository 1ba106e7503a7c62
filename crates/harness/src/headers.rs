//! Header lines as they were on the wire: in order, with duplicates, names in
//! the case they were sent in, values as bytes.

use std::fmt;

/// One header line.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: Vec<u8>,
    text: String,
}

impl Header {
    fn new(name: &str, value: &[u8]) -> Self {
        let text = match std::str::from_utf8(value) {
            Ok(text) => text.to_owned(),
            Err(_) => value.iter().copied().map(char::from).collect(),
        };
        Self {
            name: name.to_owned(),
            value: value.to_vec(),
            text,
        }
    }

    /// The name in the case it was sent in.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.value
    }

    /// The value as text: UTF-8, or one character per byte if it is not UTF-8.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value.escape_ascii())
    }
}

/// The header lines of a message, in the order they came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// Appends one line.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.0.push(Header::new(name, value));
    }

    /// All lines in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// The number of lines.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first value of `name`, whatever its case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named(name).next().map(Header::text)
    }

    /// The first value of `name` as bytes.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.named(name).next().map(Header::bytes)
    }

    /// Every value of `name` in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.named(name).map(Header::text).collect()
    }

    /// Every name in order, in lower case.
    pub fn names(&self) -> Vec<String> {
        self.iter()
            .map(|header| header.name.to_ascii_lowercase())
            .collect()
    }

    /// Whether the comma-separated values of `name` list `token`.
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.named(name)
            .flat_map(|header| header.text.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Header> {
        self.iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_keep_their_order_and_names_their_case() {
        let mut headers = Headers::default();
        headers.push("Set-Cookie", b"a=1");
        headers.push("X-Raw", b"\xe9");
        headers.push("set-cookie", b"b=2");
        assert_eq!(headers.all("SET-COOKIE"), ["a=1", "b=2"]);
        assert_eq!(headers.iter().next().unwrap().name(), "Set-Cookie");
        assert_eq!(headers.bytes("x-raw"), Some(&b"\xe9"[..]));
        assert_eq!(headers.get("x-raw"), Some("é"));
        assert_eq!(headers.get("x-none"), None);
    }

    #[test]
    fn a_token_is_found_in_a_list_over_several_lines() {
        let mut headers = Headers::default();
        headers.push("Connection", b"x-a");
        headers.push("Connection", b"x-b, Close");
        assert!(headers.lists("connection", "close"));
        assert!(!headers.lists("connection", "keep-alive"));
    }
}
