//! Sealing the secrets of documents before they leave the gateway's memory.
//!
//! An [`Inventory`](super::Inventory) holds plain documents. What is written to a disk or to etcd,
//! or answered to somebody, goes through a [`Seal`], and so does what comes back.
//! Which properties hold secrets is known of resources here, and of plugins
//! from whoever knows the plugins ([`SecretFields`]).
//!
//! A reference to a secret, such as `$env://NAME`, is none.

mod fields;
mod keyring;

use std::borrow::Cow;

use serde_json::{Map, Value};

pub use fields::SecretFields;
pub use keyring::{Keyring, NotASealKey, SealKey};

use super::Key;
use crate::references;
use crate::way::put;
use fields::{Found, Sort};

/// Seals and opens the secrets of documents. By default it knows of none but those of
/// resources, and only opens.
#[derive(Debug, Clone, Default)]
pub struct Seal {
    /// Whether it seals; it opens either way.
    seals: bool,
    keyring: Keyring,
    fields: SecretFields,
}

impl Seal {
    /// Seals and opens with these keys.
    pub fn new(keyring: Keyring, fields: SecretFields) -> Self {
        Self {
            seals: true,
            keyring,
            fields,
        }
    }

    /// Leaves what is plain as it is, and opens what was sealed before.
    pub fn off(keyring: Keyring, fields: SecretFields) -> Self {
        Self {
            seals: false,
            ..Self::new(keyring, fields)
        }
    }

    /// The document as APISIX keeps it in etcd: secrets of plugins and private keys
    /// sealed, credentials of secret managers plain.
    ///
    /// Sealing twice seals twice: `value` has to be plain.
    pub fn seal<'v>(&self, key: &Key, value: &'v Value) -> Cow<'v, Value> {
        self.change(key, value, |found| {
            let sealed = match found.sort {
                // APISIX seals whatever stands there.
                Sort::OfPlugin => true,
                Sort::PrivateKey => !references::is_reference(found.text),
                Sort::OfManager => false,
            };
            (self.seals && sealed).then(|| self.keyring.seal(found.text))
        })
    }

    /// The document as it is shown to people and kept by this gateway alone: all
    /// secrets sealed, references as they are. `value` has to be plain.
    pub fn seal_all<'v>(&self, key: &Key, value: &'v Value) -> Cow<'v, Value> {
        self.change(key, value, |found| {
            let sealed = !references::is_reference(found.text);
            (self.seals && sealed).then(|| self.keyring.seal(found.text))
        })
    }

    /// The plain document: every secret that a key opens is opened, the others
    /// are plain already.
    pub fn open<'v>(&self, key: &Key, value: &'v Value) -> Cow<'v, Value> {
        self.change(key, value, |found| self.keyring.open(found.text))
    }

    /// What somebody means who hands in a document that he may have been shown: the plain
    /// document. Where nothing is sealed, every text means itself.
    pub fn submitted<'v>(&self, key: &Key, value: &'v Value) -> Cow<'v, Value> {
        match self.seals {
            true => self.open(key, value),
            false => Cow::Borrowed(value),
        }
    }

    /// As [`submitted`](Self::submitted), of a document's properties.
    pub fn submitted_as(&self, key: &Key, properties: Map<String, Value>) -> Map<String, Value> {
        let document = Value::Object(properties);
        let opened = match self.submitted(key, &document) {
            Cow::Owned(opened) => opened,
            Cow::Borrowed(_) => document,
        };
        match opened {
            Value::Object(properties) => properties,
            _ => unreachable!("what is opened keeps its shape"),
        }
    }

    /// Puts what `other` says in the place of each secret.
    fn change<'v>(
        &self,
        key: &Key,
        value: &'v Value,
        other: impl Fn(&Found<'_>) -> Option<String>,
    ) -> Cow<'v, Value> {
        let found = self.fields.find(key, value).into_iter();
        let changes: Vec<_> = found
            .filter_map(|found| Some((other(&found)?, found.way)))
            .collect();
        if changes.is_empty() {
            return Cow::Borrowed(value);
        }
        let mut changed = value.clone();
        for (text, way) in changes {
            put(&mut changed, &way, Value::String(text));
        }
        Cow::Owned(changed)
    }
}

#[cfg(test)]
mod tests;
