//! Expressions over variables: the `vars` of a route, the `filter` of a
//! plugin's `_meta`, the `when` of an external plugin.
//!
//! The language is lua-resty-expr's, which APISIX uses: a list of conditions
//! `[variable, operator, value]`, all of which must hold, with `!` before an
//! operator for its opposite and `["OR", …]`, `["AND", …]`, `["!OR", …]`,
//! `["!AND", …]` in any nesting. Everything that can be checked once is: an
//! operator is known, an address is one, a regular expression compiles.
//!
//! What a condition means for a value is not here; see the engine's `expr`.

mod number;
mod read;

use std::fmt;

use regex::bytes::Regex;

use crate::Cidr;

pub use number::number;
pub(crate) use read::{pattern, read};

/// An expression over variables.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Each of these holds; an empty list does.
    All(Vec<Expr>),
    /// At least one of these holds.
    Any(Vec<Expr>),
    /// This does not hold.
    Not(Box<Expr>),
    /// What a variable's value says.
    Condition(Condition),
}

/// A test of one variable's value.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The variable's name, without `$`.
    pub variable: String,
    /// What its value must be.
    pub test: Test,
}

/// What a variable's value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `==`
    Equal(Operand),
    /// `~=`
    NotEqual(Operand),
    /// `>`; without a number on the right it never holds.
    Greater(Option<f64>),
    /// `>=`
    GreaterOrEqual(Option<f64>),
    /// `<`
    Less(Option<f64>),
    /// `<=`
    LessOrEqual(Option<f64>),
    /// `~~` and `~*`
    Matches(Pattern),
    /// `in`: one of these texts.
    In(Vec<String>),
    /// `has`: the value is a list with this item. Variables are texts here, so
    /// it never holds.
    Has,
    /// `ipmatch`: an address in one of these ranges.
    InRange(Vec<Cidr>),
}

/// The right side of `==` and `~=`.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A text, byte for byte.
    Text(String),
    /// A number: the variable's value is read as one, too.
    Number(f64),
    /// `null`: the variable has no value.
    Nothing,
    /// A boolean, list or object, which no variable's value equals.
    Other,
}

/// A compiled regular expression; two are equal if they are written alike.
#[derive(Clone)]
pub struct Pattern {
    written: String,
    regex: Regex,
}

impl Pattern {
    /// Whether it matches anywhere in `bytes`.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.regex.is_match(bytes)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        // With the flags, which stand at the beginning.
        self.written == other.written
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.written, f)
    }
}
