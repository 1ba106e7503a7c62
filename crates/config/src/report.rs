//! What is wrong with a configuration file, and where in it.

use std::fmt;
use std::path::{Path, PathBuf};

use outrigger_model::{Faults, PropertyPath};

use crate::limits;
use crate::tree::Marks;

/// A position in a file. Both numbers count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where; none if it is about the file as a whole.
    pub location: Option<Location>,
    /// Which property; the root if it is about none.
    pub path: PropertyPath,
    /// What is wrong. It never shows a value that may be a secret.
    pub message: String,
}

impl Problem {
    /// One about the file as a whole.
    pub(crate) fn of_file(message: impl Into<String>) -> Self {
        Self {
            location: None,
            path: PropertyPath::root(),
            message: message.into(),
        }
    }
}

/// Everything that is wrong with a file.
///
/// It is shown with one problem on each line, as `file:line:column: property: message`.
///
/// Invariant: there is at least one problem; they stand in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl Report {
    /// None if there is no problem.
    pub(crate) fn new(file: &Path, mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by_key(|problem| problem.location);
        (!problems.is_empty()).then(|| Self {
            file: file.to_owned(),
            problems,
        })
    }

    pub(crate) fn of_one(file: &Path, problem: Problem) -> Self {
        Self {
            file: file.to_owned(),
            problems: vec![problem],
        }
    }

    /// What is wrong with a document whose properties stand where `marks` says.
    pub(crate) fn of_faults(file: &Path, faults: Faults, marks: &Marks) -> Self {
        let problems = faults.into_iter().map(|fault| Problem {
            location: Some(marks.locate(&fault.path)),
            path: fault.path,
            message: fault.message,
        });
        Self::new(file, problems.collect()).expect("faults are never empty")
    }

    /// What is wrong with a document in which environment variables are `missing`; of
    /// the `faults` those that are not the consequence of that.
    pub(crate) fn of_all(
        file: &Path,
        missing: Vec<Problem>,
        faults: Option<Faults>,
        marks: &Marks,
    ) -> Self {
        let mut problems = missing;
        let lacking: Vec<PropertyPath> = problems.iter().map(|it| it.path.clone()).collect();
        for fault in faults.into_iter().flatten() {
            if !lacking.contains(&fault.path) {
                problems.push(Problem {
                    location: Some(marks.locate(&fault.path)),
                    path: fault.path,
                    message: fault.message,
                });
            }
        }
        Self::new(file, problems).expect("a variable is missing")
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What is wrong with it, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.problems.iter().take(limits::SHOWN_PROBLEMS);
        for (place, problem) in shown.enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", self.file.display())?;
            if let Some(location) = problem.location {
                write!(f, ":{location}")?;
            }
            if !problem.path.is_root() {
                write!(f, ": {}", problem.path)?;
            }
            write!(f, ": {}", problem.message)?;
        }
        match self.problems.len().saturating_sub(limits::SHOWN_PROBLEMS) {
            0 => Ok(()),
            more => write!(f, "\n{}: {more} more problems", self.file.display()),
        }
    }
}

impl std::error::Error for Report {}
