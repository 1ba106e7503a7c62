//! `HTTPReqCall`: a request passes through the runner's plugins, which let it
//! go on, change it, or answer it.

use std::fmt;

use flatbuffers::{ForwardsUOffset, InvalidFlatbuffer, Verifier};

use crate::decode::{self, Decode, DecodeError, UnionField, UnionTable, WithUnion};
use crate::encode::write::{Root, Size, Write, Writer};
use crate::entry::Entries;
use crate::generated::a6::{self, httpreq_call as fb};
use crate::message::{Message, message};
use crate::method::Method;
use crate::prepare_conf::ConfToken;
use crate::show::{OptionalText, Text};

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
        let req = decode::root::<Self, fb::Req<'a>>(payload)?;
        let a6::Method(method) = req.method();
        let method = Method::from_u8(method).ok_or(DecodeError::UnknownValue {
            message: Self::NAME,
            field: "method",
            value: method,
        })?;
        Ok(Self {
            id: req.id(),
            src_ip: req.src_ip().map(|ip| ip.bytes()).unwrap_or_default(),
            method,
            path: req.path().map(|path| path.bytes()).unwrap_or_default(),
            args: Entries::from_wire(req.args()),
            headers: Entries::from_wire(req.headers()),
            conf_token: ConfToken(req.conf_token()),
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
        let resp = decode::root::<Self, WithUnion<fb::Resp<'a>>>(payload)?;
        let action = match resp.action_type() {
            fb::Action::NONE => None,
            fb::Action::Stop => resp
                .action_as_stop()
                .map(|stop| Action::Stop(Stop::read(&stop))),
            fb::Action::Rewrite => resp
                .action_as_rewrite()
                .map(|rewrite| Action::Rewrite(Rewrite::read(&rewrite))),
            fb::Action(value) => {
                let field = "action_type";
                return Err(DecodeError::UnknownValue {
                    message: Self::NAME,
                    field,
                    value,
                });
            }
        };
        Ok(Self {
            id: resp.id(),
            action,
        })
    }
}

impl<'a> Stop<'a> {
    fn read(stop: &fb::Stop<'a>) -> Self {
        Self {
            status: stop.status(),
            headers: Entries::from_wire(stop.headers()),
            body: stop.body().map(|body| body.bytes()).unwrap_or_default(),
        }
    }
}

impl<'a> Rewrite<'a> {
    fn read(rewrite: &fb::Rewrite<'a>) -> Self {
        Self {
            path: rewrite.path().map(|path| path.bytes()),
            headers: Entries::from_wire(rewrite.headers()),
            args: Entries::from_wire(rewrite.args()),
            resp_headers: Entries::from_wire(rewrite.resp_headers()),
            body: rewrite.body().map(|body| body.bytes()),
        }
    }
}

impl UnionTable for fb::Resp<'_> {
    fn verify(verifier: &mut Verifier<'_, '_>, pos: usize) -> Result<(), InvalidFlatbuffer> {
        const ACTION: UnionField = UnionField {
            name: "action",
            type_slot: fb::Resp::VT_ACTION_TYPE,
            value_slot: fb::Resp::VT_ACTION,
        };
        let mut table =
            verifier
                .visit_table(pos)?
                .visit_field::<u32>("id", fb::Resp::VT_ID, false)?;
        decode::verify_union(&mut table, &ACTION, |ty, v, pos| match fb::Action(ty) {
            fb::Action::Stop => {
                v.verify_union_variant::<ForwardsUOffset<fb::Stop<'_>>>("action", pos)
            }
            fb::Action::Rewrite => {
                v.verify_union_variant::<ForwardsUOffset<fb::Rewrite<'_>>>("action", pos)
            }
            // Reported as unknown once the table is read.
            _ => Ok(()),
        })?;
        table.finish();
        Ok(())
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
