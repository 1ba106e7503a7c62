//! The rules, grouped by what they are about. Each plays on a
//! [`Bench`](crate::bench::Bench) and ends at the first thing that is wrong.
//!
//! Whether the runner lives on after a rule is seen to by the suite.
//!
//! To add one: a play and a line in its file's `RULES`, an entry in
//! `docs/conform.md`, and a runner in `tests/suite/` that breaks it. The tests
//! miss whichever is missing.

mod calls;
mod confs;
mod connections;
mod frames;
mod process;
mod questions;
mod requests;
mod responses;
mod trouble;

use crate::rule::Section;

pub(crate) const SECTIONS: &[Section] = &[
    Section {
        name: "frames",
        rules: frames::RULES,
    },
    Section {
        name: "configurations",
        rules: confs::RULES,
    },
    Section {
        name: "calls",
        rules: calls::RULES,
    },
    Section {
        name: "request plugins",
        rules: requests::RULES,
    },
    Section {
        name: "response plugins",
        rules: responses::RULES,
    },
    Section {
        name: "questions",
        rules: questions::RULES,
    },
    Section {
        name: "connections",
        rules: connections::RULES,
    },
    Section {
        name: "trouble",
        rules: trouble::RULES,
    },
    Section {
        name: "process",
        rules: process::RULES,
    },
];
