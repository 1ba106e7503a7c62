//! Reading an object: which properties there may be, and must be.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::{At, Null, Step, nearest};

/// An object of the document. It learns which properties there may be from
/// being asked for them; [`Object::finish`] reports the others.
pub struct Object<'a> {
    at: &'a At<'a>,
    properties: Option<&'a Map<String, Value>>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Object<'a> {
    pub(super) fn new(at: &'a At<'a>, properties: Option<&'a Map<String, Value>>) -> Self {
        let known = RefCell::default();
        Self {
            at,
            properties,
            known,
        }
    }

    /// Where the object itself stands.
    pub fn at(&self) -> &'a At<'a> {
        self.at
    }

    /// All properties, for an object whose keys are names of the user's choice.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, At<'a>)> {
        let at = self.at;
        self.properties
            .into_iter()
            .flatten()
            .map(move |(key, value)| {
                (
                    key.as_str(),
                    At {
                        value,
                        step: Some((at, Step::Key(key))),
                        reading: at.reading,
                    },
                )
            })
    }

    /// The property `key`, if it is there.
    pub fn get(&self, key: &'static str) -> Option<At<'a>> {
        self.known.borrow_mut().push(key);
        let value = self.properties?.get(key)?;
        if value.is_null() && self.at.reading.null == Null::IsAbsence {
            return None;
        }
        Some(At {
            value,
            step: Some((self.at, Step::Key(key))),
            reading: self.at.reading,
        })
    }

    /// The property `key`; a fault of the object if it is not there.
    pub fn require(&self, key: &'static str) -> Option<At<'a>> {
        let property = self.get(key);
        if property.is_none() {
            self.at.fault(format!("property {key:?} is required"));
        }
        property
    }

    /// What `reader` makes of the property `key`. None if it is not there, or
    /// there is something wrong with it.
    pub fn read<T>(
        &self,
        key: &'static str,
        reader: impl FnOnce(&At<'a>) -> Option<T>,
    ) -> Option<T> {
        reader(&self.get(key)?)
    }

    /// What `reader` makes of the object `key`; of an empty one if it is not there.
    /// Faults of the empty one are this object's. It is [finished](Object::finish) here.
    pub fn section<T>(&self, key: &'static str, reader: impl FnOnce(&Object<'_>) -> T) -> T {
        let Some(at) = self.get(key) else {
            return reader(&Object::new(self.at, None));
        };
        let section = at.object().unwrap_or_else(|| Object::new(&at, None));
        let made = reader(&section);
        section.finish();
        made
    }

    /// Names properties that may be there and mean nothing.
    pub fn ignore(&self, keys: &[&'static str]) {
        self.known.borrow_mut().extend_from_slice(keys);
    }

    /// Reports every property that was not asked for, with the name that may have been meant.
    pub fn finish(self) {
        let known = self.known.borrow();
        for (key, at) in self.entries() {
            if !known.contains(&key) {
                let hint = nearest::hint(key, known.iter().copied());
                at.fault(format!("unknown property{hint}"));
            }
        }
    }
}
