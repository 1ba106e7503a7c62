//! What a rule's play comes to.

use std::fmt;

/// What was found out about one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The runner does what the rule says.
    Right,
    /// It does something else that is permitted, or that hosts are known to have
    /// to cope with. The text says what.
    Differently(String),
    /// It breaks the rule. The text says how.
    Wrong(String),
    /// It could not be tried. The text says what it needs.
    NotTested(String),
}

impl Verdict {
    /// One word for it, as in the table and in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Differently(_) => "differently",
            Self::Wrong(_) => "wrong",
            Self::NotTested(_) => "not tested",
        }
    }

    /// What was seen; empty where all is right.
    pub fn seen(&self) -> &str {
        match self {
            Self::Right => "",
            Self::Differently(seen) | Self::Wrong(seen) | Self::NotTested(seen) => seen,
        }
    }
}

/// What a rule's play says: so that `?` ends it at the first thing that is wrong.
pub(crate) type Outcome = Result<Seen, Fault>;

/// The rule holds.
#[derive(Debug)]
pub(crate) enum Seen {
    Right,
    Differently(String),
}

/// The rule does not hold, or nobody knows.
#[derive(Debug)]
pub(crate) enum Fault {
    Wrong(String),
    NotTested(String),
}

impl Fault {
    /// The same, with what the suite was at.
    pub(crate) fn during(self, what: impl fmt::Display) -> Self {
        match self {
            Self::Wrong(why) => Self::Wrong(format!("{what}: {why}")),
            untested => untested,
        }
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(Seen::Right) => Self::Right,
            Ok(Seen::Differently(how)) => Self::Differently(how),
            Err(Fault::Wrong(how)) => Self::Wrong(how),
            Err(Fault::NotTested(why)) => Self::NotTested(why),
        }
    }
}

/// Ends a play: the runner breaks the rule.
pub(crate) fn wrong<T>(how: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Wrong(how.into()))
}

/// The runner does it another way that is permitted.
pub(crate) fn differently(how: impl Into<String>) -> Outcome {
    Ok(Seen::Differently(how.into()))
}

/// Ends a play: it cannot be told.
pub(crate) fn not_tested<T>(why: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::NotTested(why.into()))
}
