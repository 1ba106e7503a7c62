//! `HTTPRespCall`: an upstream's response passes through the runner's plugins.

use std::fmt;

use crate::decode::{self, Decode, DecodeError};
use crate::encode::write::{Root, Size, Write, Writer};
use crate::entry::Entries;
use crate::generated::a6::httpresp_call as fb;
use crate::message::message;
use crate::prepare_conf::ConfToken;
use crate::show::OptionalText;

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
        let req = decode::root::<Self, fb::Req<'a>>(payload)?;
        Ok(Self {
            id: req.id(),
            status: req.status(),
            headers: Entries::from_wire(req.headers()),
            conf_token: ConfToken(req.conf_token()),
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
        let resp = decode::root::<Self, fb::Resp<'a>>(payload)?;
        Ok(Self {
            id: resp.id(),
            status: resp.status(),
            headers: Entries::from_wire(resp.headers()),
            body: resp.body().map(|body| body.bytes()),
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
