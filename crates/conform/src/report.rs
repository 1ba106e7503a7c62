//! What came of the rules: a table for people, JSON for machines.

use std::fmt::Write as _;

use serde::Serialize;

use crate::exclusions::Exclusion;
use crate::limits::SEEN_CHARS;
use crate::rule::{self, Rule};
use crate::verdict::Verdict;

/// A rule that was tried.
#[derive(Debug)]
pub struct Played {
    section: &'static str,
    rule: &'static Rule,
    verdict: Verdict,
    /// Why it is known to be broken, if it is.
    excluded: Option<String>,
    /// Whether it may hold nevertheless.
    sometimes: bool,
}

/// What a rule counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Right,
    Differently,
    Wrong,
    /// Wrong, as is known.
    Excluded,
    /// It holds, though the list says that it does not.
    Unneeded,
    NotTested,
}

impl Played {
    pub(crate) fn new(
        section: &'static str,
        rule: &'static Rule,
        verdict: Verdict,
        exclusion: Option<&Exclusion>,
    ) -> Self {
        Self {
            section,
            rule,
            verdict,
            excluded: exclusion.map(|exclusion| exclusion.reason.clone()),
            sometimes: exclusion.is_some_and(|exclusion| exclusion.sometimes),
        }
    }

    /// The rule.
    pub fn rule(&self) -> &'static Rule {
        self.rule
    }

    /// What was found out about it.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    fn standing(&self) -> Standing {
        let excluded = self.excluded.is_some();
        match self.verdict {
            Verdict::Wrong(_) if excluded => Standing::Excluded,
            Verdict::Wrong(_) => Standing::Wrong,
            Verdict::NotTested(_) => Standing::NotTested,
            _ if excluded && !self.sometimes => Standing::Unneeded,
            Verdict::Right => Standing::Right,
            Verdict::Differently(_) => Standing::Differently,
        }
    }

    /// Its lines of the table, each with an end.
    pub fn row(&self) -> String {
        let standing = self.standing();
        let name = self.rule.name;
        let width = name_width();
        let mut notes = Vec::new();
        if !self.verdict.seen().is_empty() {
            notes.push(shortened(self.verdict.seen()));
        }
        if standing == Standing::Unneeded {
            notes.push("it is on the list of exclusions, but it holds: take it off".to_owned());
        }
        if let (Standing::Excluded, Some(reason)) = (standing, &self.excluded) {
            notes.push(format!("known: {reason}"));
        }
        if matches!(
            standing,
            Standing::Wrong | Standing::Excluded | Standing::Differently
        ) {
            notes.push(format!("rule: the runner {}", self.rule.says));
            notes.push(self.rule.doc());
        }
        let notes = notes.join("\n");
        let mut lines = notes.lines();
        let first = format!(
            "  {:11}  {name:width$}  {}",
            standing.word(),
            lines.next().unwrap_or_default()
        );
        let mut row = format!("{}\n", first.trim_end());
        for line in lines {
            let _ = writeln!(row, "{:indent$}{line}", "", indent = 2 + 11 + 2 + width + 2);
        }
        row
    }
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Differently => "differently",
            Self::Wrong => "WRONG",
            Self::Excluded => "excluded",
            Self::Unneeded => "UNNEEDED",
            Self::NotTested => "not tested",
        }
    }
}

/// All rules that were tried, in order.
#[derive(Debug, Default)]
pub struct Report {
    pub(crate) played: Vec<Played>,
}

/// How many rules came out which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The runner does what the rule says.
    pub right: usize,
    /// It does something else that is permitted or known.
    pub differently: usize,
    /// It breaks the rule.
    pub wrong: usize,
    /// It breaks the rule, as the list of exclusions says.
    pub excluded: usize,
    /// It keeps the rule, although the list says that it does not.
    pub unneeded: usize,
    /// The rule could not be tried.
    pub not_tested: usize,
}

impl Report {
    /// The rules that were tried, in order.
    pub fn played(&self) -> &[Played] {
        &self.played
    }

    /// How many rules came out which way.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for played in &self.played {
            *match played.standing() {
                Standing::Right => &mut counts.right,
                Standing::Differently => &mut counts.differently,
                Standing::Wrong => &mut counts.wrong,
                Standing::Excluded => &mut counts.excluded,
                Standing::Unneeded => &mut counts.unneeded,
                Standing::NotTested => &mut counts.not_tested,
            } += 1;
        }
        counts
    }

    /// Whether nothing is wrong but what is known to be, and the list of that is
    /// true.
    pub fn passed(&self) -> bool {
        let counts = self.counts();
        counts.wrong == 0 && counts.unneeded == 0
    }

    /// The closing line of the table, with its end.
    pub fn summary(&self) -> String {
        let Counts {
            right,
            differently,
            wrong,
            excluded,
            unneeded,
            not_tested,
        } = self.counts();
        let mut line = format!("{right} right, {differently} differently, {wrong} wrong");
        for (count, what) in [
            (excluded, "excluded"),
            (unneeded, "excluded without need"),
            (not_tested, "not tested"),
        ] {
            if count > 0 {
                let _ = write!(line, ", {count} {what}");
            }
        }
        line.push('\n');
        line
    }

    /// The whole table.
    pub fn table(&self) -> String {
        let mut table = String::new();
        let mut section = None;
        for played in &self.played {
            table.push_str(&heading(&mut section, played));
            table.push_str(&played.row());
        }
        table.push('\n');
        table.push_str(&self.summary());
        table
    }

    /// The same for machines: an object with `passed`, `counts` and `rules`, a
    /// list of objects with `rule`, `section`, `says`, `doc`, `verdict`, `seen`
    /// and `excluded`.
    pub fn json(&self) -> serde_json::Value {
        let rules: Vec<_> = self
            .played
            .iter()
            .map(|played| {
                serde_json::json!({
                    "rule": played.rule.name,
                    "section": played.section,
                    "says": played.rule.says,
                    "doc": played.rule.doc(),
                    "verdict": played.verdict.word().replace(' ', "_"),
                    "seen": played.verdict.seen(),
                    "excluded": played.excluded,
                })
            })
            .collect();
        serde_json::json!({
            "passed": self.passed(),
            "counts": self.counts(),
            "rules": rules,
        })
    }
}

/// The heading before a row, where it begins a section; `last` is the section of
/// the row before.
pub fn heading(last: &mut Option<&'static str>, played: &Played) -> String {
    let before = last.replace(played.section);
    match before {
        Some(section) if section == played.section => String::new(),
        Some(_) => format!("\n{}\n", played.section),
        None => format!("{}\n", played.section),
    }
}

/// The names of all rules with what they say, by section.
pub fn list() -> String {
    let mut list = String::new();
    let width = name_width();
    for (index, section) in rule::sections().iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        let _ = writeln!(list, "{gap}{}", section.name);
        for rule in section.rules {
            let _ = writeln!(list, "  {:width$}  The runner {}.", rule.name, rule.says);
        }
    }
    list
}

fn name_width() -> usize {
    let rules = rule::sections().iter().flat_map(|section| section.rules);
    rules.map(|rule| rule.name.len()).max().unwrap_or(0)
}

fn shortened(seen: &str) -> String {
    match seen.char_indices().nth(SEEN_CHARS) {
        None => seen.to_owned(),
        Some((end, _)) => format!("{} …", &seen[..end]),
    }
}
