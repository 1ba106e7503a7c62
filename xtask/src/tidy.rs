//! The rules of the house that no other tool checks.
//!
//! Each rule is a module with a pure function from text to [`Finding`]s; this
//! one only collects what they need. What clippy, rustfmt or cargo-deny can
//! check is theirs.

mod arrows;
mod paths;
mod sizes;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace;

/// A place where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Relative to the workspace's root.
    file: PathBuf,
    /// From 1.
    line: usize,
    rule: &'static str,
    /// What is wrong and what to do.
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            rule,
            message,
        } = self;
        write!(f, "{}:{line}: [{rule}] {message}", file.display())
    }
}

/// Prints what is found.
///
/// # Errors
/// If anything is found, or a file or cargo's metadata cannot be read.
pub(crate) fn run() -> Result<(), String> {
    let root = workspace::root();
    let mut findings = arrows::check(root, &workspace::metadata()?)?;
    for file in workspace::files()? {
        let bytes = fs::read(root.join(&file)).map_err(|e| format!("{}: {e}", file.display()))?;
        // What is not text was captured or generated.
        if let Ok(text) = String::from_utf8(bytes) {
            findings.extend(check_file(&file, &text));
        }
    }
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("tidy: {count} findings")),
    }
}

fn check_file(file: &Path, text: &str) -> Vec<Finding> {
    let mut findings = paths::check(file, text);
    if file.extension().is_some_and(|it| it == "rs") {
        findings.extend(sizes::check(file, text));
    }
    findings
}
