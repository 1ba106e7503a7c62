//! A rule of the protocol, and how it is tried.

use std::pin::Pin;

use crate::behaviour::Behaviour;
use crate::bench::Bench;
use crate::rules;
use crate::verdict::Outcome;

/// A rule of the protocol that a runner keeps or breaks.
#[derive(Debug)]
pub struct Rule {
    /// Its name, on the command line, in lists of exclusions, and as the heading
    /// in `docs/conform.md`.
    pub name: &'static str,
    /// What a runner does that keeps it: a sentence whose subject is the runner.
    pub says: &'static str,
    pub(crate) needs: Needs,
    pub(crate) play: Play,
}

/// Tries it.
pub(crate) type Play = for<'b> fn(&'b Bench) -> Pin<Box<dyn Future<Output = Outcome> + 'b>>;

/// What there must be to try it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Needs {
    /// A runner.
    Nothing,
    /// Plugins that do this.
    Plugins(&'static [Behaviour]),
    /// A command that starts the runner.
    Command,
}

impl Rule {
    pub(crate) const fn new(name: &'static str, says: &'static str, play: Play) -> Self {
        Self {
            name,
            says,
            needs: Needs::Nothing,
            play,
        }
    }

    pub(crate) const fn plugins(mut self, behaviours: &'static [Behaviour]) -> Self {
        self.needs = Needs::Plugins(behaviours);
        self
    }

    pub(crate) const fn command(mut self) -> Self {
        self.needs = Needs::Command;
        self
    }

    /// What the protocol says of it, in this repository's documentation.
    pub fn doc(&self) -> String {
        format!("docs/conform.md#{}", self.name)
    }
}

/// Rules about one thing.
#[derive(Debug)]
pub struct Section {
    /// What they are about.
    pub name: &'static str,
    /// The rules in the order in which they are tried.
    pub rules: &'static [Rule],
}

/// All rules.
pub fn sections() -> &'static [Section] {
    rules::SECTIONS
}

/// The rule of this name.
pub fn find(name: &str) -> Option<&'static Rule> {
    let rules = sections().iter().flat_map(|section| section.rules);
    rules.into_iter().find(|rule| rule.name == name)
}
