//! Headers, arguments and configurations: lists of names with values.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;
use std::slice;

use crate::limits::SHOWN_ENTRIES;
use crate::show::{OptionalText, Text};
use crate::wire::WireEntries;

/// A name with a value, such as one header. Both are opaque bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Entry<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The value. Without one, a header of a rewrite is to be deleted, and an
    /// argument has no `=`.
    pub value: Option<&'a [u8]>,
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?}", Text(self.name), OptionalText(self.value))
    }
}

/// An ordered list of [`Entry`]s; a name may occur more than once.
///
/// To encode, it is made of a slice. Decoded, it is a view of the message:
/// entries are read when they are asked for, and nothing is allocated, however
/// many a peer claims there are.
#[derive(Clone, Copy, Default)]
pub struct Entries<'a>(Repr<'a>);

#[derive(Clone, Copy)]
enum Repr<'a> {
    Slice(&'a [Entry<'a>]),
    Wire(WireEntries<'a>),
}

impl Default for Repr<'_> {
    fn default() -> Self {
        Self::Slice(&[])
    }
}

impl<'a> Entries<'a> {
    /// A list in a message.
    pub(crate) fn from_wire(entries: WireEntries<'a>) -> Self {
        Self(Repr::Wire(entries))
    }

    /// The entries in order.
    pub fn iter(&self) -> EntriesIter<'a> {
        EntriesIter(match self.0 {
            Repr::Slice(entries) => IterRepr::Slice(entries.iter()),
            Repr::Wire(entries) => IterRepr::Wire(entries, 0..entries.len()),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Repr::Slice(entries) => entries.len(),
            Repr::Wire(entries) => entries.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a [Entry<'a>]> for Entries<'a> {
    fn from(entries: &'a [Entry<'a>]) -> Self {
        Self(Repr::Slice(entries))
    }
}

impl<'a, const N: usize> From<&'a [Entry<'a>; N]> for Entries<'a> {
    fn from(entries: &'a [Entry<'a>; N]) -> Self {
        Self(Repr::Slice(entries))
    }
}

impl<'a> From<&'a Vec<Entry<'a>>> for Entries<'a> {
    fn from(entries: &'a Vec<Entry<'a>>) -> Self {
        Self(Repr::Slice(entries))
    }
}

impl PartialEq for Entries<'_> {
    fn eq(&self, other: &Entries<'_>) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Entries<'_> {}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}

impl<'a> IntoIterator for Entries<'a> {
    type Item = Entry<'a>;
    type IntoIter = EntriesIter<'a>;

    fn into_iter(self) -> EntriesIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Entries<'a> {
    type Item = Entry<'a>;
    type IntoIter = EntriesIter<'a>;

    fn into_iter(self) -> EntriesIter<'a> {
        self.iter()
    }
}

/// Iterates over [`Entries`].
#[derive(Clone)]
pub struct EntriesIter<'a>(IterRepr<'a>);

#[derive(Clone)]
enum IterRepr<'a> {
    Slice(slice::Iter<'a, Entry<'a>>),
    Wire(WireEntries<'a>, Range<usize>),
}

impl<'a> Iterator for EntriesIter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        match &mut self.0 {
            IterRepr::Slice(entries) => entries.next().copied(),
            IterRepr::Wire(entries, rest) => rest.next().map(|index| entries.get(index)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            IterRepr::Slice(entries) => entries.size_hint(),
            IterRepr::Wire(_, rest) => rest.size_hint(),
        }
    }
}

impl DoubleEndedIterator for EntriesIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            IterRepr::Slice(entries) => entries.next_back().copied(),
            IterRepr::Wire(entries, rest) => rest.next_back().map(|index| entries.get(index)),
        }
    }
}

impl ExactSizeIterator for EntriesIter<'_> {}

impl FusedIterator for EntriesIter<'_> {}

impl fmt::Debug for EntriesIter<'_> {
    /// The entries still to come, the first of them by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        list.entries(self.clone().take(SHOWN_ENTRIES));
        match self.len().saturating_sub(SHOWN_ENTRIES) {
            0 => list.finish(),
            more => list.entry(&format_args!("… and {more} more")).finish(),
        }
    }
}
