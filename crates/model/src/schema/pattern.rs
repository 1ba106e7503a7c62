//! Regular expressions of schemas, as PCRE reads them without Unicode: they see
//! bytes.

use regex::bytes::{Regex, RegexBuilder};

use super::BadSchema;

/// An expression with its text, which messages show.
pub(super) struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// # Errors
    /// It is no expression.
    pub(super) fn read(text: &str) -> Result<Self, BadSchema> {
        let regex = RegexBuilder::new(&with_plain_brackets(text))
            .unicode(false)
            .build()
            .map_err(|error| BadSchema(error.to_string()))?;
        let text = text.to_owned();
        Ok(Self { text, regex })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text.as_bytes())
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Escapes opening brackets inside of brackets: to PCRE they are characters like
/// any other, and here they would begin a class in the class. Names of
/// classes (`[:alpha:]`) stay.
fn with_plain_brackets(text: &str) -> String {
    let mut new = String::with_capacity(text.len());
    let mut inside = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                new.push(c);
                new.extend(chars.next());
                continue;
            }
            '[' if inside && chars.peek() != Some(&':') => new.push('\\'),
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        new.push(c);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_in_brackets_is_a_character() {
        let realm = Pattern::read(r"^[ -!#-[\]-~]+$").unwrap();
        assert!(realm.is_match("a [b] c"));
        assert!(!realm.is_match("a\"b") && !realm.is_match("a\\b") && !realm.is_match("ä"));
        assert_eq!(realm.text(), r"^[ -!#-[\]-~]+$");
        assert!(Pattern::read("[[:alpha:]]").unwrap().is_match("a"));
        assert!(Pattern::read("(").is_err());
    }
}
