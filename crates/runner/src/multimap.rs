//! Ordered multimaps of opaque bytes: headers and arguments, with a record of
//! what a plugin changed.
//!
//! On the wire a change is a patch: a name without a value is deleted, the
//! first value of a name replaces what was there, further ones are appended,
//! and names that do not occur stay as they are. A [`Multimap`] is read and
//! changed like a plain collection and works the patch out itself.
//!
//! Deliberately absent: the meaning of a header. What a gateway lets a plugin
//! change is the gateway's decision; here is only checked that a name and a
//! value can stand in an HTTP message at all.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use outrigger_a6::{Entries, Entry};

/// Header fields, in order; names are compared without regard to case.
pub type Headers = Multimap<HeaderName>;

/// Arguments of the query, decoded, in order.
///
/// An argument that stood there without `=` reads as an empty value and is told
/// apart by [`Multimap::iter`] alone.
pub type Args = Multimap<ArgName>;

/// How names of a [`Multimap`] are compared.
pub trait Names: sealed::Sealed {
    /// Whether both are the same name.
    fn same(a: &[u8], b: &[u8]) -> bool;
}

/// Header names: ASCII letters are the same in upper and lower case.
#[derive(Debug, Clone, Copy)]
pub struct HeaderName;

/// Argument names: compared byte for byte.
#[derive(Debug, Clone, Copy)]
pub struct ArgName;

impl Names for HeaderName {
    fn same(a: &[u8], b: &[u8]) -> bool {
        a.eq_ignore_ascii_case(b)
    }
}

impl Names for ArgName {
    fn same(a: &[u8], b: &[u8]) -> bool {
        a == b
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::HeaderName {}
    impl Sealed for super::ArgName {}
}

/// An ordered collection of names, each with any number of values.
///
/// Names and values are bytes. [`get`](Self::get) and its kin give them as they
/// are; [`get_str`](Self::get_str) is for the usual case that they are text.
pub struct Multimap<K> {
    items: Vec<Item>,
    /// Names that were changed, in the order of their first change.
    /// Invariant: no two of them are the same by `K`.
    changed: Vec<Changed>,
    names: PhantomData<K>,
}

#[derive(Clone, PartialEq, Eq)]
struct Item {
    name: Bytes,
    value: Option<Bytes>,
}

struct Changed {
    name: Bytes,
    original: Vec<Option<Bytes>>,
}

impl<K: Names> Multimap<K> {
    pub(crate) fn new() -> Self {
        Self {
            items: Vec::new(),
            changed: Vec::new(),
            names: PhantomData,
        }
    }

    /// The entries of a message, without copying them: they borrow from `message`.
    pub(crate) fn read(entries: Entries<'_>, message: &Bytes) -> Self {
        let item = |entry: Entry<'_>| Item {
            name: message.slice_ref(entry.name),
            value: entry.value.map(|value| message.slice_ref(value)),
        };
        Self {
            items: entries.iter().map(item).collect(),
            ..Self::new()
        }
    }

    /// The first value of a name.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.find(name.as_ref()).map(Item::value).next()
    }

    /// The first value of a name, where it is UTF-8.
    ///
    /// `None` also means "not UTF-8". Where a missing value is let through, ask
    /// [`get`](Self::get): a client is free to send anything.
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Option<&str> {
        self.get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All values of a name, in order.
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> impl Iterator<Item = &[u8]> {
        self.items
            .iter()
            .filter(move |item| K::same(&item.name, name.as_ref()))
            .map(Item::value)
    }

    /// Whether the name occurs.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.find(name.as_ref()).next().is_some()
    }

    /// All names and values in order; no value where an argument has no `=`.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.items
            .iter()
            .map(|item| (&item.name[..], item.value.as_deref()))
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Gives a name this value and no other, at the place of its first value.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let new = Item::new(name.as_ref(), value.as_ref());
        self.note_change(&new.name);
        let Some(first) = self
            .items
            .iter()
            .position(|item| K::same(&item.name, &new.name))
        else {
            self.items.push(new);
            return;
        };
        let mut index = 0..;
        self.items.retain(|item| {
            index.next().is_some_and(|index| index <= first) || !K::same(&item.name, &new.name)
        });
        self.items[first] = new;
    }

    /// Gives a name a further value, behind all others.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let new = Item::new(name.as_ref(), value.as_ref());
        self.note_change(&new.name);
        self.items.push(new);
    }

    /// Removes all values of a name. Tells whether there were any.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> bool {
        let name = name.as_ref();
        if !self.contains(name) {
            return false;
        }
        self.note_change(name);
        self.items.retain(|item| !K::same(&item.name, name));
        true
    }

    /// What has to be sent so that the original becomes what is here now:
    /// nothing for names that were set back to what they were.
    pub(crate) fn patch(&self) -> Vec<Entry<'_>> {
        let mut patch = Vec::new();
        for changed in &self.changed {
            let now = || self.find(&changed.name);
            if now().map(|item| &item.value).eq(&changed.original) {
                continue;
            }
            match now().next() {
                None => patch.push(Entry {
                    name: &changed.name,
                    value: None,
                }),
                Some(_) => patch.extend(now().map(Item::entry)),
            }
        }
        patch
    }

    /// Everything that is here now, and the names that are gone.
    pub(crate) fn whole(&self) -> Vec<Entry<'_>> {
        let gone = self
            .changed
            .iter()
            .filter(|changed| !self.contains(&changed.name));
        let gone = gone.map(|changed| Entry {
            name: &changed.name,
            value: None,
        });
        self.items.iter().map(Item::entry).chain(gone).collect()
    }

    /// Whether this name was touched, be it to what it was before.
    pub(crate) fn was_changed(&self, name: &[u8]) -> bool {
        self.changed
            .iter()
            .any(|changed| K::same(&changed.name, name))
    }

    fn find<'m>(&'m self, name: &[u8]) -> impl Iterator<Item = &'m Item> {
        self.items
            .iter()
            .filter(move |item| K::same(&item.name, name))
    }

    /// Remembers the values that a name has before its first change.
    fn note_change(&mut self, name: &[u8]) {
        if self.was_changed(name) {
            return;
        }
        let original = self.find(name).map(|item| item.value.clone()).collect();
        self.changed.push(Changed {
            name: Bytes::copy_from_slice(name),
            original,
        });
    }
}

impl Headers {
    /// Whether every changed field can stand in an HTTP message.
    ///
    /// # Errors
    /// The first that cannot.
    pub(crate) fn check(&self) -> Result<(), InvalidHeader> {
        for changed in &self.changed {
            let name = || String::from_utf8_lossy(&changed.name).into_owned();
            if !is_token(&changed.name) {
                return Err(InvalidHeader::Name(name()));
            }
            if !self.get_all(&changed.name).all(is_one_line) {
                return Err(InvalidHeader::Value(name()));
            }
        }
        Ok(())
    }
}

/// A header that a plugin made and that HTTP has no place for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidHeader {
    #[error("{0:?} is not a header name")]
    Name(String),
    #[error("the value of header {0:?} has a line break or a NUL in it")]
    Value(String),
}

/// A token by RFC 9110, section 5.6.2.
pub(crate) fn is_token(name: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_tchar)
}

/// Free of what would end a line of an HTTP message.
pub(crate) fn is_one_line(text: &[u8]) -> bool {
    !text
        .iter()
        .any(|byte| matches!(byte, b'\r' | b'\n' | b'\0'))
}

impl Item {
    fn new(name: &[u8], value: &[u8]) -> Self {
        Self {
            name: Bytes::copy_from_slice(name),
            value: Some(Bytes::copy_from_slice(value)),
        }
    }

    /// The value; an empty one where there is none.
    fn value(&self) -> &[u8] {
        self.value.as_deref().unwrap_or_default()
    }

    /// This item in a patch. An entry without a value would delete there, so an
    /// argument without `=` gets one.
    fn entry(&self) -> Entry<'_> {
        Entry {
            name: &self.name,
            value: Some(self.value()),
        }
    }
}

impl<K: Names> fmt::Debug for Multimap<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_list()
            .entries(
                self.iter()
                    .map(|(name, value)| (text(name), value.map(text))),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests;
