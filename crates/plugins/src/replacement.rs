//! What comes in place of what a regular expression matched, as OpenResty's
//! `ngx.re.sub` has it: `$1` and `${1}` are what the group matched, `$0` the whole, `$$` is a
//! dollar sign. A group that the expression does not have is empty.

use regex::bytes::Captures;

/// What is wrong with a replacement that cannot be read.
pub(crate) const BAD_REPLACEMENT: &str =
    "after a dollar sign, expected a group's number, as in $1 or ${1}, or another dollar sign";

/// A replacement, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replacement(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Group(usize),
}

impl Replacement {
    /// None where a dollar sign begins nothing that is known.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = Self::default();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            parts.push_text(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(tail) = after.strip_prefix('$') {
                parts.push_text("$");
                rest = tail;
                continue;
            }
            let (number, tail) = match after.strip_prefix('{') {
                Some(inner) => inner.split_once('}')?,
                None => after.split_at(
                    after
                        .find(|c: char| !c.is_ascii_digit())
                        .unwrap_or(after.len()),
                ),
            };
            // A number's own parser would take a sign.
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            let group = number.parse().ok().filter(|_| digits)?;
            parts.0.push(Part::Group(group));
            rest = tail;
        }
        parts.push_text(rest);
        Some(parts)
    }

    fn push_text(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.0.push(Part::Text(text.to_owned())),
        }
    }

    /// The parts in their order.
    pub(crate) fn into_parts(self) -> Vec<Part> {
        self.0
    }

    /// The parts with their groups filled in; whether each comes from the text that was
    /// searched.
    pub(crate) fn fill<'a>(
        &'a self,
        found: &'a Captures<'_>,
    ) -> impl Iterator<Item = (&'a [u8], bool)> {
        self.0.iter().map(|part| match part {
            Part::Text(text) => (text.as_bytes(), false),
            Part::Group(group) => {
                let group = found.get(*group).map(|group| group.as_bytes());
                (group.unwrap_or_default(), true)
            }
        })
    }
}

/// So that the crate `regex` replaces with it.
impl regex::bytes::Replacer for &Replacement {
    fn replace_append(&mut self, found: &Captures<'_>, new: &mut Vec<u8>) {
        for (part, _) in self.fill(found) {
            new.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use regex::bytes::Regex;

    use super::*;

    #[test]
    fn groups_are_filled_in() {
        let regex = Regex::new("(l+)(o)?").unwrap();
        for (replacement, expected) in [
            ("L", "heL"),
            ("$2$1", "heoll"),
            ("${1}1", "hell1"),
            ("$1x", "hellx"),
            ("$0$9", "hello"),
            ("$$1", "he$1"),
            ("", "he"),
        ] {
            let replacement = Replacement::parse(replacement).unwrap();
            let new = regex.replace(b"hello", &replacement);
            assert_eq!(new, expected.as_bytes(), "{replacement:?}");
        }
    }

    #[test]
    fn a_dollar_sign_begins_a_group_or_is_doubled() {
        for text in ["$", "a$", "$x", "${1", "${}", "${+1}", "${x}"] {
            assert_eq!(Replacement::parse(text), None, "{text}");
        }
    }
}
