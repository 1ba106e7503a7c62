//! Regular expressions in plugins' configurations.
//!
//! Expressions see bytes, not characters, and have neither look-around nor
//! back references: a search takes time in proportion to the text, whatever
//! the client sends.

use regex::bytes::{Regex, RegexBuilder};

/// Memory that one compiled expression may take, in bytes; ours.
const REGEX_SIZE: usize = 1 << 20;

/// Memory that a search with it may keep, in bytes for each worker; ours.
const REGEX_CACHE: usize = 1 << 18;

/// Compiles an expression of bytes, as the reference's are without their `u`
/// option.
///
/// # Errors
/// What is wrong with it, in one line.
pub(crate) fn compile(text: &str) -> Result<Regex, String> {
    compile_with(text, |_| {})
}

/// As [`compile`], with options set.
///
/// # Errors
/// As those of [`compile`].
pub(crate) fn compile_with(
    text: &str,
    options: impl FnOnce(&mut RegexBuilder),
) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(text);
    builder
        .unicode(false)
        .size_limit(REGEX_SIZE)
        .dfa_size_limit(REGEX_CACHE);
    options(&mut builder);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("the regular expression takes more than {limit} bytes when compiled")
        }
        // The text shows the expression on lines of its own; the last line says what is wrong.
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            format!("not a regular expression that is supported: {reason}")
        }
    })
}
