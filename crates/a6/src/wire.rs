//! Reads FlatBuffers that someone else wrote, in safe Rust.
//!
//! The generated code could read messages, too, after its verifier has walked
//! through them. That takes more than twice as long as this, which checks while
//! it reads (`examples/cost.rs` measures it); `wire/tests.rs` holds the two
//! against each other. Messages are written by the generated code alone.
//!
//! The rules of the wire: a message starts with an offset to its table. A table
//! starts with the distance back to its vtable; that has two lengths, its own
//! and the table's, and then for each slot where in the table its value is, or 0
//! for nowhere. Numbers stand in the table, of everything else an offset to it.
//! A vector is a count and its elements. All numbers are little endian.
//!
//! Alignment is not checked: nothing here relies on it.

use std::cell::Cell;

use flatbuffers::VOffsetT;

use crate::limits::{MAX_PAYLOAD, MAX_TABLES, max_apparent_size};
use crate::{DecodeError, Entries, Entry, Message};

/// Length of an offset, a count, or the distance to a vtable, in bytes.
const WORD: usize = 4;

/// Length of a vtable's beginning, its own length and its table's, in bytes.
const VTABLE_HEADER: usize = 4;

const NOT_A_TABLE: &str = "not a table";
const NOT_THERE: &str = "refers to bytes that are not there";
const TOO_MANY: &str = "too many entries";
const SHARED_TOO_OFTEN: &str = "the same bytes over and over";

/// A payload that is being read, and how much more of it may be.
pub(crate) struct Payload<'a> {
    message: &'static str,
    bytes: &'a [u8],
    /// Entries that may still be named.
    tables_left: Cell<usize>,
    /// Bytes that may still be referred to; see
    /// [`APPARENT_SIZE_FACTOR`](crate::limits::APPARENT_SIZE_FACTOR).
    bytes_left: Cell<usize>,
}

impl<'a> Payload<'a> {
    /// A payload that should be an `M`.
    pub(crate) fn of<M: Message>(bytes: &'a [u8]) -> Self {
        Self {
            message: M::NAME,
            bytes,
            tables_left: Cell::new(MAX_TABLES),
            bytes_left: Cell::new(max_apparent_size(bytes.len())),
        }
    }

    /// The message's own table.
    pub(crate) fn root(&self) -> Result<Table<'_, 'a>, DecodeError> {
        if self.bytes.len() > MAX_PAYLOAD {
            return Err(self.malformed("", "longer than a frame can be"));
        }
        self.table("", 0)
    }

    fn table(&self, field: &'static str, offset: usize) -> Result<Table<'_, 'a>, DecodeError> {
        let raw = self.take_tables(1).and_then(|()| {
            let table = follow(self.bytes, offset).and_then(|pos| RawTable::at(self.bytes, pos));
            table.ok_or(NOT_A_TABLE)
        });
        let raw = raw.map_err(|reason| self.malformed(field, reason))?;
        Ok(Table {
            payload: self,
            field,
            raw,
        })
    }

    fn take_tables(&self, count: usize) -> Result<(), &'static str> {
        let left = self.tables_left.get().checked_sub(count).ok_or(TOO_MANY)?;
        self.tables_left.set(left);
        Ok(())
    }

    fn take_bytes(&self, count: usize) -> Result<(), &'static str> {
        let left = self
            .bytes_left
            .get()
            .checked_sub(count)
            .ok_or(SHARED_TOO_OFTEN)?;
        self.bytes_left.set(left);
        Ok(())
    }

    fn malformed(&self, field: &str, reason: &'static str) -> DecodeError {
        DecodeError::Malformed {
            message: self.message,
            field: field.to_owned(),
            reason,
        }
    }

    fn missing(&self, field: String) -> DecodeError {
        DecodeError::Missing {
            message: self.message,
            field,
        }
    }
}

/// A table of a message, with the name of the field it was found in.
pub(crate) struct Table<'p, 'a> {
    payload: &'p Payload<'a>,
    field: &'static str,
    raw: RawTable<'a>,
}

impl<'p, 'a> Table<'p, 'a> {
    /// A number; 0 where the slot is empty.
    pub(crate) fn u8(&self, field: &'static str, slot: VOffsetT) -> Result<u8, DecodeError> {
        self.number(field, slot).map(u8::from_le_bytes)
    }

    /// A number; 0 where the slot is empty.
    pub(crate) fn u16(&self, field: &'static str, slot: VOffsetT) -> Result<u16, DecodeError> {
        self.number(field, slot).map(u16::from_le_bytes)
    }

    /// A number; 0 where the slot is empty.
    pub(crate) fn u32(&self, field: &'static str, slot: VOffsetT) -> Result<u32, DecodeError> {
        self.number(field, slot).map(u32::from_le_bytes)
    }

    /// A vector of bytes, or a string; `None` where the slot is empty.
    pub(crate) fn bytes(
        &self,
        field: &'static str,
        slot: VOffsetT,
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        let bytes = self.raw.bytes(self.payload.bytes, slot).and_then(|bytes| {
            self.payload.take_bytes(bytes.map_or(0, <[u8]>::len))?;
            Ok(bytes)
        });
        bytes.map_err(|reason| self.malformed(field, reason))
    }

    /// A table that must be there.
    pub(crate) fn table(
        &self,
        field: &'static str,
        slot: VOffsetT,
    ) -> Result<Table<'p, 'a>, DecodeError> {
        match self.raw.slot(slot) {
            Some(offset) => self.payload.table(field, offset),
            None => Err(self.missing(field)),
        }
    }

    /// A list of entries, every one of them checked; empty where the slot is.
    pub(crate) fn entries(
        &self,
        field: &'static str,
        slot: VOffsetT,
    ) -> Result<Entries<'a>, DecodeError> {
        let payload = self.payload;
        let Some(offset) = self.raw.slot(slot) else {
            return Ok(Entries::default());
        };
        let list = follow(payload.bytes, offset).and_then(|pos| RawEntries::at(payload.bytes, pos));
        let list = list.ok_or(NOT_THERE).and_then(|list| {
            payload.take_tables(list.len)?;
            Ok(list)
        });
        let list = list.map_err(|reason| self.malformed(field, reason))?;
        for index in 0..list.len {
            let entry = list.get(index).and_then(|entry| {
                let values = entry.map_or(0, |e| e.name.len() + e.value.map_or(0, <[u8]>::len));
                payload.take_bytes(values)?;
                Ok(entry)
            });
            match entry {
                Ok(Some(_)) => {}
                Ok(None) => return Err(self.missing(&format!("{field}[{index}].name"))),
                Err(reason) => return Err(self.malformed(&format!("{field}[{index}]"), reason)),
            }
        }
        Ok(Entries::from_wire(WireEntries(list)))
    }

    /// The error that this field is not there.
    pub(crate) fn missing(&self, field: &str) -> DecodeError {
        self.payload.missing(self.path(field))
    }

    fn number<const N: usize>(
        &self,
        field: &'static str,
        slot: VOffsetT,
    ) -> Result<[u8; N], DecodeError> {
        let Some(pos) = self.raw.slot(slot) else {
            return Ok([0; N]);
        };
        read(self.payload.bytes, pos).ok_or_else(|| self.malformed(field, NOT_THERE))
    }

    #[cold]
    fn malformed(&self, field: &str, reason: &'static str) -> DecodeError {
        self.payload.malformed(&self.path(field), reason)
    }

    fn path(&self, field: &str) -> String {
        match self.field {
            "" => field.to_owned(),
            table => format!("{table}.{field}"),
        }
    }
}

/// A list of entries in a payload.
///
/// Invariant: every entry was read once, and is complete.
#[derive(Clone, Copy)]
pub(crate) struct WireEntries<'a>(RawEntries<'a>);

impl<'a> WireEntries<'a> {
    pub(crate) fn len(&self) -> usize {
        self.0.len
    }

    /// # Panics
    /// Where `index` is not less than `len()`.
    pub(crate) fn get(&self, index: usize) -> Entry<'a> {
        assert!(index < self.0.len, "an index within the list");
        let entry = self.0.get(index).ok().flatten();
        entry.expect("every entry was checked when the list was read")
    }
}

#[derive(Clone, Copy)]
struct RawEntries<'a> {
    bytes: &'a [u8],
    /// Where the first element is, an offset to an entry's table.
    first: usize,
    len: usize,
}

impl<'a> RawEntries<'a> {
    fn at(bytes: &'a [u8], pos: usize) -> Option<Self> {
        let len = usize::try_from(u32_at(bytes, pos)?).ok()?;
        let first = pos.checked_add(WORD)?;
        bytes.get(first..first.checked_add(len.checked_mul(WORD)?)?)?;
        Some(Self { bytes, first, len })
    }

    /// `None` where the entry has no name; else what is wrong with it.
    fn get(&self, index: usize) -> Result<Option<Entry<'a>>, &'static str> {
        use crate::generated::a6::TextEntry;
        let pos = follow(self.bytes, self.first + index * WORD).ok_or(NOT_THERE)?;
        let table = RawTable::at(self.bytes, pos).ok_or(NOT_A_TABLE)?;
        let value = table.bytes(self.bytes, TextEntry::VT_VALUE)?;
        let name = table.bytes(self.bytes, TextEntry::VT_NAME)?;
        Ok(name.map(|name| Entry { name, value }))
    }
}

#[derive(Clone, Copy)]
struct RawTable<'a> {
    pos: usize,
    vtable: &'a [u8],
}

impl<'a> RawTable<'a> {
    /// `None` also where the table or its vtable claims to be shorter than its
    /// own beginning: bytes that are all zero would else be a message of
    /// defaults, such as "the request goes on".
    fn at(bytes: &'a [u8], pos: usize) -> Option<Self> {
        let back = i32::from_le_bytes(read(bytes, pos)?);
        let vtable = pos.checked_add_signed(isize::try_from(back).ok()?.checked_neg()?)?;
        let [a, b, c, d] = read(bytes, vtable)?;
        let vtable_len = usize::from(u16::from_le_bytes([a, b]));
        let table_len = usize::from(u16::from_le_bytes([c, d]));
        if vtable_len < VTABLE_HEADER || table_len < WORD {
            return None;
        }
        Some(Self {
            pos,
            vtable: bytes.get(vtable..vtable.checked_add(vtable_len)?)?,
        })
    }

    /// Where the value of a slot is.
    fn slot(&self, slot: VOffsetT) -> Option<usize> {
        match read(self.vtable, usize::from(slot)).map(u16::from_le_bytes) {
            None | Some(0) => None,
            Some(offset) => Some(self.pos + usize::from(offset)),
        }
    }

    /// A vector of bytes; `None` where the slot is empty.
    fn bytes(&self, bytes: &'a [u8], slot: VOffsetT) -> Result<Option<&'a [u8]>, &'static str> {
        let Some(offset) = self.slot(slot) else {
            return Ok(None);
        };
        let vector = follow(bytes, offset).and_then(|pos| {
            let (len, rest) = bytes.get(pos..)?.split_first_chunk()?;
            rest.get(..usize::try_from(u32::from_le_bytes(*len)).ok()?)
        });
        vector.map(Some).ok_or(NOT_THERE)
    }
}

/// Where the offset at `pos` leads: it counts from itself.
fn follow(bytes: &[u8], pos: usize) -> Option<usize> {
    pos.checked_add(usize::try_from(u32_at(bytes, pos)?).ok()?)
}

fn u32_at(bytes: &[u8], pos: usize) -> Option<u32> {
    read(bytes, pos).map(u32::from_le_bytes)
}

fn read<const N: usize>(bytes: &[u8], pos: usize) -> Option<[u8; N]> {
    bytes.get(pos..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests;
