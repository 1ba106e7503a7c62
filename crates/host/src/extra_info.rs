//! What a runner can ask during a call, and who answers.

use std::borrow::Cow;

use bytes::Bytes;
use outrigger_a6::extra_info::Info;

use crate::BodyError;

/// Answers a runner's questions during a call. A runner may ask for the same
/// thing again, and does so where a call is repeated.
#[allow(
    async_fn_in_trait,
    reason = "a call stays on its worker thread, so its futures need not be Send"
)]
pub trait Answers {
    /// The value of a variable, which may be empty; `None` where it is unknown
    /// or not set.
    async fn var(&mut self, name: &[u8]) -> Option<Cow<'_, [u8]>>;

    /// The request's whole body, `None` where it has none.
    ///
    /// # Errors
    /// Where it cannot be had. This ends the call.
    async fn request_body(&mut self) -> Result<Option<Bytes>, BodyError>;

    /// The response's whole body, `None` where it has none. Asked for in
    /// response calls only.
    ///
    /// # Errors
    /// Where it cannot be had. This ends the call.
    async fn response_body(&mut self) -> Result<Option<Bytes>, BodyError>;
}

/// A question that waits for its answer. It owns what it is about, since the
/// connection may have to receive more before the answer can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// The variable of this name.
    Var(Vec<u8>),
    RequestBody,
    ResponseBody,
    /// Something that this kind of call does not have.
    Nothing,
}

impl Question {
    /// `response` tells whether there is a response to ask about.
    pub(crate) fn new(info: Info<'_>, response: bool) -> Self {
        match info {
            Info::Var(name) => Self::Var(name.to_vec()),
            Info::ReqBody => Self::RequestBody,
            Info::RespBody if response => Self::ResponseBody,
            Info::RespBody => Self::Nothing,
        }
    }
}
