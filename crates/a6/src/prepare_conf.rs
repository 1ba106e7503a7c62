//! `PrepareConf`: the host hands over a route's plugin configuration once and
//! gets a token to name it by.

use std::fmt;

use crate::decode::{Decode, DecodeError};
use crate::encode::write::{Root, Size, Write, Writer};
use crate::entry::Entries;
use crate::generated::a6::prepare_conf as fb;
use crate::message::message;
use crate::show::Text;
use crate::wire::Payload;

/// A runner's name for a configuration. It means nothing to another runner, nor
/// to the same runner after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConfToken(pub u32);

impl fmt::Display for ConfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Asks a runner to prepare a configuration.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Request<'a> {
    /// The plugins in the order they run, each with its configuration.
    pub conf: Entries<'a>,
    /// Which configuration this is, in which version: the same key may be
    /// answered with the same token. Empty where a host sent none.
    pub key: &'a [u8],
}

message!(Request<'_>, PrepareConf, "PrepareConf.Req");

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("prepare_conf::Request")
            .field("conf", &self.conf)
            .field("key", &Text(self.key))
            .finish()
    }
}

impl<'a> Decode<'a> for Request<'a> {
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let payload = Payload::of::<Self>(payload);
        let req = payload.root()?;
        Ok(Self {
            conf: req.entries("conf", fb::Req::VT_CONF)?,
            key: req.bytes("key", fb::Req::VT_KEY)?.unwrap_or_default(),
        })
    }
}

impl Write for Request<'_> {
    fn size(&self) -> Size {
        Size::tables(1).entries(self.conf).bytes(self.key)
    }

    fn write(&self, w: &mut Writer) -> Root {
        let conf = w.entries(self.conf);
        let key = Some(w.string(self.key));
        let req = fb::Req::create(&mut w.builder, &fb::ReqArgs { conf, key });
        Root::new(req.value())
    }
}

/// The runner's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Response {
    /// The token for the configuration.
    pub conf_token: ConfToken,
}

message!(Response, PrepareConf, "PrepareConf.Resp");

impl<'a> Decode<'a> for Response {
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let payload = Payload::of::<Self>(payload);
        let conf_token = payload.root()?.u32("conf_token", fb::Resp::VT_CONF_TOKEN)?;
        Ok(Self {
            conf_token: ConfToken(conf_token),
        })
    }
}

impl Write for Response {
    fn size(&self) -> Size {
        Size::tables(1)
    }

    fn write(&self, w: &mut Writer) -> Root {
        let args = fb::RespArgs {
            conf_token: self.conf_token.0,
        };
        Root::new(fb::Resp::create(&mut w.builder, &args).value())
    }
}
