//! From an untrusted payload to a message: verify first, then read.

use std::fmt::Write as _;
use std::marker::PhantomData;

use flatbuffers::{
    ErrorTraceDetail, Follow, InvalidFlatbuffer, TableVerifier, VOffsetT, Verifiable, Verifier,
    VerifierOptions,
};

use crate::limits::{MAX_DEPTH, MAX_PAYLOAD, MAX_TABLES, max_apparent_size};
use crate::{Message, RpcType};

/// A vtable begins with its own length and its table's, 16 bits each.
const MIN_VTABLE_LEN: u16 = 4;

/// A table begins with the 32-bit distance to its vtable.
const MIN_TABLE_LEN: u16 = 4;

/// A message that can be read from a frame's payload.
pub trait Decode<'a>: Message + Sized {
    /// Verifies `payload` and reads it. The message borrows from it.
    ///
    /// # Errors
    /// A [`DecodeError`] that names the message and, where it can, the field.
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError>;
}

/// Why a payload is not the message it should be. The peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame is of another type than those that carry this message.
    #[error("{message}: comes in a frame of type {expected}, not {got}")]
    WrongType {
        /// The message that was to be read.
        message: &'static str,
        /// The type of the frames that carry it.
        expected: RpcType,
        /// The type of the frame.
        got: RpcType,
    },
    /// A field that must be there is not.
    #[error("{message}: {field} is missing")]
    Missing {
        /// The message that was to be read.
        message: &'static str,
        /// The field, with the path to it.
        field: String,
    },
    /// A field has a value that the protocol does not know.
    #[error("{message}: {field} has the unknown value {value}")]
    UnknownValue {
        /// The message that was to be read.
        message: &'static str,
        /// The field.
        field: &'static str,
        /// The value.
        value: u8,
    },
    /// The bytes are not FlatBuffers, or beyond the limits of this crate.
    #[error("{message}: malformed: {reason}")]
    Malformed {
        /// The message that was to be read.
        message: &'static str,
        /// What is wrong, and in which field.
        reason: String,
    },
}

impl DecodeError {
    fn from_verifier(message: &'static str, error: InvalidFlatbuffer) -> Self {
        use InvalidFlatbuffer as E;
        let (reason, trace) = match error {
            E::MissingRequiredField {
                required,
                error_trace,
            } => {
                let mut field = path(error_trace.as_ref());
                field.push_str(&required);
                return Self::Missing { message, field };
            }
            E::TooManyTables => (format!("more than {MAX_TABLES} tables"), None),
            E::ApparentSizeTooLarge => ("it refers too often to the same bytes".to_owned(), None),
            E::DepthLimitReached => (format!("tables nested deeper than {MAX_DEPTH}"), None),
            E::Unaligned {
                position,
                error_trace,
                ..
            } => (
                format!("unaligned value at byte {position}"),
                Some(error_trace),
            ),
            E::RangeOutOfBounds { range, error_trace } => (
                format!("bytes {} to {} are outside of it", range.start, range.end),
                Some(error_trace),
            ),
            E::SignedOffsetOutOfBounds {
                position,
                error_trace,
                ..
            } => (
                format!("the table at byte {position} has no vtable"),
                Some(error_trace),
            ),
            other @ (E::InconsistentUnion { .. }
            | E::Utf8Error { .. }
            | E::MissingNullTerminator { .. }) => (other.to_string(), None),
        };
        let path = trace.map(|trace| path(trace.as_ref())).unwrap_or_default();
        let reason = match path.trim_end_matches('.') {
            "" => reason,
            path => format!("{path}: {reason}"),
        };
        Self::Malformed { message, reason }
    }
}

/// Where in the message an error is, such as `action.headers[2].`.
fn path(trace: &[ErrorTraceDetail]) -> String {
    let mut path = String::new();
    // The innermost comes first.
    for detail in trace.iter().rev() {
        match detail {
            ErrorTraceDetail::TableField {
                field_name: name, ..
            }
            | ErrorTraceDetail::UnionVariant { variant: name, .. } => {
                path.push_str(name.as_ref());
                path.push('.');
            }
            ErrorTraceDetail::VectorElement { index, .. } => {
                path.pop();
                write!(path, "[{index}].").expect("writing to a String");
            }
        }
    }
    path
}

/// The verified root table of a payload.
pub(crate) fn root<'a, M, T>(payload: &'a [u8]) -> Result<T::Inner, DecodeError>
where
    M: Message,
    T: Follow<'a> + Verifiable + 'a,
{
    if payload.len() > MAX_PAYLOAD {
        let reason = format!("{} bytes, longer than a frame can be", payload.len());
        return Err(DecodeError::Malformed {
            message: M::NAME,
            reason,
        });
    }
    let options = VerifierOptions {
        max_depth: MAX_DEPTH,
        max_tables: MAX_TABLES,
        max_apparent_size: max_apparent_size(payload.len()),
        // Strings are read as byte vectors, whose length says all.
        ignore_missing_null_terminator: true,
    };
    let root = flatbuffers::root_with_opts::<T>(&options, payload)
        .map_err(|error| DecodeError::from_verifier(M::NAME, error))?;
    if root_is_too_short(payload) {
        let reason = "the root table has no room for itself".to_owned();
        return Err(DecodeError::Malformed {
            message: M::NAME,
            reason,
        });
    }
    Ok(root)
}

/// Whether the root table or its vtable claims to be shorter than its own
/// beginning. The verifier lets that pass, so bytes that are all zero would be
/// a message of defaults, such as "the request goes on".
fn root_is_too_short(payload: &[u8]) -> bool {
    let check = || {
        let table = usize::try_from(u32::from_le_bytes(*payload.first_chunk()?)).ok()?;
        let back = i32::from_le_bytes(*payload.get(table..)?.first_chunk()?);
        let vtable = table.checked_add_signed(isize::try_from(back).ok()?.checked_neg()?)?;
        let &[a, b, c, d] = payload.get(vtable..)?.first_chunk()?;
        let (vtable_len, table_len) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        Some(vtable_len >= MIN_VTABLE_LEN && table_len >= MIN_TABLE_LEN)
    };
    check() != Some(true)
}

/// A table with a union, read by `T`'s accessors but verified by
/// [`verify_union`] instead of the generated code. That rejects a type without
/// a value even for the type NONE, which a writer that stores defaults sends.
pub(crate) struct WithUnion<T>(PhantomData<T>);

/// A table that contains a union.
pub(crate) trait UnionTable {
    /// Accepts only what the accessors of the table may read.
    fn verify(verifier: &mut Verifier<'_, '_>, pos: usize) -> Result<(), InvalidFlatbuffer>;
}

#[allow(unsafe_code, reason = "the trait's method is unsafe")]
impl<'a, T: Follow<'a>> Follow<'a> for WithUnion<T> {
    type Inner = T::Inner;

    unsafe fn follow(buf: &'a [u8], loc: usize) -> T::Inner {
        // SAFETY: the caller's promise is about what is at `loc`, which is a `T`.
        unsafe { T::follow(buf, loc) }
    }
}

impl<T: UnionTable> Verifiable for WithUnion<T> {
    fn run_verifier(v: &mut Verifier<'_, '_>, pos: usize) -> Result<(), InvalidFlatbuffer> {
        T::verify(v, pos)
    }
}

/// The two slots of a union in a vtable, and the name of the value.
pub(crate) struct UnionField {
    pub(crate) name: &'static str,
    pub(crate) type_slot: VOffsetT,
    pub(crate) value_slot: VOffsetT,
}

/// Verifies a union. `verify_value` gets the type and the value's place; it
/// must verify the types that are read and may accept all others.
pub(crate) fn verify_union(
    table: &mut TableVerifier<'_, '_, '_>,
    field: &UnionField,
    verify_value: fn(u8, &mut Verifier<'_, '_>, usize) -> Result<(), InvalidFlatbuffer>,
) -> Result<(), InvalidFlatbuffer> {
    let ty = match table.deref(field.type_slot)? {
        Some(pos) => table.verifier().get_u8(pos)?,
        None => 0,
    };
    if ty == 0 {
        return Ok(());
    }
    match table.deref(field.value_slot)? {
        Some(pos) => verify_value(ty, table.verifier(), pos),
        None => InvalidFlatbuffer::new_missing_required(field.name),
    }
}
