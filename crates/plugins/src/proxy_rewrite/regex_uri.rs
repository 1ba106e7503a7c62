//! `regex_uri`: pairs of a regular expression and what comes in place of what
//! it matched, as OpenResty's `ngx.re.sub` has it: what stands before and after
//! the match stays. Of several pairs the first that matches counts.

use std::ops::Range;

use outrigger_engine::target::{BadPath, NewPath, QueryText, push_query};
use outrigger_model::{Fault, PropertyPath};
use regex::bytes::Regex;

use crate::conf;
use crate::pattern::compile;
use crate::replacement::{BAD_REPLACEMENT, Part, Replacement};

/// The pairs. Invariant: not empty.
#[derive(Debug)]
pub(super) struct RegexUri {
    pairs: Vec<Pair>,
}

#[derive(Debug)]
struct Pair {
    regex: Regex,
    replacement: NewTarget,
}

/// What a pair matched: places in the text that was searched.
#[derive(Debug)]
pub(super) struct Found<'a> {
    replacement: &'a NewTarget,
    whole: Range<usize>,
    /// The groups of the match.
    pub(super) groups: Groups,
}

/// Where the groups matched, the whole match being group 0; empty where
/// nobody asks for them.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<Option<Range<usize>>>);

impl Groups {
    /// What a group matched in `text`, the text that was searched.
    pub(super) fn get<'a>(&self, group: usize, text: &'a [u8]) -> Option<&'a [u8]> {
        text.get(self.0.get(group)?.clone()?)
    }
}

impl RegexUri {
    pub(super) fn read(texts: &[String]) -> Result<Self, Fault> {
        let root = || PropertyPath::root().key("regex_uri");
        if !texts.len().is_multiple_of(2) {
            let message = "The length of regex_uri should be an even number";
            return Err(conf::wrong(message));
        }
        let pairs = texts.chunks_exact(2).enumerate().map(|(number, pair)| {
            let at = |item: usize| root().index(2 * number + item);
            Ok(Pair {
                regex: compile(&pair[0]).map_err(|message| conf::fault(at(0), message))?,
                replacement: Replacement::parse(&pair[1])
                    .map(NewTarget::of)
                    .ok_or_else(|| conf::fault(at(1), BAD_REPLACEMENT))?,
            })
        });
        let pairs = pairs.collect::<Result<_, _>>()?;
        Ok(RegexUri { pairs })
    }

    /// Finds the first pair that matches, and its groups if the replacement
    /// or the caller uses them.
    pub(super) fn find(&self, text: &[u8], groups: bool) -> Option<Found<'_>> {
        self.pairs.iter().find_map(|Pair { regex, replacement }| {
            let whole = regex.find(text)?.range();
            let mut found = Found {
                replacement,
                whole,
                groups: Groups::default(),
            };
            if groups || replacement.has_groups() {
                // The same match again: leftmost means that it begins where it was found.
                let captures = regex.captures_at(text, found.whole.start)?;
                let ranges = captures
                    .iter()
                    .map(|group| group.map(|group| group.range()));
                found.groups = Groups(ranges.collect());
            }
            Some(found)
        })
    }
}

impl Found<'_> {
    /// How many bytes the replaced text has before anything of it is encoded.
    pub(super) fn new_len(&self, text: &[u8]) -> usize {
        let NewTarget { path, query } = self.replacement;
        let parts = path.iter().chain(query.iter().flatten());
        let new: usize = parts.map(|part| self.resolve(part, text).len()).sum();
        text.len() - self.whole.len() + new
    }

    /// Replaces the match in a decoded path. What comes from the path can
    /// neither begin a query nor, in one, pass for an escape.
    pub(super) fn replace_in_path(&self, path: &[u8]) -> (NewPath, Option<Vec<u8>>) {
        let mut new = path[..self.whole.start].to_vec();
        let after = &path[self.whole.end..];
        for part in &self.replacement.path {
            new.extend_from_slice(self.resolve(part, path));
        }
        let Some(parts) = &self.replacement.query else {
            new.extend_from_slice(after);
            return (NewPath::from_decoded(new), None);
        };
        let mut query = Vec::new();
        for part in parts {
            let kind = match part {
                Part::Text(_) => QueryText::Query,
                Part::Group(_) => QueryText::Decoded,
            };
            push_query(&mut query, self.resolve(part, path), kind);
        }
        push_query(&mut query, after, QueryText::Decoded);
        (NewPath::from_decoded(new), Some(query))
    }

    /// Replaces the match in a whole request target, which stays encoded as it is.
    pub(super) fn replace_in_target(
        &self,
        target: &[u8],
    ) -> Result<(NewPath, Option<Vec<u8>>), BadPath> {
        let mut new = target[..self.whole.start].to_vec();
        for part in &self.replacement.path {
            new.extend_from_slice(self.resolve(part, target));
        }
        if let Some(query) = &self.replacement.query {
            new.push(b'?');
            for part in query {
                new.extend_from_slice(self.resolve(part, target));
            }
        }
        new.extend_from_slice(&target[self.whole.end..]);
        let mut halves = new.splitn(2, |byte| *byte == b'?');
        let path = NewPath::from_encoded(halves.next().unwrap_or_default())?;
        let query = halves.next().map(|text| {
            let mut query = Vec::with_capacity(text.len());
            push_query(&mut query, text, QueryText::Query);
            query
        });
        Ok((path, query))
    }

    fn resolve<'a>(&self, part: &'a Part, text: &'a [u8]) -> &'a [u8] {
        match part {
            Part::Text(text) => text.as_bytes(),
            Part::Group(group) => self.groups.get(*group, text).unwrap_or_default(),
        }
    }
}

/// A replacement, split at the question mark in its text.
#[derive(Debug, Default)]
struct NewTarget {
    path: Vec<Part>,
    query: Option<Vec<Part>>,
}

impl NewTarget {
    fn of(replacement: Replacement) -> Self {
        let mut target = Self::default();
        for part in replacement.into_parts() {
            match (&part, &mut target.query) {
                (Part::Text(text), None) if text.contains('?') => {
                    let (path, query) = text.split_once('?').unwrap_or((text, ""));
                    target.path.push(Part::Text(path.to_owned()));
                    target.query = Some(vec![Part::Text(query.to_owned())]);
                }
                (_, None) => target.path.push(part),
                (_, Some(query)) => query.push(part),
            }
        }
        target
    }

    fn has_groups(&self) -> bool {
        let mut parts = self.path.iter().chain(self.query.iter().flatten());
        parts.any(|part| matches!(part, Part::Group(_)))
    }
}
