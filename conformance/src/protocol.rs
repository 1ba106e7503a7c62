//! The protocol's rules: `outrigger conform` with each runner, without a gateway
//! between.
//!
//! What a runner's plugins do for it, and which rules the runner is known to
//! break, stand in `conform/`.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;

use crate::program::{Program, folder};

/// What `outrigger conform --json` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) counts: Counts,
}

/// A rule that was tried.
#[derive(Debug, Deserialize)]
pub(crate) struct Rule {
    pub(crate) rule: String,
    verdict: String,
    pub(crate) seen: String,
    pub(crate) excluded: Option<String>,
}

/// How many rules came out which way.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Counts {
    pub(crate) right: usize,
    pub(crate) differently: usize,
    pub(crate) wrong: usize,
    pub(crate) excluded: usize,
    pub(crate) unneeded: usize,
    pub(crate) not_tested: usize,
}

impl Rule {
    /// One word for what came of it.
    pub(crate) fn standing(&self) -> &str {
        match (&*self.verdict, &self.excluded) {
            ("wrong", Some(_)) => "excluded",
            ("wrong", None) => "WRONG",
            ("not_tested", _) => "not tested",
            ("right", Some(_)) => "right, though excluded",
            (verdict, _) => verdict,
        }
    }
}

/// Tries `program` against all rules.
///
/// # Errors
/// They could not be tried; the text says why.
pub(crate) fn play(program: &Program) -> Result<Rules, String> {
    let files = folder().join("conform");
    let exclusions = files.join(format!("{}-exclusions.yaml", program.name));
    let mut conform = Command::new(&program.gateway);
    conform.args(["conform", "--json", "--profile"]);
    conform.arg(files.join(format!("{}.yaml", program.name)));
    // Ours breaks none, so it has no list.
    if exclusions.exists() {
        conform.arg("--exclusions").arg(exclusions);
    }
    conform.arg("--cmd").args(&program.command);
    let output = conform
        .output()
        .map_err(|error| format!("{}: {error}", program.gateway.display()))?;
    // A rule that is broken is a report, too.
    if !matches!(output.status.code(), Some(0 | 1)) {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("outrigger conform: {}: {why}", output.status));
    }
    let rules: Rules = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("outrigger conform --json: {error}"))?;
    agree(&rules, output.status.success())?;
    Ok(rules)
}

/// Whether rules, counts and the exit code say the same.
fn agree(rules: &Rules, passed: bool) -> Result<(), String> {
    let mut standings = BTreeMap::new();
    for rule in &rules.rules {
        *standings.entry(rule.standing()).or_insert(0) += 1;
    }
    let Counts {
        wrong, unneeded, ..
    } = rules.counts;
    let found = standings.get("WRONG").copied().unwrap_or(0);
    if found == wrong && passed == (wrong + unneeded == 0) {
        return Ok(());
    }
    Err(format!(
        "outrigger conform contradicts itself: {standings:?}, {:?}, passed: {passed}",
        rules.counts
    ))
}
