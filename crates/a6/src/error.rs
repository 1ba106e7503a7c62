//! `Err`: what a runner answers instead of any answer.

use std::fmt;

use crate::decode::{Decode, DecodeError};
use crate::encode::write::{Root, Size, Write, Writer};
use crate::generated::a6::err as fb;
use crate::message::message;
use crate::wire::Payload;

/// What went wrong in the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The host's message makes no sense to the runner.
    BadRequest,
    /// The runner, or a plugin in it, failed.
    ServiceUnavailable,
    /// The runner does not know the configuration's token, or not any more.
    ConfTokenNotFound,
    /// A code that the protocol did not have when this was written.
    Unknown(u8),
}

impl Code {
    /// The code of this number.
    pub const fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::BadRequest,
            1 => Self::ServiceUnavailable,
            2 => Self::ConfTokenNotFound,
            unknown => Self::Unknown(unknown),
        }
    }

    /// The number.
    pub const fn to_u8(self) -> u8 {
        match self {
            Self::BadRequest => 0,
            Self::ServiceUnavailable => 1,
            Self::ConfTokenNotFound => 2,
            Self::Unknown(unknown) => unknown,
        }
    }
}

impl fmt::Display for Code {
    /// The name in the protocol's schema.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest => f.write_str("BAD_REQUEST"),
            Self::ServiceUnavailable => f.write_str("SERVICE_UNAVAILABLE"),
            Self::ConfTokenNotFound => f.write_str("CONF_TOKEN_NOT_FOUND"),
            Self::Unknown(number) => write!(f, "unknown error code {number}"),
        }
    }
}

/// The runner's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// What went wrong.
    pub code: Code,
}

message!(Response, Error, "Err.Resp");

impl<'a> Decode<'a> for Response {
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let payload = Payload::of::<Self>(payload);
        let code = payload.root()?.u8("code", fb::Resp::VT_CODE)?;
        Ok(Self {
            code: Code::from_u8(code),
        })
    }
}

impl Write for Response {
    fn size(&self) -> Size {
        Size::tables(1)
    }

    fn write(&self, w: &mut Writer) -> Root {
        let args = fb::RespArgs {
            code: fb::Code(self.code.to_u8()),
        };
        Root::new(fb::Resp::create(&mut w.builder, &args).value())
    }
}
