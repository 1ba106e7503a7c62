//! Questions to the host inside a call: variables and bodies.
//!
//! A request or response holds an [`Asker`]; whoever drives the call takes the
//! [`Question`]s out at the other end and brings back the answers. So a plugin
//! that gives up waiting (a timeout, a `select`) leaves nothing half-sent on the
//! wire, and the call does not know what it travels on.

use std::collections::HashMap;

use bytes::Bytes;
use outrigger_a6::extra_info::Info;
use tokio::sync::{mpsc, oneshot};

use crate::AskError;
use crate::limits::QUESTIONS;

/// What can be asked, as [`Info`] but owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topic {
    Var(Bytes),
    RequestBody,
    ResponseBody,
}

impl Topic {
    pub(crate) fn as_info(&self) -> Info<'_> {
        match self {
            Self::Var(name) => Info::Var(name),
            Self::RequestBody => Info::ReqBody,
            Self::ResponseBody => Info::RespBody,
        }
    }
}

/// What the host says: `None` where there is no such thing.
pub(crate) type Answer = Result<Option<Bytes>, AskError>;

/// A question on its way to the host. Dropped without an answer, it means that
/// the host is gone.
pub(crate) struct Question {
    pub(crate) topic: Topic,
    answer: oneshot::Sender<Answer>,
}

impl Question {
    /// Answers it, unless nobody waits any more.
    pub(crate) fn answer(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }
}

/// Where a call's questions go.
#[derive(Debug, Clone)]
pub(crate) struct Asker(mpsc::Sender<Question>);

impl Asker {
    /// An asker, and where its questions come out.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Question>) {
        let (sender, receiver) = mpsc::channel(QUESTIONS);
        (Self(sender), receiver)
    }

    async fn ask(&self, topic: Topic) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0
            .send(Question { topic, answer })
            .await
            .map_err(|_| AskError::HostGone)?;
        answered.await.unwrap_or(Err(AskError::HostGone))
    }
}

/// What a call has asked so far. Each thing is asked once.
#[derive(Debug)]
pub(crate) struct ExtraInfo {
    asker: Asker,
    vars: HashMap<Bytes, Option<Bytes>>,
    request_body: Option<Bytes>,
    response_body: Option<Bytes>,
}

impl ExtraInfo {
    pub(crate) fn new(asker: Asker) -> Self {
        Self {
            asker,
            vars: HashMap::new(),
            request_body: None,
            response_body: None,
        }
    }

    pub(crate) async fn var(&mut self, name: &[u8]) -> Answer {
        if let Some(known) = self.vars.get(name) {
            return Ok(known.clone());
        }
        let name = Bytes::copy_from_slice(name);
        let value = self.asker.ask(Topic::Var(name.clone())).await?;
        self.vars.insert(name, value.clone());
        Ok(value)
    }

    /// The request's body.
    pub(crate) async fn request_body(&mut self) -> Result<Bytes, AskError> {
        match &self.request_body {
            Some(known) => Ok(known.clone()),
            None => {
                let body = self.asker.ask(Topic::RequestBody).await?;
                Ok(self.request_body.insert(body.unwrap_or_default()).clone())
            }
        }
    }

    /// The response's body.
    pub(crate) async fn response_body(&mut self) -> Result<Bytes, AskError> {
        match &self.response_body {
            Some(known) => Ok(known.clone()),
            None => {
                let body = self.asker.ask(Topic::ResponseBody).await?;
                Ok(self.response_body.insert(body.unwrap_or_default()).clone())
            }
        }
    }

    /// The request's body, where it was asked for.
    pub(crate) fn known_request_body(&self) -> Option<&Bytes> {
        self.request_body.as_ref()
    }

    /// The response's body, where it was asked for.
    pub(crate) fn known_response_body(&self) -> Option<&Bytes> {
        self.response_body.as_ref()
    }
}

/// A variable's value as text; `None` where it is not.
pub(crate) fn text(value: Option<Bytes>) -> Option<String> {
    value.and_then(|value| String::from_utf8(value.into()).ok())
}
