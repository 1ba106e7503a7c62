//! Reading a JSON document property by property, collecting every fault.
//!
//! [`read`] hands out the document as an [`At`]: a value that knows where it stands.
//! A function that reads a part of it returns `None` after it has reported
//! what is wrong there, and its caller goes on with the next part. So one pass
//! finds all faults, and whatever was built from a document with faults is dropped.
//!
//! Messages are worded as APISIX's schema checks word them, and tell of a
//! value found only its type: the value itself may be a secret in the wrong place.
//!
//! This is no schema language: what a resource is made of is written in plain
//! code beside its type.

mod nearest;
mod object;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Value;

pub use self::nearest::nearest;
pub use self::object::Object;
use crate::{Fault, Faults, PropertyPath, Segment};

/// What a property whose value is `null` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Null {
    /// A value of a wrong type, as in APISIX's resources.
    IsAValue,
    /// That the property is not there, as in APISIX's `config.yaml`.
    IsAbsence,
}

/// Reads a document with `reader`, and returns what it made, or every fault found.
pub fn read<T>(
    document: &Value,
    null: Null,
    reader: impl FnOnce(&At<'_>) -> Option<T>,
) -> Result<T, Faults> {
    let reading = Reading {
        null,
        faults: RefCell::default(),
    };
    let made = reader(&At {
        value: document,
        step: None,
        reading: &reading,
    });
    match Faults::new(reading.faults.into_inner()) {
        Some(faults) => Err(faults),
        None => Ok(made.expect("a reader that makes nothing has reported why")),
    }
}

struct Reading {
    null: Null,
    faults: RefCell<Vec<Fault>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// A value of the document, and where it stands in it.
#[derive(Clone, Copy)]
pub struct At<'a> {
    value: &'a Value,
    step: Option<(&'a At<'a>, Step<'a>)>,
    reading: &'a Reading,
}

impl<'a> At<'a> {
    /// The value as it is.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// The way here from the document's root.
    pub fn path(&self) -> PropertyPath {
        let mut steps = Vec::new();
        let mut here = self;
        while let Some((above, step)) = here.step {
            steps.push(match step {
                Step::Key(key) => Segment::Key(key.to_owned()),
                Step::Index(index) => Segment::Index(index),
            });
            here = above;
        }
        steps.into_iter().rev().collect()
    }

    /// Reports that something is wrong with this value.
    pub fn fault(&self, message: impl Into<String>) {
        self.fault_at(self.path(), message);
    }

    /// Reports what was found wrong further down, along the path that it has from here.
    pub fn fault_below(&self, fault: &Fault) {
        self.fault_at(self.path().join(&fault.path), fault.message.clone());
    }

    fn fault_at(&self, path: PropertyPath, message: impl Into<String>) {
        let message = message.into();
        self.reading
            .faults
            .borrow_mut()
            .push(Fault { path, message });
    }

    /// Reports that the value is not of the type `expected`; always none.
    pub fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let got = type_of(self.value);
        self.fault(format!("wrong type: expected {expected}, got {got}"));
        None
    }

    /// Takes the outcome of a conversion; an error is reported as a fault of this value.
    pub fn accept<T, E: Display>(&self, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.fault(error.to_string())).ok()
    }

    /// The value, which must be a text.
    pub fn string(&self) -> Option<&'a str> {
        match self.value {
            Value::String(text) => Some(text),
            _ => self.wrong_type("string"),
        }
    }

    /// The value, which must be a text of so many characters.
    pub fn text(&self, chars: RangeInclusive<usize>) -> Option<&'a str> {
        let text = self.string()?;
        let (least, most) = chars.into_inner();
        let got = text.chars().count();
        if got < least {
            self.fault(format!(
                "string too short, expected at least {least}, got {got}"
            ));
        } else if got > most {
            self.fault(format!(
                "string too long, expected at most {most}, got {got}"
            ));
        } else {
            return Some(text);
        }
        None
    }

    /// The value, which must be one of these texts.
    pub fn one_of(&self, allowed: &[&'static str]) -> Option<&'static str> {
        let text = self.string()?;
        let found = allowed.iter().copied().find(|known| *known == text);
        if found.is_none() {
            let names: Vec<_> = allowed.iter().map(|name| format!("{name:?}")).collect();
            let hint = nearest::hint(text, allowed.iter().copied());
            self.fault(format!("expected one of {}{hint}", names.join(", ")));
        }
        found
    }

    /// The value, which must be true or false.
    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            // YAML 1.1 took these for booleans, and people still write them.
            Value::String(text) if ["yes", "no", "on", "off"].contains(&text.as_str()) => {
                self.wrong_type("boolean (true or false)")
            }
            _ => self.wrong_type("boolean"),
        }
    }

    /// The value, which must be a whole number in this range.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let Value::Number(written) = self.value else {
            return self.wrong_type("integer");
        };
        let number = match (written.as_i64(), written.as_f64()) {
            (Some(number), _) => i128::from(number),
            // As in Lua, 5.0 is a whole number; far ones saturate, and are out of range.
            (None, Some(float)) if float.fract() == 0.0 => float as i128,
            _ => return self.wrong_type("integer"),
        };
        let (least, most) = range.into_inner();
        if number < i128::from(least) {
            self.fault(format!("expected {written} to be at least {least}"));
        } else if number > i128::from(most) {
            self.fault(format!("expected {written} to be at most {most}"));
        } else {
            return i64::try_from(number).ok();
        }
        None
    }

    /// The value, which must be a number.
    pub fn number(&self) -> Option<f64> {
        match self.value.as_f64() {
            Some(number) => Some(number),
            None => self.wrong_type("number"),
        }
    }

    /// The items of the value, which must be an array.
    pub fn items(&self) -> Option<impl ExactSizeIterator<Item = At<'_>>> {
        let Value::Array(items) = self.value else {
            return self.wrong_type("array");
        };
        Some(items.iter().enumerate().map(|(index, value)| At {
            value,
            step: Some((self, Step::Index(index))),
            reading: self.reading,
        }))
    }

    /// The items of the value, which must be an array without equal items.
    pub fn unique_items(&self) -> Option<impl ExactSizeIterator<Item = At<'_>>> {
        let mut seen = HashMap::new();
        for (index, item) in self.items()?.enumerate() {
            if let Some(earlier) = seen.insert(item.value.to_string(), index) {
                let (first, second) = (earlier + 1, index + 1);
                self.fault(format!(
                    "expected unique items but items {first} and {second} are equal"
                ));
            }
        }
        self.items()
    }

    /// The items of the value, which must be an array of at least one, without equal ones.
    pub fn unique_items_at_least_one(&self) -> Option<impl ExactSizeIterator<Item = At<'_>>> {
        let items = self.unique_items()?;
        if items.len() == 0 {
            self.fault("expect array to have at least 1 items");
            return None;
        }
        Some(items)
    }

    /// The value, which must be an object.
    pub fn object(&self) -> Option<Object<'_>> {
        match self.value {
            Value::Object(properties) => Some(Object::new(self, Some(properties))),
            _ => self.wrong_type("object"),
        }
    }

    /// The value, which must be an object, or `[]`: what some clients' languages
    /// write for an empty object, and APISIX takes for one.
    pub fn object_or_empty_array(&self) -> Option<Object<'_>> {
        match self.value {
            Value::Array(items) if items.is_empty() => Some(Object::new(self, None)),
            _ => self.object(),
        }
    }
}

/// What a value is called in a fault.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
