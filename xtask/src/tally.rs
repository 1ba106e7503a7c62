//! Counts tests from what test programs print.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed, failed, and were not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// What a line sums up: libtest's `test result: ok. 3 passed; 0 failed; …`,
    /// or a line of our own, `3 passed, 0 failed`, perhaps with `, 1 skipped`.
    pub(crate) fn read(line: &str) -> Option<Self> {
        if let Some(result) = line.strip_prefix("test result: ") {
            let (_, counts) = result.split_once(". ")?;
            return Self::parse(counts.split("; "), "ignored");
        }
        Self::parse(line.trim_end().split(", "), "skipped")
    }

    /// Counts with what they count; others than ours are left alone once the
    /// first two are there.
    fn parse<'a>(mut counts: impl Iterator<Item = &'a str>, not_run: &str) -> Option<Self> {
        let count =
            |text: &str, what: &str| text.strip_suffix(what)?.strip_suffix(' ')?.parse().ok();
        let passed = count(counts.next()?, "passed")?;
        let failed = count(counts.next()?, "failed")?;
        let skipped = counts
            .next()
            .and_then(|text| count(text, not_run))
            .unwrap_or(0);
        Some(Self {
            passed,
            failed,
            skipped,
        })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_of_a_test_program_is_read() {
        let line = "test result: FAILED. 43 passed; 2 failed; 1 ignored; 0 measured; \
                    0 filtered out; finished in 0.01s";
        assert_eq!(
            Tally::read(line),
            Some(Tally {
                passed: 43,
                failed: 2,
                skipped: 1
            })
        );
    }

    #[test]
    fn a_closing_line_is_read_as_it_is_written() {
        for tally in [
            Tally {
                passed: 3,
                failed: 0,
                skipped: 0,
            },
            Tally {
                passed: 3,
                failed: 1,
                skipped: 12,
            },
        ] {
            assert_eq!(Tally::read(&tally.to_string()), Some(tally));
        }
    }

    #[test]
    fn other_lines_count_nothing() {
        let lines = [
            "",
            "running 3 tests",
            "test a ... ok",
            "3 passed",
            "test result: ok.",
            "a passed, b failed",
        ];
        for line in lines {
            assert_eq!(Tally::read(line), None, "{line}");
        }
    }
}
