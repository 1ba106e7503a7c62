//! The documentation and these tests know every rule.

use outrigger_conform::{Behaviour, sections};

const DOCS: &str = include_str!("../../../../docs/conform.md");

/// The tests in which runners break rules.
const TESTS: &[&str] = &[
    include_str!("calls.rs"),
    include_str!("confs.rs"),
    include_str!("connections.rs"),
    include_str!("frames.rs"),
    include_str!("plugins.rs"),
    include_str!("process.rs"),
    include_str!("questions.rs"),
    include_str!("trouble.rs"),
];

#[test]
fn every_rule_is_documented_under_its_name() {
    for section in sections() {
        for rule in section.rules {
            let entry = format!("### {}\n\nThe runner {}.", rule.name, rule.says);
            assert!(DOCS.contains(&entry), "docs/conform.md lacks:\n{entry}");
        }
    }
    let rules: usize = sections().iter().map(|section| section.rules.len()).sum();
    let documented = DOCS.lines().filter(|line| line.starts_with("### ")).count();
    assert_eq!(rules, documented, "docs/conform.md has a rule that is gone");
}

#[test]
fn every_behaviour_is_documented() {
    for behaviour in Behaviour::ALL {
        let row = format!("| `{behaviour}` | {} |", behaviour.does());
        assert!(DOCS.contains(&row), "docs/conform.md lacks: {row}");
    }
}

#[test]
fn every_rule_is_broken_by_some_runner() {
    for section in sections() {
        for rule in section.rules {
            let name = format!("\"{}\"", rule.name);
            let broken = TESTS.iter().any(|tests| tests.contains(&name));
            assert!(broken, "no test breaks the rule {name}");
        }
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = sections()
        .iter()
        .flat_map(|section| section.rules.iter().map(|rule| rule.name))
        .collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}
