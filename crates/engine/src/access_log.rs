//! The access log's format: a text with variables, as nginx's `log_format` has
//! it, parsed once.

use std::fmt::Write as _;

use crate::vars::{Scope, Variable};

/// How values are written so that they cannot be taken for anything else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Escape {
    /// Quotation marks, backslashes, control characters and bytes above 126 as
    /// `\xXX`; a dash where there is no value.
    #[default]
    Default,
    /// As JSON wants text to be; nothing where there is no value.
    Json,
    /// As they are; nothing where there is no value.
    None,
}

/// A parsed format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    parts: Vec<Part>,
    escape: Escape,
    unknown: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
    /// It never has a value.
    Unknown,
}

impl Format {
    /// Parses `text`, in which `$name` and `${name}` stand for variables, and
    /// backslashes mean what they mean between nginx's quotation marks.
    #[must_use]
    pub fn parse(text: &str, escape: Escape) -> Self {
        let mut format = Format {
            parts: Vec::new(),
            escape,
            unknown: Vec::new(),
        };
        let text = unquoted(text);
        let mut rest = &*text;
        while let Some(at) = rest.find('$') {
            format.push_text(&rest[..at]);
            rest = &rest[at + 1..];
            match name(rest) {
                Some((name, length)) => {
                    format.push_variable(name);
                    rest = &rest[length..];
                }
                None => format.push_text("$"),
            }
        }
        format.push_text(rest);
        format
    }

    /// The names in it that no variable has.
    #[must_use]
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Whether it tells header fields of responses.
    #[must_use]
    pub fn wants_response_headers(&self) -> bool {
        self.parts.iter().any(
            |part| matches!(part, Part::Variable(variable) if variable.is_of_response_headers()),
        )
    }

    /// Writes the line of a request that is over, with its end.
    pub fn write(&self, scope: Scope<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            let value = match part {
                Part::Text(text) => {
                    out.extend_from_slice(text.as_bytes());
                    continue;
                }
                Part::Variable(variable) => variable.value(scope),
                Part::Unknown => None,
            };
            match (value, self.escape) {
                (Some(value), Escape::Default) => escape_default(&value, out),
                (Some(value), Escape::Json) => escape_json(&value, out),
                (Some(value), Escape::None) => out.extend_from_slice(&value),
                (None, Escape::Default) => out.push(b'-'),
                (None, Escape::Json | Escape::None) => {}
            }
        }
        out.push(b'\n');
    }

    fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    fn push_variable(&mut self, name: &str) {
        self.parts.push(match Variable::named(name) {
            Some(variable) => Part::Variable(variable.into_owned()),
            None => {
                self.unknown.push(name.to_owned());
                Part::Unknown
            }
        });
    }
}

/// The name after a dollar sign, and how many bytes it takes.
fn name(after: &str) -> Option<(&str, usize)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(inner) = after.strip_prefix('{') {
        let name = &inner[..inner.find('}')?];
        let is_name = !name.is_empty() && name.chars().all(word);
        return is_name.then_some((name, name.len() + 2));
    }
    let end = after.find(|c| !word(c)).unwrap_or(after.len());
    (end > 0).then_some((&after[..end], end))
}

/// The text as nginx reads it between quotation marks, where APISIX puts it.
fn unquoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = rest.as_str().chars().next();
        let meant = match (c, next) {
            ('\\', Some(meant @ ('"' | '\'' | '\\'))) => meant,
            ('\\', Some('t')) => '\t',
            ('\\', Some('r')) => '\r',
            ('\\', Some('n')) => '\n',
            _ => {
                out.push(c);
                continue;
            }
        };
        out.push(meant);
        rest.next();
    }
    out
}

fn escape_default(value: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in value {
        match byte {
            b'"' | b'\\' | 0..32 | 127.. => {
                let [high, low] = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
                out.extend_from_slice(&[b'\\', b'x', high, low]);
            }
            _ => out.push(byte),
        }
    }
}

/// Bytes that are no UTF-8 become replacement characters: a line that no parser
/// takes would be of no use.
fn escape_json(value: &[u8], out: &mut Vec<u8>) {
    let mut escaped = String::new();
    for c in String::from_utf8_lossy(value).chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            '\0'..' ' => {
                let _ = write!(escaped, "\\u{:04X}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    out.extend_from_slice(escaped.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::tests::exchange;
    use http::Request;

    fn line(format: &str, escape: Escape) -> String {
        let request = Request::get("/a?x=%22&y=")
            .header("host", "a.test")
            .header("x-odd", &b"\"\\\t\xc3\xa9~"[..])
            .header("x-bad", &b"\xff"[..])
            .header("x-empty", "");
        let exchange = exchange(request);
        let mut out = Vec::new();
        Format::parse(format, escape).write(Scope::of(&exchange), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_stand_for_values_and_the_rest_for_itself() {
        for (format, expected) in [
            ("$host", "a.test\n"),
            ("${host}name $ $$host", "a.testname $ $a.test\n"),
            ("${ho st} $é", "${ho st} $é\n"),
            (r#"\"$http_x_none\" \\ \t\q"#, "\"-\" \\ \t\\q\n"),
            ("$http_x_empty|$arg_y|$HOST", "||a.test\n"),
            ("", "\n"),
        ] {
            assert_eq!(line(format, Escape::Default), expected, "{format}");
        }
    }

    #[test]
    fn values_cannot_be_taken_for_anything_else() {
        let format = "\"$http_x_odd\" $http_x_none";
        assert_eq!(
            line(format, Escape::Default),
            "\"\\x22\\x5C\\x09\\xC3\\xA9~\" -\n"
        );
        assert_eq!(line(format, Escape::Json), "\"\\\"\\\\\\té~\" \n");
        assert_eq!(line(format, Escape::None), "\"\"\\\té~\" \n");
        let json = line("{\"bad\": \"$http_x_bad\"}", Escape::Json);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["bad"], "\u{fffd}");
    }

    #[test]
    fn what_is_unknown_is_told_and_has_no_value() {
        let format = Format::parse("$nonsense ${host} $http_", Escape::Default);
        assert_eq!(format.unknown(), ["nonsense", "http_"]);
        assert_eq!(line("$nonsense $host", Escape::Default), "- a.test\n");
        assert!(!format.wants_response_headers());
        let format = Format::parse("$sent_http_etag", Escape::Default);
        assert!(format.wants_response_headers());
    }
}
