//! `ExtraInfo`: inside a call the runner asks the host for more about the
//! request, any number of times. Here the runner sends the request.

use std::fmt;

use flatbuffers::{ForwardsUOffset, InvalidFlatbuffer, Verifier};

use crate::decode::{self, Decode, DecodeError, UnionField, UnionTable, WithUnion};
use crate::encode::write::{Root, Size, Write, Writer};
use crate::generated::a6::extra_info as fb;
use crate::message::{Message, message};
use crate::show::{OptionalText, Text};

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
        let req = decode::root::<Self, WithUnion<fb::Req<'a>>>(payload)?;
        if let Some(var) = req.info_as_var() {
            return Ok(Self(Info::Var(var.name().bytes())));
        }
        match req.info_type() {
            fb::Info::ReqBody => Ok(Self(Info::ReqBody)),
            fb::Info::RespBody => Ok(Self(Info::RespBody)),
            fb::Info::NONE => Err(DecodeError::Missing {
                message: Self::NAME,
                field: "info".to_owned(),
            }),
            fb::Info(value) => Err(DecodeError::UnknownValue {
                message: Self::NAME,
                field: "info_type",
                value,
            }),
        }
    }
}

impl UnionTable for fb::Req<'_> {
    fn verify(verifier: &mut Verifier<'_, '_>, pos: usize) -> Result<(), InvalidFlatbuffer> {
        const INFO: UnionField = UnionField {
            name: "info",
            type_slot: fb::Req::VT_INFO_TYPE,
            value_slot: fb::Req::VT_INFO,
        };
        let mut table = verifier.visit_table(pos)?;
        decode::verify_union(&mut table, &INFO, |ty, v, pos| match fb::Info(ty) {
            fb::Info::Var => v.verify_union_variant::<ForwardsUOffset<fb::Var<'_>>>("info", pos),
            // The others have no fields; their value is not read.
            _ => Ok(()),
        })?;
        table.finish();
        Ok(())
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
        let resp = decode::root::<Self, fb::Resp<'a>>(payload)?;
        Ok(Self {
            result: resp.result().map(|result| result.bytes()),
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
