//! `ExtraInfo`: inside a call the runner asks the host for more about the
//! request, any number of times. Here the runner sends the request.

use std::fmt;

use crate::decode::{Decode, DecodeError};
use crate::encode::write::{Root, Size, Write, Writer};
use crate::generated::a6::extra_info as fb;
use crate::message::{Message, message};
use crate::show::{OptionalText, Text};
use crate::wire::Payload;

/// What a runner can ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Info<'a> {
    /// The variable of this name.
    Var(&'a [u8]),
    /// The request's whole body.
    ReqBody,
    /// The response's whole body.
    RespBody,
}

impl fmt::Debug for Info<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Var(name) => write!(f, "Var({:?})", Text(name)),
            Self::ReqBody => f.write_str("ReqBody"),
            Self::RespBody => f.write_str("RespBody"),
        }
    }
}

/// The runner's question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a>(pub Info<'a>);

message!(Request<'_>, ExtraInfo, "ExtraInfo.Req");

impl<'a> Decode<'a> for Request<'a> {
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let payload = Payload::of::<Self>(payload);
        let req = payload.root()?;
        let info_type = req.u8("info_type", fb::Req::VT_INFO_TYPE)?;
        if info_type == fb::Info::NONE.0 {
            return Err(req.missing("info"));
        }
        let info = req.table("info", fb::Req::VT_INFO)?;
        match fb::Info(info_type) {
            fb::Info::Var => match info.bytes("name", fb::Var::VT_NAME)? {
                Some(name) => Ok(Self(Info::Var(name))),
                None => Err(info.missing("name")),
            },
            fb::Info::ReqBody => Ok(Self(Info::ReqBody)),
            fb::Info::RespBody => Ok(Self(Info::RespBody)),
            fb::Info(value) => Err(DecodeError::UnknownValue {
                message: Self::NAME,
                field: "info_type",
                value,
            }),
        }
    }
}

impl Write for Request<'_> {
    fn size(&self) -> Size {
        match self.0 {
            Info::Var(name) => Size::tables(2).bytes(name),
            Info::ReqBody | Info::RespBody => Size::tables(2),
        }
    }

    fn write(&self, w: &mut Writer) -> Root {
        let (info_type, info) = match self.0 {
            Info::Var(name) => {
                let name = Some(w.string(name));
                let var = fb::Var::create(&mut w.builder, &fb::VarArgs { name });
                (fb::Info::Var, var.as_union_value())
            }
            Info::ReqBody => {
                let body = fb::ReqBody::create(&mut w.builder, &fb::ReqBodyArgs {});
                (fb::Info::ReqBody, body.as_union_value())
            }
            Info::RespBody => {
                let body = fb::RespBody::create(&mut w.builder, &fb::RespBodyArgs {});
                (fb::Info::RespBody, body.as_union_value())
            }
        };
        let args = fb::ReqArgs {
            info_type,
            info: Some(info),
        };
        Root::new(fb::Req::create(&mut w.builder, &args).value())
    }
}

/// The host's answer.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Response<'a> {
    /// What was asked for; `None` where there is no such thing. An empty
    /// variable or body is there, and empty.
    pub result: Option<&'a [u8]>,
}

message!(Response<'_>, ExtraInfo, "ExtraInfo.Resp");

impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("extra_info::Response")
            .field("result", &OptionalText(self.result))
            .finish()
    }
}

impl<'a> Decode<'a> for Response<'a> {
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let payload = Payload::of::<Self>(payload);
        Ok(Self {
            result: payload.root()?.bytes("result", fb::Resp::VT_RESULT)?,
        })
    }
}

impl Write for Response<'_> {
    fn size(&self) -> Size {
        Size::tables(1).bytes(self.result.unwrap_or_default())
    }

    fn write(&self, w: &mut Writer) -> Root {
        let result = self.result.map(|result| w.bytes(result));
        Root::new(fb::Resp::create(&mut w.builder, &fb::RespArgs { result }).value())
    }
}
