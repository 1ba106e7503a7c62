//! The frame: one byte of type, three bytes of length (big endian), payload.
//!
//! Finding frames in a stream is [`FrameDecoder`](crate::FrameDecoder)'s work;
//! what is inside the payload is [`Decode`]'s.

use std::fmt;

use crate::limits::{HEADER_LEN, MAX_PAYLOAD};
use crate::{Decode, DecodeError};

/// An unsigned number of 24 bits: the length of a payload in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct U24(u32);

impl U24 {
    /// The largest value.
    pub const MAX: Self = Self(MAX_PAYLOAD as u32);

    /// `None` where `n` needs more than 24 bits.
    pub const fn new(n: usize) -> Option<Self> {
        if n <= MAX_PAYLOAD {
            Some(Self(n as u32))
        } else {
            None
        }
    }

    /// The number.
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    const fn from_be_bytes([a, b, c]: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, a, b, c]))
    }

    const fn to_be_bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }
}

/// The type of a frame. Questions and answers share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RpcType {
    /// A runner's error, instead of any answer.
    Error = 0,
    /// A plugin configuration and the token for it.
    PrepareConf = 1,
    /// A request passes through the runner's plugins.
    HttpReqCall = 2,
    /// A runner's question inside a call, and the host's answer.
    ExtraInfo = 3,
    /// An upstream's response passes through the runner's plugins.
    HttpRespCall = 4,
}

impl RpcType {
    /// All types, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Error,
        Self::PrepareConf,
        Self::HttpReqCall,
        Self::ExtraInfo,
        Self::HttpRespCall,
    ];

    /// The name in the protocol's schema.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "RPC_ERROR",
            Self::PrepareConf => "RPC_PREPARE_CONF",
            Self::HttpReqCall => "RPC_HTTP_REQ_CALL",
            Self::ExtraInfo => "RPC_EXTRA_INFO",
            Self::HttpRespCall => "RPC_HTTP_RESP_CALL",
        }
    }
}

impl TryFrom<u8> for RpcType {
    type Error = FrameError;

    fn try_from(byte: u8) -> Result<Self, FrameError> {
        Self::ALL
            .get(usize::from(byte))
            .copied()
            .ok_or(FrameError::UnknownType(byte))
    }
}

impl fmt::Display for RpcType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One frame, borrowed from where it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub ty: RpcType,
    /// One FlatBuffers message, not yet verified.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Decodes the payload as `M`.
    ///
    /// # Errors
    /// [`DecodeError::WrongType`] where frames of this type do not carry `M`,
    /// and whatever [`Decode::decode`] finds.
    pub fn decode<M: Decode<'a>>(&self) -> Result<M, DecodeError> {
        if self.ty == M::TYPE {
            M::decode(self.payload)
        } else {
            Err(DecodeError::WrongType {
                message: M::NAME,
                expected: M::TYPE,
                got: self.ty,
            })
        }
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.ty, self.payload.len())
    }
}

/// Why a stream is not a sequence of frames. The connection cannot be used on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer sent a type that the protocol does not know; most likely it
    /// speaks another protocol, or its last frame was longer than announced.
    #[error("the peer sent a frame of unknown type {0}")]
    UnknownType(u8),
    /// The peer announced more than is accepted.
    #[error("the peer announced a {ty} frame of {len} bytes, more than the {max} accepted")]
    TooLarge {
        /// The frame's type.
        ty: RpcType,
        /// The announced length of the payload in bytes.
        len: usize,
        /// The longest payload accepted, in bytes.
        max: usize,
    },
    /// The stream ended inside a frame.
    #[error("the peer closed the connection after {have} of a frame's {need} bytes")]
    Truncated {
        /// Bytes of the frame that came, header included.
        have: usize,
        /// Bytes of the whole frame; of the header alone, where not even that came.
        need: usize,
    },
}

/// A frame's header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) ty: RpcType,
    pub(crate) len: U24,
}

impl Header {
    /// Reads the header at the start of `stream`; `None` where it is incomplete.
    ///
    /// A type that is not one is reported at its first byte: what follows it
    /// may never come.
    pub(crate) fn read(stream: &[u8], max: U24) -> Result<Option<Self>, FrameError> {
        let Some(&ty) = stream.first() else {
            return Ok(None);
        };
        let ty = RpcType::try_from(ty)?;
        let Some(&[_, a, b, c]) = stream.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let len = U24::from_be_bytes([a, b, c]);
        if len > max {
            return Err(FrameError::TooLarge {
                ty,
                len: len.get(),
                max: max.get(),
            });
        }
        Ok(Some(Self { ty, len }))
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [a, b, c] = self.len.to_be_bytes();
        [self.ty as u8, a, b, c]
    }

    /// Length of header and payload in bytes.
    pub(crate) fn frame_len(self) -> usize {
        HEADER_LEN + self.len.get()
    }
}
