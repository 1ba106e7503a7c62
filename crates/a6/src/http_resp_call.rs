//! `HTTPRespCall`: an upstream's response passes through the runner's plugins.

use std::fmt;

use crate::decode::{Decode, DecodeError};
use crate::encode::write::{Root, Size, Write, Writer};
use crate::entry::Entries;
use crate::generated::a6::httpresp_call as fb;
use crate::message::message;
use crate::prepare_conf::ConfToken;
use crate::show::OptionalText;
use crate::wire::Payload;

/// The response as the upstream gave it. Its body is asked for by
/// [`extra_info`](crate::extra_info).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Request<'a> {
    /// Names the call in logs.
    pub id: u32,
    /// The upstream's status.
    pub status: u16,
    /// The upstream's headers, one entry per value.
    pub headers: Entries<'a>,
    /// Which configuration applies.
    pub conf_token: ConfToken,
}

message!(Request<'_>, HttpRespCall, "HTTPRespCall.Req");

impl<'a> Decode<'a> for Request<'a> {
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let payload = Payload::of::<Self>(payload);
        let req = payload.root()?;
        Ok(Self {
            id: req.u32("id", fb::Req::VT_ID)?,
            status: req.u16("status", fb::Req::VT_STATUS)?,
            headers: req.entries("headers", fb::Req::VT_HEADERS)?,
            conf_token: ConfToken(req.u32("conf_token", fb::Req::VT_CONF_TOKEN)?),
        })
    }
}

impl Write for Request<'_> {
    fn size(&self) -> Size {
        Size::tables(1).entries(self.headers)
    }

    fn write(&self, w: &mut Writer) -> Root {
        let args = fb::ReqArgs {
            id: self.id,
            status: self.status,
            headers: w.entries(self.headers),
            conf_token: self.conf_token.0,
        };
        Root::new(fb::Req::create(&mut w.builder, &args).value())
    }
}

/// What the plugins made of the response.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Response<'a> {
    /// Names the call in logs.
    pub id: u32,
    /// The new status; 0 where it stays.
    pub status: u16,
    /// The headers that the plugins touched.
    pub headers: Entries<'a>,
    /// The new body, which may be empty; `None` where it stays.
    pub body: Option<&'a [u8]>,
}

message!(Response<'_>, HttpRespCall, "HTTPRespCall.Resp");

impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("http_resp_call::Response")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &OptionalText(self.body))
            .finish()
    }
}

impl<'a> Decode<'a> for Response<'a> {
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let payload = Payload::of::<Self>(payload);
        let resp = payload.root()?;
        Ok(Self {
            id: resp.u32("id", fb::Resp::VT_ID)?,
            status: resp.u16("status", fb::Resp::VT_STATUS)?,
            headers: resp.entries("headers", fb::Resp::VT_HEADERS)?,
            body: resp.bytes("body", fb::Resp::VT_BODY)?,
        })
    }
}

impl Write for Response<'_> {
    fn size(&self) -> Size {
        Size::tables(1)
            .entries(self.headers)
            .bytes(self.body.unwrap_or_default())
    }

    fn write(&self, w: &mut Writer) -> Root {
        let args = fb::RespArgs {
            id: self.id,
            status: self.status,
            body: self.body.map(|body| w.bytes(body)),
            headers: w.entries(self.headers),
        };
        Root::new(fb::Resp::create(&mut w.builder, &args).value())
    }
}
