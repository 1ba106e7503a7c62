//! Rules that a runner is known to break, each with the reason.
//!
//! They are played all the same: a rule that holds again must not stay on the
//! list.

use std::path::Path;

use serde::Deserialize;

use crate::file::{self, FileError};
use crate::rule;

/// What is known to be wrong with a runner.
///
/// As YAML or JSON, a list of `{rule, reason}`, with `sometimes: true` where the
/// rule holds or not by chance.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Exclusions(Vec<Exclusion>);

/// One rule that a runner is known to break.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exclusion {
    rule: String,
    pub(crate) reason: String,
    /// Whether the rule may hold nevertheless.
    #[serde(default)]
    pub(crate) sometimes: bool,
}

impl Exclusions {
    /// Reads a list from a file in YAML or JSON.
    ///
    /// # Errors
    /// [`FileError`] that names the file and what is wrong in it.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::parse(&path.display().to_string(), &file::read(path)?)
    }

    /// Reads a list from text, which errors name `file`.
    ///
    /// # Errors
    /// [`FileError`] that says what is wrong in it.
    pub fn parse(file: &str, text: &str) -> Result<Self, FileError> {
        let exclusions: Self = file::parse(file, text)?;
        for (index, entry) in exclusions.0.iter().enumerate() {
            let refuse = |why: &str| {
                let why = format!("[{index}]: {:?} {why}", entry.rule);
                Err(FileError::new(file, why))
            };
            if rule::find(&entry.rule).is_none() {
                return refuse("is no rule; `outrigger conform --list` names them");
            }
            if entry.reason.trim().is_empty() {
                return refuse("is excluded without a reason");
            }
            if exclusions.0[..index]
                .iter()
                .any(|one| one.rule == entry.rule)
            {
                return refuse("is excluded twice");
            }
        }
        Ok(exclusions)
    }

    pub(crate) fn find(&self, rule: &str) -> Option<&Exclusion> {
        self.0.iter().find(|entry| entry.rule == rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_excluded_with_its_reason() {
        let list = Exclusions::parse("x", "- {rule: split-frames, reason: one read}").unwrap();
        assert_eq!(list.find("split-frames").unwrap().reason, "one read");
        assert!(list.find("empty-conf").is_none());
    }

    #[test]
    fn a_list_that_says_nothing_true_is_refused() {
        for (text, why) in [
            ("- {rule: splt, reason: r}", "is no rule"),
            ("- {rule: split-frames, reason: ' '}", "without a reason"),
            ("- {rule: split-frames}", "reason"),
            (
                "- {rule: split-frames, reason: a}\n- {rule: split-frames, reason: b}",
                "[1]: \"split-frames\" is excluded twice",
            ),
        ] {
            let error = Exclusions::parse("x.yaml", text).unwrap_err().to_string();
            assert!(
                error.starts_with("x.yaml: ") && error.contains(why),
                "{error}"
            );
        }
    }
}
