//! What came of a call.

use std::io;

use outrigger_a6::error::Code;
use outrigger_a6::extra_info::Info;
use outrigger_a6::http_req_call::{self, Action};
use outrigger_a6::{DecodeError, http_resp_call};

use crate::Fields;

/// Why there is no answer to a call.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The runner refused the configuration.
    #[error("the runner refused the configuration: {0}")]
    Conf(Code),
    /// The runner, or a plugin in it, failed the call.
    #[error("the runner failed the call: {0}")]
    Call(Code),
    /// The runner closed the connection.
    #[error("the runner closed the connection")]
    HungUp,
    /// The runner said nothing for as long as a host waits.
    #[error("the runner did not answer in time")]
    TimedOut,
    /// The runner sent what the protocol does not allow.
    #[error("the runner broke the protocol: {0}")]
    Protocol(String),
    /// The connection broke, or there was none.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

impl Failure {
    /// The code that the runner sent, where it sent one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Conf(code) | Self::Call(code) => Some(*code),
            _ => None,
        }
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// A question that plugins asked inside a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// For the variable of this name.
    Var(String),
    /// For the request's body.
    RequestBody,
    /// For the response's body.
    ResponseBody,
}

impl From<Info<'_>> for Asked {
    fn from(info: Info<'_>) -> Self {
        match info {
            Info::Var(name) => Self::Var(String::from_utf8_lossy(name).into_owned()),
            Info::ReqBody => Self::RequestBody,
            Info::RespBody => Self::ResponseBody,
        }
    }
}

/// What came of a call: `T`, or why not; and what was asked on the way.
#[derive(Debug)]
pub struct Outcome<T> {
    /// The runner's answer.
    pub result: Result<T, Failure>,
    /// What plugins asked the host, in order.
    pub asked: Vec<Asked>,
}

/// What plugins made of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestVerdict {
    /// It goes on as it is.
    Unchanged,
    /// It is answered.
    Stopped(Stopped),
    /// It goes on changed.
    Rewritten(Rewritten),
}

/// An answer to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The status; 0 means 200.
    pub status: u16,
    /// The headers.
    pub headers: Fields,
    /// The body.
    pub body: Vec<u8>,
}

/// Changes to a request. A header or an argument without a value is deleted; the
/// first value of a name replaces all there were, and next ones are appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The new path.
    pub path: Option<Vec<u8>>,
    /// The changed headers.
    pub headers: Fields,
    /// The changed arguments.
    pub args: Fields,
    /// Headers for the upstream's response.
    pub response_headers: Fields,
    /// The new body.
    pub body: Option<Vec<u8>>,
}

/// Changes to a response. Headers are a patch as in [`Rewritten`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseChange {
    /// The new status; `None` where it stays.
    pub status: Option<u16>,
    /// The headers that the runner named.
    pub headers: Fields,
    /// The new body.
    pub body: Option<Vec<u8>>,
}

impl<T: std::fmt::Debug> Outcome<T> {
    /// The answer.
    ///
    /// # Panics
    /// Where the call failed.
    #[track_caller]
    pub fn expect_answer(self) -> T {
        self.result
            .unwrap_or_else(|failure| panic!("the call failed: {failure}"))
    }

    /// Why the call failed.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn expect_failure(self) -> Failure {
        match self.result {
            Ok(answer) => panic!("the call did not fail, its answer is {answer:?}"),
            Err(failure) => failure,
        }
    }
}

impl Outcome<RequestVerdict> {
    /// The answer to the client.
    ///
    /// # Panics
    /// Where plugins did not answer.
    #[track_caller]
    pub fn expect_stop(self) -> Stopped {
        match self.expect_answer() {
            RequestVerdict::Stopped(stopped) => stopped,
            other => panic!("plugins did not answer the request: {other:?}"),
        }
    }

    /// The changes to the request.
    ///
    /// # Panics
    /// Where plugins did not change it.
    #[track_caller]
    pub fn expect_rewrite(self) -> Rewritten {
        match self.expect_answer() {
            RequestVerdict::Rewritten(rewritten) => rewritten,
            other => panic!("plugins did not change the request: {other:?}"),
        }
    }

    /// Makes sure that the request goes on as it is.
    ///
    /// # Panics
    /// Where it does not.
    #[track_caller]
    pub fn expect_unchanged(self) {
        let verdict = self.expect_answer();
        assert_eq!(
            verdict,
            RequestVerdict::Unchanged,
            "plugins were to leave the request alone"
        );
    }
}

impl Outcome<ResponseChange> {
    /// Makes sure that the response stays as it is.
    ///
    /// # Panics
    /// Where it does not.
    #[track_caller]
    pub fn expect_unchanged(self) {
        let change = self.expect_answer();
        let unchanged = ResponseChange::default();
        assert_eq!(
            change, unchanged,
            "plugins were to leave the response alone"
        );
    }
}

impl Stopped {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl From<http_req_call::Response<'_>> for RequestVerdict {
    fn from(response: http_req_call::Response<'_>) -> Self {
        match response.action {
            None => Self::Unchanged,
            Some(Action::Stop(stop)) => Self::Stopped(Stopped {
                status: stop.status,
                headers: stop.headers.into(),
                body: stop.body.to_vec(),
            }),
            Some(Action::Rewrite(rewrite)) => Self::Rewritten(Rewritten {
                path: rewrite.path.map(<[u8]>::to_vec),
                headers: rewrite.headers.into(),
                args: rewrite.args.into(),
                response_headers: rewrite.resp_headers.into(),
                body: rewrite.body.map(<[u8]>::to_vec),
            }),
        }
    }
}

impl From<http_resp_call::Response<'_>> for ResponseChange {
    fn from(response: http_resp_call::Response<'_>) -> Self {
        Self {
            status: (response.status != 0).then_some(response.status),
            headers: response.headers.into(),
            body: response.body.map(<[u8]>::to_vec),
        }
    }
}
