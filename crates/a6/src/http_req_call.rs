//! `HTTPReqCall`: a request passes through the runner's plugins, which let it
//! go on, change it, or answer it.

use std::fmt;

use crate::decode::{Decode, DecodeError};
use crate::encode::write::{Root, Size, Write, Writer};
use crate::entry::Entries;
use crate::generated::a6::{self, httpreq_call as fb};
use crate::message::{Message, message};
use crate::method::Method;
use crate::prepare_conf::ConfToken;
use crate::show::{OptionalText, Text};
use crate::wire::{Payload, Table};

/// The request as the gateway has it. Its body is asked for by
/// [`extra_info`](crate::extra_info).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Request<'a> {
    /// Names the call in logs. Some runners refuse 0.
    pub id: u32,
    /// The client's address: 4 or 16 bytes, unless the host sent something else.
    pub src_ip: &'a [u8],
    /// The method.
    pub method: Method,
    /// The decoded path, without the query. Empty where a host sent none.
    pub path: &'a [u8],
    /// The decoded arguments in order.
    pub args: Entries<'a>,
    /// The headers in order, one entry per value.
    pub headers: Entries<'a>,
    /// Which configuration applies.
    pub conf_token: ConfToken,
}

message!(Request<'_>, HttpReqCall, "HTTPReqCall.Req");

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("http_req_call::Request")
            .field("id", &self.id)
            .field("src_ip", &self.src_ip)
            .field("method", &self.method)
            .field("path", &Text(self.path))
            .field("args", &self.args)
            .field("headers", &self.headers)
            .field("conf_token", &self.conf_token)
            .finish()
    }
}

impl<'a> Decode<'a> for Request<'a> {
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let payload = Payload::of::<Self>(payload);
        let req = payload.root()?;
        let method = req.u8("method", fb::Req::VT_METHOD)?;
        let method = Method::from_u8(method).ok_or(DecodeError::UnknownValue {
            message: Self::NAME,
            field: "method",
            value: method,
        })?;
        Ok(Self {
            id: req.u32("id", fb::Req::VT_ID)?,
            src_ip: req.bytes("src_ip", fb::Req::VT_SRC_IP)?.unwrap_or_default(),
            method,
            path: req.bytes("path", fb::Req::VT_PATH)?.unwrap_or_default(),
            args: req.entries("args", fb::Req::VT_ARGS)?,
            headers: req.entries("headers", fb::Req::VT_HEADERS)?,
            conf_token: ConfToken(req.u32("conf_token", fb::Req::VT_CONF_TOKEN)?),
        })
    }
}

impl Write for Request<'_> {
    fn size(&self) -> Size {
        Size::tables(1)
            .bytes(self.src_ip)
            .bytes(self.path)
            .entries(self.args)
            .entries(self.headers)
    }

    fn write(&self, w: &mut Writer) -> Root {
        let args = fb::ReqArgs {
            id: self.id,
            src_ip: Some(w.bytes(self.src_ip)),
            method: a6::Method(self.method.to_u8()),
            path: Some(w.string(self.path)),
            args: w.entries(self.args),
            headers: w.entries(self.headers),
            conf_token: self.conf_token.0,
        };
        Root::new(fb::Req::create(&mut w.builder, &args).value())
    }
}

/// What the plugins made of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Response<'a> {
    /// Names the call in logs.
    pub id: u32,
    /// What to do; `None`: the request goes on as it is.
    pub action: Option<Action<'a>>,
}

/// What to do with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Answer it.
    Stop(Stop<'a>),
    /// Change it, and let it go on.
    Rewrite(Rewrite<'a>),
}

/// An answer to the client instead of the upstream's.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Stop<'a> {
    /// The status; 0 means 200.
    pub status: u16,
    /// The headers.
    pub headers: Entries<'a>,
    /// The body, often empty.
    pub body: &'a [u8],
}

impl fmt::Debug for Stop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &Text(self.body))
            .finish()
    }
}

/// Changes to the request, and to the response that the upstream will give.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrite<'a> {
    /// The new path, decoded; `None` where it stays.
    pub path: Option<&'a [u8]>,
    /// Headers of the request to set, or to delete where they have no value.
    pub headers: Entries<'a>,
    /// Arguments likewise.
    pub args: Entries<'a>,
    /// Headers to set on the response.
    pub resp_headers: Entries<'a>,
    /// The new body, which may be empty; `None` where it stays.
    pub body: Option<&'a [u8]>,
}

impl fmt::Debug for Rewrite<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewrite")
            .field("path", &OptionalText(self.path))
            .field("headers", &self.headers)
            .field("args", &self.args)
            .field("resp_headers", &self.resp_headers)
            .field("body", &OptionalText(self.body))
            .finish()
    }
}

message!(Response<'_>, HttpReqCall, "HTTPReqCall.Resp");

impl<'a> Decode<'a> for Response<'a> {
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let payload = Payload::of::<Self>(payload);
        let resp = payload.root()?;
        let action_type = resp.u8("action_type", fb::Resp::VT_ACTION_TYPE)?;
        let action = if action_type == fb::Action::NONE.0 {
            None
        } else {
            let action = resp.table("action", fb::Resp::VT_ACTION)?;
            Some(match fb::Action(action_type) {
                fb::Action::Stop => Action::Stop(Stop::read(&action)?),
                fb::Action::Rewrite => Action::Rewrite(Rewrite::read(&action)?),
                fb::Action(value) => {
                    let field = "action_type";
                    return Err(DecodeError::UnknownValue {
                        message: Self::NAME,
                        field,
                        value,
                    });
                }
            })
        };
        Ok(Self {
            id: resp.u32("id", fb::Resp::VT_ID)?,
            action,
        })
    }
}

impl<'a> Stop<'a> {
    fn read(stop: &Table<'_, 'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            status: stop.u16("status", fb::Stop::VT_STATUS)?,
            headers: stop.entries("headers", fb::Stop::VT_HEADERS)?,
            body: stop.bytes("body", fb::Stop::VT_BODY)?.unwrap_or_default(),
        })
    }
}

impl<'a> Rewrite<'a> {
    fn read(rewrite: &Table<'_, 'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            path: rewrite.bytes("path", fb::Rewrite::VT_PATH)?,
            headers: rewrite.entries("headers", fb::Rewrite::VT_HEADERS)?,
            args: rewrite.entries("args", fb::Rewrite::VT_ARGS)?,
            resp_headers: rewrite.entries("resp_headers", fb::Rewrite::VT_RESP_HEADERS)?,
            body: rewrite.bytes("body", fb::Rewrite::VT_BODY)?,
        })
    }
}

impl Write for Response<'_> {
    fn size(&self) -> Size {
        match &self.action {
            None => Size::tables(1),
            Some(Action::Stop(stop)) => Size::tables(2).entries(stop.headers).bytes(stop.body),
            Some(Action::Rewrite(rewrite)) => Size::tables(2)
                .bytes(rewrite.path.unwrap_or_default())
                .entries(rewrite.headers)
                .entries(rewrite.args)
                .entries(rewrite.resp_headers)
                .bytes(rewrite.body.unwrap_or_default()),
        }
    }

    fn write(&self, w: &mut Writer) -> Root {
        let (action_type, action) = match &self.action {
            None => (fb::Action::NONE, None),
            Some(Action::Stop(stop)) => (fb::Action::Stop, Some(write_stop(stop, w))),
            Some(Action::Rewrite(rewrite)) => {
                (fb::Action::Rewrite, Some(write_rewrite(rewrite, w)))
            }
        };
        let action = action.map(Root::as_union_value);
        let args = fb::RespArgs {
            id: self.id,
            action_type,
            action,
        };
        Root::new(fb::Resp::create(&mut w.builder, &args).value())
    }
}

fn write_stop(stop: &Stop<'_>, w: &mut Writer) -> Root {
    let args = fb::StopArgs {
        status: stop.status,
        body: (!stop.body.is_empty()).then(|| w.bytes(stop.body)),
        headers: w.entries(stop.headers),
    };
    Root::new(fb::Stop::create(&mut w.builder, &args).value())
}

fn write_rewrite(rewrite: &Rewrite<'_>, w: &mut Writer) -> Root {
    let args = fb::RewriteArgs {
        body: rewrite.body.map(|body| w.bytes(body)),
        path: rewrite.path.map(|path| w.string(path)),
        headers: w.entries(rewrite.headers),
        args: w.entries(rewrite.args),
        resp_headers: w.entries(rewrite.resp_headers),
    };
    Root::new(fb::Rewrite::create(&mut w.builder, &args).value())
}
