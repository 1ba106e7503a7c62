//! Texts in plugins' configurations with placeholders for variables:
//! `$name`, `${name}` and `${name??default}`, as APISIX reads them.
//!
//! A text is parsed once, when the configuration is read. Anything that is
//! not a placeholder is text, so every text is a template. A dollar sign right
//! after a backslash begins no placeholder; the backslash stays, as in APISIX.
//! What a value means where it is put, and how it has to be encoded there, is
//! up to the caller: [`Template::pieces`] keeps text and values apart.

use std::borrow::Cow;

use http::HeaderValue;
use percent_encoding::percent_encode_byte;

use crate::exchange::Exchange;
use crate::vars;

/// A parsed text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// Invariant: no two texts in a row, and no empty text.
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder {
        name: String,
        default: Option<String>,
    },
}

/// One piece of a template that is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text of the configuration.
    Text(&'a str),
    /// What came in place of a placeholder: the variable's value, else the
    /// default, else nothing.
    Value(Cow<'a, [u8]>),
}

impl Piece<'_> {
    /// The piece's bytes, wherever they came from.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Piece::Text(text) => text.as_bytes(),
            Piece::Value(value) => value,
        }
    }
}

/// A template whose values are longer than the caller takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text with its variables is longer than {limit} bytes")]
pub struct TooLong {
    /// The limit in bytes.
    pub limit: usize,
}

impl Template {
    /// Parses `text`.
    ///
    /// A name without braces is of ASCII letters, digits, `_` and `.`, as many
    /// as follow; one that begins with a digit is a number, as of a captured
    /// group, and ends with it. In braces a name is whatever stands there,
    /// without spaces at its ends.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut template = Template::default();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            template.push_text(before);
            let escaped = before.ends_with('\\');
            match placeholder(after).filter(|_| !escaped) {
                Some((part, length)) => {
                    template.parts.push(part);
                    rest = &after[length..];
                }
                None => {
                    template.push_text("$");
                    rest = after;
                }
            }
        }
        template.push_text(rest);
        template
    }

    /// The whole text, if it has no placeholder.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The names of the variables it asks for, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Placeholder { name, .. } => Some(name.as_str()),
        })
    }

    /// Splits at the first `separator` that stands in text, not in a
    /// placeholder; what is put in for a placeholder cannot bring one.
    #[must_use]
    pub fn split_once(&self, separator: char) -> Option<(Template, Template)> {
        let found = self.parts.iter().enumerate().find_map(|(index, part)| {
            let Part::Text(text) = part else { return None };
            Some((index, text.split_once(separator)?))
        });
        let (index, (before, after)) = found?;
        let mut head = Template {
            parts: self.parts[..index].to_vec(),
        };
        head.push_text(before);
        let mut tail = Template::default();
        tail.push_text(after);
        tail.parts.extend_from_slice(&self.parts[index + 1..]);
        Some((head, tail))
    }

    /// Fills in the placeholders with what `resolve` says of their names.
    pub fn pieces_with<'a>(
        &'a self,
        resolve: impl Fn(&'a str) -> Option<Cow<'a, [u8]>>,
    ) -> impl Iterator<Item = Piece<'a>> {
        self.parts.iter().map(move |part| match part {
            Part::Text(text) => Piece::Text(text),
            Part::Placeholder { name, default } => {
                let default = || default.as_deref().unwrap_or_default().as_bytes();
                Piece::Value(resolve(name).unwrap_or_else(|| Cow::Borrowed(default())))
            }
        })
    }

    /// Fills in the placeholders with the variables of `exchange`.
    pub fn pieces<'a>(&'a self, exchange: &'a Exchange) -> impl Iterator<Item = Piece<'a>> {
        self.pieces_with(|name| vars::lookup(exchange, name))
    }

    /// The whole text with the placeholders filled in by `resolve`.
    ///
    /// # Errors
    /// [`TooLong`] where it would have more than `limit` bytes.
    pub fn render_with<'a>(
        &'a self,
        limit: usize,
        resolve: impl Fn(&'a str) -> Option<Cow<'a, [u8]>>,
    ) -> Result<Cow<'a, [u8]>, TooLong> {
        let mut whole = Cow::Borrowed(&[][..]);
        for piece in self.pieces_with(resolve) {
            if piece.as_bytes().len() > limit.saturating_sub(whole.len()) {
                return Err(TooLong { limit });
            }
            match piece {
                Piece::Text(text) if whole.is_empty() => whole = Cow::Borrowed(text.as_bytes()),
                Piece::Value(value) if whole.is_empty() => whole = value,
                piece => whole.to_mut().extend_from_slice(piece.as_bytes()),
            }
        }
        Ok(whole)
    }

    /// The whole text with the variables of `exchange`.
    ///
    /// # Errors
    /// [`TooLong`] where it would have more than `limit` bytes.
    pub fn render<'a>(
        &'a self,
        limit: usize,
        exchange: &'a Exchange,
    ) -> Result<Cow<'a, [u8]>, TooLong> {
        self.render_with(limit, |name| vars::lookup(exchange, name))
    }

    fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }
}

/// Reads what stands after a dollar sign; says how many bytes it takes.
fn placeholder(after: &str) -> Option<(Part, usize)> {
    if let Some(inner) = after.strip_prefix('{') {
        let end = inner.find('}')?;
        let inner = inner[..end].trim();
        if inner.is_empty() {
            return None;
        }
        let mut halves = inner.split("??").map(str::trim);
        let name = halves.next().unwrap_or_default().to_owned();
        let default = halves.next().map(str::to_owned);
        return Some((Part::Placeholder { name, default }, end + 2));
    }
    let digit = |c: char| c.is_ascii_digit();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let end = if after.starts_with(digit) {
        after.find(|c| !digit(c))
    } else {
        after.find(|c| !word(c))
    };
    let name = after[..end.unwrap_or(after.len())].to_owned();
    let length = name.len();
    let default = None;
    (length > 0).then_some((Part::Placeholder { name, default }, length))
}

/// A text as the value of a header field, whatever bytes it has: white space
/// around it is no part of a value (RFC 9110, section 5.5), and control
/// characters, which would end the field, are percent-encoded, as APISIX does.
#[must_use]
pub fn header_value(text: &[u8]) -> HeaderValue {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let from = text.iter().position(|byte| !is_space(byte));
    let to = text.iter().rposition(|byte| !is_space(byte));
    let text = from.zip(to).map_or(&[][..], |(from, to)| &text[from..=to]);
    HeaderValue::from_bytes(text).unwrap_or_else(|_| {
        let mut encoded = Vec::with_capacity(text.len() + 2);
        for &byte in text {
            if byte != b'\t' && byte.is_ascii_control() {
                encoded.extend_from_slice(percent_encode_byte(byte).as_bytes());
            } else {
                encoded.push(byte);
            }
        }
        HeaderValue::from_bytes(&encoded).expect("control characters are encoded")
    })
}

#[cfg(test)]
mod tests;
