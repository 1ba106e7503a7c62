//! The A6 protocol's conformance suite: plays the host against any runner and
//! says what it does right, wrong and differently, rule by rule.
//!
//! [`run`] takes a [`Target`], which is a runner that listens or a command that
//! starts one, and gives a [`Report`]. Runners have only the plugins that they
//! have: a [`Profile`] says which of them does what the suite has to see, and
//! what needs a plugin that nobody named is reported as not tested.
//!
//! The suite speaks in frames and hides nothing: it does not go through the
//! gateway's own host, whose retries would cover up what is to be found. It
//! never trusts the runner: every wait has a limit, every answer is verified.
//!
//! Deliberately absent: HTTP and what a gateway makes of an answer, signal
//! handlers, reading the environment, printing.
//!
//! # The layout
//! `rules/` has the rules by section; a rule plays on a `bench`, over a `wire`,
//! in which `talk` answers questions; `suite` plays them all and sees whether the
//! runner lives on; `report` shows what came of it.

mod behaviour;
mod bench;
mod exclusions;
mod expectation;
mod file;
mod limits;
mod process;
mod profile;
mod random;
mod report;
mod rule;
mod rules;
mod suite;
mod talk;
mod target;
mod times;
mod verdict;
mod wire;

pub use behaviour::Behaviour;
pub use exclusions::Exclusions;
pub use file::FileError;
pub use process::Command;
pub use profile::Profile;
pub use report::{Counts, Played, Report, heading, list};
pub use rule::{Rule, Section, find, sections};
pub use suite::{Options, run};
pub use target::{CannotRun, Target};
pub use times::Times;
pub use verdict::Verdict;
