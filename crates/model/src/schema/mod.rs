//! JSON schemas, and complaints in the words of APISIX.
//!
//! Whoever writes a configuration wrong is told so by the first property that is: in
//! APISIX's words, which scripts and people know. That is the reason for this
//! checker: others have their own words. It knows the keywords that the schemas
//! of resources and plugins are made of, of draft 4 to 7, and refuses a schema
//! with any other, so that none is misunderstood in silence.
//!
//! As in APISIX, an empty array passes for an empty object, and the other way
//! round: some clients' languages make one of the other. And defaults are filled in
//! while a value is checked, before anything is said of several of its properties
//! together.

mod check;
mod pattern;
mod read;
mod words;

use std::fmt;

use serde_json::Value;

use self::pattern::Pattern;
use crate::Fault;

/// A schema, ready to check values.
pub struct Schema {
    json: Value,
    node: Box<Node>,
}

/// A schema that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this JSON schema cannot be read: {0}")]
pub struct BadSchema(String);

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// A keyword that is not known, or not of its type.
    pub fn new(json: Value) -> Result<Self, BadSchema> {
        let node = Box::new(read::read(&json)?);
        Ok(Self { json, node })
    }

    /// The schema as it was written.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Checks a value.
    ///
    /// # Errors
    /// What is wrong with the first property that is wrong.
    pub fn check(&self, value: &Value) -> Result<(), Fault> {
        self.complete(value).map(drop)
    }

    /// Checks a value, and returns it with the defaults of the properties that it
    /// does not have.
    ///
    /// # Errors
    /// As those of [`check`](Self::check).
    pub fn complete(&self, value: &Value) -> Result<Value, Fault> {
        let mut value = value.clone();
        check::complete(&self.node, &mut value)?;
        Ok(value)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").finish_non_exhaustive()
    }
}

/// One schema of a tree of them.
#[derive(Default)]
struct Node {
    default: Option<Value>,
    /// Any, if empty.
    types: Vec<Type>,
    properties: Vec<(String, Node)>,
    required: Vec<String>,
    patterns: Vec<(Pattern, Node)>,
    others: Others,
    dependencies: Vec<(String, Dependency)>,
    min_properties: Option<u64>,
    max_properties: Option<u64>,
    items: Option<Box<Node>>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    unique_items: bool,
    min_length: Option<u64>,
    max_length: Option<u64>,
    pattern: Option<Pattern>,
    format: Option<Format>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    exclusive_minimum: Option<f64>,
    exclusive_maximum: Option<f64>,
    choice: Option<Vec<Value>>,
    constant: Option<Value>,
    all_of: Vec<Node>,
    any_of: Vec<Node>,
    one_of: Vec<Node>,
    not: Option<Box<Node>>,
    conditional: Option<Box<Conditional>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

/// What becomes of properties that the schema does not name.
#[derive(Default)]
enum Others {
    #[default]
    Allowed,
    Forbidden,
    Checked(Box<Node>),
}

enum Dependency {
    Properties(Vec<String>),
    Schema(Box<Node>),
}

/// Formats that are checked; the others say what a value is for, and no more.
enum Format {
    Ipv4,
    Ipv6,
}

struct Conditional {
    condition: Node,
    then: Option<Node>,
    otherwise: Option<Node>,
}

#[cfg(test)]
mod tests;
