//! The answers to what a runner asks during a call.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use outrigger_engine::body::{self, Body, BodyMemory, Kept, Start};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::vars;
use outrigger_host::{Answers, BodyError};

use super::conf::{Bodies, Oversize};

/// Set to `1` once a body was asked for that is longer than the call may see.
pub(super) const TRUNCATED: &str = "ext_body_truncated";

/// Answers from an exchange whose body has been taken out for the time of the
/// call, and from the response where there is one.
pub(super) struct FromExchange<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) request: ToldBody<'a>,
    pub(super) response: Option<FromResponse<'a>>,
    pub(super) bodies: Bodies,
    pub(super) memory: &'a BodyMemory,
}

/// A response of which only the body may change during a call.
pub(super) struct FromResponse<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: ToldBody<'a>,
}

/// A body, and what the runner has been told of it.
pub(super) struct ToldBody<'a> {
    body: &'a mut Body,
    told: Option<Start>,
}

impl<'a> ToldBody<'a> {
    pub(super) fn nothing_of(body: &'a mut Body) -> Self {
        ToldBody { body, told: None }
    }

    /// Whether a runner that sends these bytes sends back what it was told, so
    /// that nothing is to be changed.
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        self.told.as_ref().is_some_and(|told| told.bytes == bytes)
    }

    fn is_cut(&self) -> bool {
        self.told
            .as_ref()
            .is_some_and(|told| !told.whole && !told.bytes.is_empty())
    }

    /// What the runner gets to see of the body, which stays whole itself.
    async fn tell(&mut self, bodies: Bodies, memory: &BodyMemory) -> Result<Bytes, NotTold> {
        if let Some(told) = &self.told {
            return Ok(told.bytes.clone());
        }
        let told = match bodies.oversize {
            Oversize::Truncate => self.body.read_ahead(bodies.max, memory).await,
            Oversize::Reject | Oversize::Skip => {
                let whole = self.body.buffer(bodies.max, memory).await;
                whole.map(|bytes| Start { bytes, whole: true })
            }
        };
        match told {
            Ok(told) => Ok(self.told.insert(told).bytes.clone()),
            Err(body::BodyError::TooLarge { .. }) if bodies.oversize == Oversize::Skip => {
                Err(NotTold::Skip)
            }
            Err(error) => Err(NotTold::Error(error)),
        }
    }
}

enum NotTold {
    Skip,
    Error(body::BodyError),
}

/// Why a call is not told a body that it asked for; found again in its failure.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is longer than the call may see")]
    Skip,
    #[error("the request's body: {0}")]
    Request(#[source] body::BodyError),
    #[error("the response's body: {0}")]
    Response(#[source] body::BodyError),
}

/// What a call may see of a request's body that was sent on, as far as it is
/// still there.
pub(super) fn sent_body(body: &Body, kept: Option<&Kept>, bodies: Bodies) -> Option<Start> {
    let sent = match (body, kept) {
        (Body::Full(bytes), _) => Start {
            bytes: bytes.clone(),
            whole: true,
        },
        (_, Some(kept)) => kept.start()?,
        _ => return None,
    };
    let seen = Start {
        bytes: sent.bytes.slice(..sent.bytes.len().min(bodies.max)),
        whole: sent.whole && sent.bytes.len() <= bodies.max,
    };
    let shown = seen.whole || bodies.oversize == Oversize::Truncate;
    shown.then_some(seen)
}

/// The variable `request_body`, which is never a part of it.
pub(super) fn request_body_variable(sent: Option<Start>) -> Option<Cow<'static, [u8]>> {
    let whole = sent.filter(|sent| sent.whole && !sent.bytes.is_empty())?;
    Some(Cow::Owned(whole.bytes.into()))
}

impl FromExchange<'_> {
    fn sent_body(&self) -> Option<Start> {
        let kept = self.exchange.kept_body.as_ref();
        sent_body(self.request.body, kept, self.bodies)
    }

    /// An argument of a form in the request's body, which is read for it where
    /// it has not been sent on. None of a body that is longer than the call may see.
    async fn form_argument(&mut self, name: &str) -> Option<Cow<'_, [u8]>> {
        if !vars::is_form(&self.exchange.headers) {
            return None;
        }
        let form = match &self.response {
            Some(_) => self.sent_body().filter(|sent| sent.whole)?.bytes,
            None => {
                let told = self.request.tell(self.bodies, self.memory).await.ok()?;
                (!self.request.is_cut()).then_some(told)?
            }
        };
        let value = vars::form_arg(&form, name)?.into_owned();
        Some(Cow::Owned(value))
    }
}

impl Answers for FromExchange<'_> {
    async fn var(&mut self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let name = std::str::from_utf8(name).ok()?;
        if name == "request_body" {
            return request_body_variable(self.sent_body());
        }
        if name == TRUNCATED {
            let response = self.response.as_ref();
            let cut =
                self.request.is_cut() || response.is_some_and(|response| response.body.is_cut());
            return cut.then_some(Cow::Borrowed(b"1"));
        }
        if let Some(argument) = vars::post_arg(name) {
            return self.form_argument(argument).await;
        }
        match &self.response {
            None => vars::lookup(self.exchange, name),
            Some(FromResponse {
                status, headers, ..
            }) => vars::lookup_with_response(self.exchange, *status, headers, name),
        }
    }

    async fn request_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.response.is_some() {
            let sent = self.sent_body().unwrap_or_default();
            let bytes = self.request.told.insert(sent).bytes.clone();
            return Ok((!bytes.is_empty()).then_some(bytes));
        }
        let told = self.request.tell(self.bodies, self.memory).await;
        answer(told, Unreadable::Request)
    }

    async fn response_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some(response) = &mut self.response else {
            return Ok(None);
        };
        let told = response.body.tell(self.bodies, self.memory).await;
        answer(told, Unreadable::Response)
    }
}

fn answer(
    told: Result<Bytes, NotTold>,
    unreadable: fn(body::BodyError) -> Unreadable,
) -> Result<Option<Bytes>, BodyError> {
    match told {
        Ok(bytes) => Ok((!bytes.is_empty()).then_some(bytes)),
        Err(NotTold::Skip) => Err(BodyError::new(Unreadable::Skip)),
        Err(NotTold::Error(error)) => Err(BodyError::new(unreadable(error))),
    }
}
