//! `headers`: fields that are added, set and removed, in this order, as in
//! APISIX 3.16. The short form, an object of names and values, sets.
//!
//! Fields that say how a message is framed, and `Host`, which has a property
//! of its own, cannot be touched.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, header};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::headers::HeaderEdit;
use outrigger_engine::response::Refusal;
use outrigger_engine::template::{Template, header_value};
use outrigger_engine::vars;
use outrigger_model::{Fault, PropertyPath};
use serde_json::{Map, Value};

use super::limits::HEADER_VALUE;
use super::refuse;
use super::uri::Captured;
use crate::conf;

/// The changes, in the order in which they are made.
#[derive(Debug, Default)]
pub(super) struct HeaderChanges(Vec<Change>);

#[derive(Debug)]
enum Change {
    Add(HeaderName, Text),
    Set(HeaderName, Text),
    Remove(HeaderName),
}

#[derive(Debug)]
enum Text {
    Fixed(HeaderValue),
    Variable(Template),
}

impl HeaderChanges {
    /// Reads what agrees with the schema.
    pub(super) fn read(headers: &Map<String, Value>) -> Result<Self, Fault> {
        let root = || PropertyPath::root().key("headers");
        let mut changes = Vec::new();
        let is_long = ["add", "set", "remove"].iter().any(|verb| {
            headers
                .get(*verb)
                .is_some_and(|it| it.is_object() || it.is_array())
        });
        if !is_long {
            read_fields(headers, &root(), Change::Set, &mut changes)?;
            return Ok(HeaderChanges(changes));
        }
        for (verb, change) in [("add", Change::Add as fn(_, _) -> _), ("set", Change::Set)] {
            if let Some(fields) = headers.get(verb).and_then(Value::as_object) {
                read_fields(fields, &root().key(verb), change, &mut changes)?;
            }
        }
        let names = headers.get("remove").and_then(Value::as_array);
        for (index, item) in names.into_iter().flatten().enumerate() {
            let at = || root().key("remove").index(index);
            let name = read_name(item.as_str().unwrap_or_default());
            changes.push(Change::Remove(name.map_err(|why| conf::fault(at(), why))?));
        }
        Ok(HeaderChanges(changes))
    }

    /// Whether a value has what a group of `regex_uri` matched.
    pub(super) fn use_groups(&self) -> bool {
        self.0.iter().any(|change| match change {
            Change::Add(_, Text::Variable(text)) | Change::Set(_, Text::Variable(text)) => {
                text.names().any(|name| group(name).is_some())
            }
            _ => false,
        })
    }

    /// Makes the changes. A value that is empty adds nothing and sets nothing:
    /// the field is removed, as in APISIX.
    pub(super) fn apply(
        &self,
        exchange: &mut Exchange,
        captured: &Captured<'_>,
    ) -> Result<(), Refusal> {
        for change in &self.0 {
            let edit = match change {
                Change::Remove(name) => HeaderEdit::Remove(name.clone()),
                Change::Set(name, text) => match text.value(exchange, captured, name)? {
                    value if value.is_empty() => HeaderEdit::Remove(name.clone()),
                    value => HeaderEdit::Set(name.clone(), value),
                },
                Change::Add(name, text) => match text.value(exchange, captured, name)? {
                    value if value.is_empty() => continue,
                    value => HeaderEdit::Append(name.clone(), value),
                },
            };
            edit.apply(&mut exchange.headers);
        }
        Ok(())
    }
}

impl Text {
    fn value(
        &self,
        exchange: &Exchange,
        captured: &Captured<'_>,
        name: &HeaderName,
    ) -> Result<HeaderValue, Refusal> {
        let template = match self {
            Text::Fixed(value) => return Ok(value.clone()),
            Text::Variable(template) => template,
        };
        let text = template.render_with(HEADER_VALUE, |name| match group(name) {
            Some(group) => captured.group(exchange, group).map(Cow::Borrowed),
            None => vars::lookup(exchange, name),
        });
        let text = text.map_err(|error| refuse(format_args!("the field {name}: {error}")))?;
        Ok(header_value(&text))
    }
}

/// The number of a group, if the name is one.
fn group(name: &str) -> Option<usize> {
    name.starts_with(|c: char| c.is_ascii_digit())
        .then(|| name.parse().ok())?
}

fn read_fields(
    fields: &Map<String, Value>,
    at: &PropertyPath,
    change: fn(HeaderName, Text) -> Change,
    changes: &mut Vec<Change>,
) -> Result<(), Fault> {
    for (name, value) in fields {
        let at = at.clone().key(name);
        let name = read_name(name).map_err(|message| conf::fault(at.clone(), message))?;
        let value = read_value(value).map_err(|message| conf::fault(at, message))?;
        changes.push(change(name, value));
    }
    Ok(())
}

fn read_name(text: &str) -> Result<HeaderName, String> {
    let name = conf::own_field(text)?;
    match name == header::HOST {
        true => Err("the host is changed with the property host".to_owned()),
        false => Ok(name),
    }
}

fn read_value(json: &Value) -> Result<Text, &'static str> {
    let text = conf::text_of(json).unwrap_or_default();
    if text.chars().any(|c| c != '\t' && c.is_ascii_control()) {
        return Err("a field's value must not contain control characters");
    }
    let template = Template::parse(&text);
    Ok(match template.literal() {
        Some(text) => Text::Fixed(header_value(text.as_bytes())),
        None => Text::Variable(template),
    })
}
