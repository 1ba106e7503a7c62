//! From an untrusted payload to a message.

use crate::{Message, RpcType};

/// A message that can be read from a frame's payload.
pub trait Decode<'a>: Message + Sized {
    /// Checks `payload` and reads it. The message borrows from it, and nothing
    /// is allocated.
    ///
    /// # Errors
    /// A [`DecodeError`] that names the message and the field.
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
    #[error("{message}: {}{reason}", labelled(field))]
    Malformed {
        /// The message that was to be read.
        message: &'static str,
        /// The field, with the path to it; empty for the message as a whole.
        field: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

fn labelled(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{field}: ")
    }
}
