//! Reading a plugin's configuration.
//!
//! Its schema says what it looks like: types, limits, defaults. What is read here
//! has been checked by it and completed with its defaults, wherever the configuration comes
//! from, so that a plugin's own types have neither, and only what a schema cannot tell is
//! checked by hand.

use http::{HeaderName, StatusCode};
use outrigger_engine::headers::is_framing;
use outrigger_engine::schemas::Schemas;
use outrigger_model::expr::Expr;
use outrigger_model::schema::Schema;
use outrigger_model::{Fault, PropertyPath, Segment};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The schemas of a plugin, from the text of its file in `schemas/`.
pub(crate) fn schemas(text: &str) -> Schemas {
    let json = serde_json::from_str(text).expect("the file is JSON, as every start shows");
    Schemas::new(json).expect("the schemas are understood, as every start shows")
}

/// Reads a configuration into its type.
///
/// # Errors
/// The [`Fault`] names the property that does not hold.
pub(crate) fn read<T: DeserializeOwned>(schema: &Schema, conf: &Value) -> Result<T, Fault> {
    let complete = schema.complete(conf)?;
    serde_path_to_error::deserialize(&complete).map_err(|error| {
        let path = error.path().iter().filter_map(segment).collect();
        fault(path, error.into_inner().to_string())
    })
}

/// Reads what an authentication plugin knows a consumer by into its type.
///
/// # Errors
/// As those of [`read`].
pub(crate) fn read_consumer<T: DeserializeOwned>(
    schemas: &Schemas,
    conf: &Value,
) -> Result<T, Fault> {
    let schema = schemas.consumer.as_ref();
    read(schema.expect("authentication plugins have one"), conf)
}

/// A fault of the property `path` leads to.
pub(crate) fn fault(path: PropertyPath, message: impl Into<String>) -> Fault {
    Fault {
        path,
        message: message.into(),
    }
}

/// A fault of the whole configuration.
pub(crate) fn wrong(message: impl Into<String>) -> Fault {
    fault(PropertyPath::root(), message)
}

/// A fault of the property `key`.
pub(crate) fn wrong_at(key: &str, message: impl Into<String>) -> Fault {
    fault(PropertyPath::root().key(key), message)
}

/// The header field that the property `key` names.
///
/// # Errors
/// It is no field's name.
pub(crate) fn field(key: &str, name: &str) -> Result<HeaderName, Fault> {
    let read = name.parse::<HeaderName>();
    read.map_err(|error| wrong_at(key, error.to_string()))
}

/// A header field that a plugin may change or set.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn own_field(name: &str) -> Result<HeaderName, String> {
    let name = name.parse::<HeaderName>().map_err(|it| it.to_string())?;
    match is_framing(&name) {
        true => Err("this field belongs to the connection and cannot be changed".to_owned()),
        false => Ok(name),
    }
}

/// The text of a header field's value, which may be written as a number.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A status that a schema has let pass.
pub(crate) fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("schemas allow statuses of three digits")
}

/// The expression in `vars`, if there is one.
///
/// # Errors
/// What is wrong with it, in APISIX's words.
pub(crate) fn vars(vars: Option<&Value>) -> Result<Option<Expr>, Fault> {
    let read = vars.map(Expr::from_json).transpose();
    read.map_err(|fault| {
        let why = fault.message;
        wrong(format!("failed to validate the 'vars' expression: {why}"))
    })
}

fn segment(segment: &serde_path_to_error::Segment) -> Option<Segment> {
    match segment {
        serde_path_to_error::Segment::Seq { index } => Some(Segment::Index(*index)),
        serde_path_to_error::Segment::Map { key } => Some(Segment::Key(key.clone())),
        serde_path_to_error::Segment::Enum { variant } => Some(Segment::Key(variant.clone())),
        serde_path_to_error::Segment::Unknown => None,
    }
}
