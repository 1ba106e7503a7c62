//! Query arguments: decoded for plugins, changed one by one without touching
//! the text of the others.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use crate::limits::MAX_ARGS;

/// One argument, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg<'a> {
    /// Name, decoded.
    pub name: Cow<'a, [u8]>,
    /// Value, decoded; `None` where there is no equals sign.
    pub value: Option<Cow<'a, [u8]>>,
}

/// The arguments of a query, in order. Iterating decodes them: percent
/// escapes, and `+` as a space; an escape that is none stays as it is.
/// Pieces without a name are left out, as nginx's Lua module does.
#[derive(Debug, Clone)]
pub struct Args<'a> {
    rest: Option<&'a [u8]>,
    seen: usize,
}

impl<'a> Args<'a> {
    /// Reads `query`, the text after the question mark.
    #[must_use]
    pub fn new(query: &'a [u8]) -> Self {
        Args {
            rest: Some(query),
            seen: 0,
        }
    }

    /// The first value of `name` as it stands in the query, not decoded, its
    /// name compared without case (nginx's `arg_NAME`).
    #[must_use]
    pub fn raw(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
        pieces(query).find_map(|piece| {
            let (found, value) = split(piece);
            value.filter(|_| found.eq_ignore_ascii_case(name))
        })
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = Arg<'a>;

    fn next(&mut self) -> Option<Arg<'a>> {
        loop {
            let rest = self.rest?;
            let piece = match memchr::memchr(b'&', rest) {
                Some(at) => {
                    self.rest = Some(&rest[at + 1..]);
                    &rest[..at]
                }
                None => {
                    self.rest = None;
                    rest
                }
            };
            let (name, value) = split(piece);
            if name.is_empty() {
                continue;
            }
            self.seen += 1;
            if self.seen > MAX_ARGS {
                return None;
            }
            return Some(Arg {
                name: decode(name),
                value: value.map(decode),
            });
        }
    }
}

fn pieces(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    query.split(|byte| *byte == b'&')
}

fn split(piece: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'=', piece) {
        Some(at) => (&piece[..at], Some(&piece[at + 1..])),
        None => (piece, None),
    }
}

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return Cow::from(percent_decode(text));
    }
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

/// Unreserved characters of RFC 3986, section 2.3, stay; all else is encoded.
const ARG: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn encode(out: &mut String, name: &[u8], value: Option<&[u8]>) {
    if !out.is_empty() {
        out.push('&');
    }
    out.extend(percent_encode(name, ARG));
    if let Some(value) = value {
        out.push('=');
        out.extend(percent_encode(value, ARG));
    }
}

/// A change of one argument, names and values decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgEdit<'a> {
    /// Takes out every value of the name.
    Remove(&'a [u8]),
    /// Puts one value in place of all values of the name, at the place of
    /// the first, or at the end.
    Set(&'a [u8], &'a [u8]),
    /// Adds a value at the end.
    Append(&'a [u8], &'a [u8]),
}

/// Applies `edits` to `query` and returns the new text; pieces that no edit
/// names keep theirs byte for byte. `None`: no argument is left.
#[must_use]
pub fn edit(query: &[u8], edits: &[ArgEdit<'_>]) -> Option<String> {
    let mut kept: Vec<(Cow<'_, [u8]>, Piece<'_>)> = pieces(query)
        .filter(|piece| !piece.is_empty())
        .map(|piece| (decode(split(piece).0), Piece::Kept(piece)))
        .collect();
    for edit in edits {
        match *edit {
            ArgEdit::Remove(name) => kept.retain(|(found, _)| **found != *name),
            ArgEdit::Append(name, value) => kept.push((Cow::Borrowed(name), Piece::New(value))),
            ArgEdit::Set(name, value) => {
                let at = kept.iter().position(|(found, _)| **found == *name);
                kept.retain(|(found, _)| **found != *name);
                let at = at.unwrap_or(kept.len());
                kept.insert(at, (Cow::Borrowed(name), Piece::New(value)));
            }
        }
    }
    let mut out = String::with_capacity(query.len());
    for (name, piece) in &kept {
        match piece {
            Piece::New(value) => encode(&mut out, name, Some(value)),
            Piece::Kept(text) => {
                if !out.is_empty() {
                    out.push('&');
                }
                // A kept piece came out of a valid request target.
                out.push_str(&String::from_utf8_lossy(text));
            }
        }
    }
    (!kept.is_empty()).then_some(out)
}

enum Piece<'a> {
    Kept(&'a [u8]),
    New(&'a [u8]),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(query: &str) -> Vec<(String, Option<String>)> {
        let text = |bytes: Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
        Args::new(query.as_bytes())
            .map(|arg| (text(arg.name), arg.value.map(text)))
            .collect()
    }

    #[test]
    fn arguments_are_decoded_in_order() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("x=1&x=2&y=&q=a%20b+c&z&=none&&e=%zz"),
            [
                ("x".into(), some("1")),
                ("x".into(), some("2")),
                ("y".into(), some("")),
                ("q".into(), some("a b c")),
                ("z".into(), None),
                ("e".into(), some("%zz")),
            ]
        );
        assert_eq!(read(""), []);
    }

    #[test]
    fn edits_leave_the_text_of_other_arguments_alone() {
        let query = b"a=%41&b=1&c=+x&b=2&d";
        let edits = [
            ArgEdit::Set(b"b", b"new & b"),
            ArgEdit::Append(b"e", b"\xff"),
            ArgEdit::Remove(b"d"),
        ];
        assert_eq!(
            edit(query, &edits).unwrap(),
            "a=%41&b=new%20%26%20b&c=+x&e=%FF"
        );
        assert_eq!(edit(b"a=1", &[ArgEdit::Remove(b"a")]), None);
        assert_eq!(edit(b"", &[ArgEdit::Set(b"a", b"")]).unwrap(), "a=");
    }

    #[test]
    fn a_raw_value_is_found_by_its_name_without_case() {
        assert_eq!(Args::raw(b"a&A=%41&a=2", b"a"), Some(&b"%41"[..]));
        assert_eq!(Args::raw(b"a", b"a"), None);
    }

    proptest! {
        #[test]
        fn what_is_set_is_read_back(name in "[^=&+%]{1,8}", value: Vec<u8>, query in "[a-z=&%]{0,20}") {
            let text = edit(query.as_bytes(), &[ArgEdit::Set(name.as_bytes(), &value)]).unwrap();
            let found = Args::new(text.as_bytes()).find(|arg| *arg.name == *name.as_bytes());
            prop_assert_eq!(found.unwrap().value.unwrap().into_owned(), value);
        }
    }
}
