//! Reads the protocol's messages by hand, from the rules of the wire:
//!
//! - Numbers are little endian. A message starts with an offset to its table.
//! - A table starts with a signed distance back to its vtable. A vtable is its
//!   own length, the table's length, then for each slot where in the table its
//!   value is, 0 or the end of the vtable meaning that there is none.
//! - Numbers are in the table itself; everything else is an offset from where
//!   the offset stands. A vector is a count and its elements, a string a vector
//!   of bytes with a NUL after it. A union takes two slots, type and value.
//!
//! It checks bounds and nothing more, and shares no code with the crate.

use super::model::{Action, Bytes, HttpReqCallRequest, Info, Kind, Message, Pairs, Rewrite};

/// `None` where the bytes are not such a message.
pub fn read(kind: Kind, payload: &[u8]) -> Option<Message> {
    let root = Table::at(payload, follow(payload, 0)?)?;
    Some(match kind {
        Kind::Error => Message::Error { code: root.u8(0)? },
        Kind::PrepareConfRequest => Message::PrepareConfRequest {
            conf: root.pairs(0)?,
            key: root.bytes(1)?.unwrap_or_default(),
        },
        Kind::PrepareConfResponse => Message::PrepareConfResponse {
            conf_token: root.u32(0)?,
        },
        Kind::HttpReqCallRequest => Message::HttpReqCallRequest(HttpReqCallRequest {
            id: root.u32(0)?,
            src_ip: root.bytes(1)?.unwrap_or_default(),
            method: root.u8(2)?,
            path: root.bytes(3)?.unwrap_or_default(),
            args: root.pairs(4)?,
            headers: root.pairs(5)?,
            conf_token: root.u32(6)?,
        }),
        Kind::HttpReqCallResponse => Message::HttpReqCallResponse {
            id: root.u32(0)?,
            action: action(&root)?,
        },
        Kind::ExtraInfoRequest => Message::ExtraInfoRequest(info(&root)?),
        Kind::ExtraInfoResponse => Message::ExtraInfoResponse {
            result: root.bytes(0)?,
        },
        Kind::HttpRespCallRequest => Message::HttpRespCallRequest {
            id: root.u32(0)?,
            status: root.u16(1)?,
            headers: root.pairs(2)?,
            conf_token: root.u32(3)?,
        },
        Kind::HttpRespCallResponse => Message::HttpRespCallResponse {
            id: root.u32(0)?,
            status: root.u16(1)?,
            headers: root.pairs(2)?,
            body: root.bytes(3)?,
        },
    })
}

fn action(root: &Table<'_>) -> Option<Action> {
    Some(match root.u8(1)? {
        0 => Action::None,
        1 => {
            let stop = root.table(2)?;
            Action::Stop {
                status: stop.u16(0)?,
                headers: stop.pairs(1)?,
                body: stop.bytes(2)?.unwrap_or_default(),
            }
        }
        2 => {
            let rewrite = root.table(2)?;
            Action::Rewrite(Rewrite {
                path: rewrite.bytes(0)?,
                headers: rewrite.pairs(1)?,
                args: rewrite.pairs(2)?,
                resp_headers: rewrite.pairs(3)?,
                body: rewrite.bytes(4)?,
            })
        }
        _ => return None,
    })
}

fn info(root: &Table<'_>) -> Option<Info> {
    Some(match root.u8(0)? {
        1 => Info::Var(root.table(1)?.bytes(0)??),
        2 => Info::ReqBody,
        3 => Info::RespBody,
        _ => return None,
    })
}

/// Whether every string in the message, as opposed to a byte vector, has its
/// NUL: readers in C and C++ rely on it. Knows the slots that are strings.
pub fn strings_end_in_nul(kind: Kind, payload: &[u8]) -> bool {
    let check = || -> Option<bool> {
        let root = Table::at(payload, follow(payload, 0)?)?;
        Some(match kind {
            Kind::Error | Kind::PrepareConfResponse | Kind::ExtraInfoResponse => true,
            Kind::PrepareConfRequest => root.pairs_end_in_nul(0)? && root.ends_in_nul(1)?,
            Kind::HttpReqCallRequest => {
                root.ends_in_nul(3)? && root.pairs_end_in_nul(4)? && root.pairs_end_in_nul(5)?
            }
            Kind::HttpReqCallResponse => match root.u8(1)? {
                1 => root.table(2)?.pairs_end_in_nul(1)?,
                2 => {
                    let rewrite = root.table(2)?;
                    rewrite.ends_in_nul(0)?
                        && rewrite.pairs_end_in_nul(1)?
                        && rewrite.pairs_end_in_nul(2)?
                        && rewrite.pairs_end_in_nul(3)?
                }
                _ => true,
            },
            Kind::ExtraInfoRequest => match root.u8(0)? {
                1 => root.table(1)?.ends_in_nul(0)?,
                _ => true,
            },
            Kind::HttpRespCallRequest | Kind::HttpRespCallResponse => root.pairs_end_in_nul(2)?,
        })
    };
    check().unwrap_or(false)
}

fn number<const N: usize>(buf: &[u8], pos: usize) -> Option<[u8; N]> {
    buf.get(pos..pos.checked_add(N)?)?.try_into().ok()
}

fn u32_at(buf: &[u8], pos: usize) -> Option<u32> {
    number(buf, pos).map(u32::from_le_bytes)
}

fn u16_at(buf: &[u8], pos: usize) -> Option<u16> {
    number(buf, pos).map(u16::from_le_bytes)
}

/// Where the offset that stands at `pos` leads.
fn follow(buf: &[u8], pos: usize) -> Option<usize> {
    pos.checked_add(u32_at(buf, pos)? as usize)
}

fn vector(buf: &[u8], pos: usize) -> Option<&[u8]> {
    let start = pos.checked_add(4)?;
    buf.get(start..start.checked_add(u32_at(buf, pos)? as usize)?)
}

struct Table<'a> {
    buf: &'a [u8],
    pos: usize,
    vtable: &'a [u8],
}

impl<'a> Table<'a> {
    fn at(buf: &'a [u8], pos: usize) -> Option<Self> {
        let back = i32::from_le_bytes(number(buf, pos)?);
        let vtable = i64::try_from(pos).ok()?.checked_sub(i64::from(back))?;
        let vtable = usize::try_from(vtable).ok()?;
        let len = usize::from(u16_at(buf, vtable)?);
        let vtable = buf.get(vtable..vtable.checked_add(len)?)?;
        Some(Self { buf, pos, vtable })
    }

    /// Where the value of a slot is, if there is one.
    fn slot(&self, slot: usize) -> Option<usize> {
        match u16_at(self.vtable, 4 + 2 * slot) {
            None | Some(0) => None,
            Some(offset) => Some(self.pos + usize::from(offset)),
        }
    }

    fn u8(&self, slot: usize) -> Option<u8> {
        self.slot(slot)
            .map_or(Some(0), |pos| self.buf.get(pos).copied())
    }

    fn u16(&self, slot: usize) -> Option<u16> {
        self.slot(slot).map_or(Some(0), |pos| u16_at(self.buf, pos))
    }

    fn u32(&self, slot: usize) -> Option<u32> {
        self.slot(slot).map_or(Some(0), |pos| u32_at(self.buf, pos))
    }

    fn bytes(&self, slot: usize) -> Option<Option<Bytes>> {
        let Some(pos) = self.slot(slot) else {
            return Some(None);
        };
        Some(Some(vector(self.buf, follow(self.buf, pos)?)?.to_vec()))
    }

    fn table(&self, slot: usize) -> Option<Self> {
        Self::at(self.buf, follow(self.buf, self.slot(slot)?)?)
    }

    fn tables(&self, slot: usize) -> Option<Vec<Self>> {
        let Some(pos) = self.slot(slot) else {
            return Some(Vec::new());
        };
        let vector = follow(self.buf, pos)?;
        let count = u32_at(self.buf, vector)? as usize;
        (0..count)
            .map(|i| Self::at(self.buf, follow(self.buf, vector + 4 + 4 * i)?))
            .collect()
    }

    fn pairs(&self, slot: usize) -> Option<Pairs> {
        self.tables(slot)?
            .into_iter()
            .map(|entry| Some((entry.bytes(0)??, entry.bytes(1)?)))
            .collect()
    }

    fn ends_in_nul(&self, slot: usize) -> Option<bool> {
        let Some(pos) = self.slot(slot) else {
            return Some(true);
        };
        let string = follow(self.buf, pos)?;
        let end = string + 4 + u32_at(self.buf, string)? as usize;
        Some(self.buf.get(end) == Some(&0))
    }

    fn pairs_end_in_nul(&self, slot: usize) -> Option<bool> {
        let mut all = true;
        for entry in self.tables(slot)? {
            all &= entry.ends_in_nul(0)? && entry.ends_in_nul(1)?;
        }
        Some(all)
    }
}
