//! A call without I/O and without a clock: frames in, steps out.

use std::marker::PhantomData;

use outrigger_a6::error::{Code, Response as ErrorResponse};
use outrigger_a6::{
    ConfToken, Decode, DecodeError, Encode, Frame, Message, RpcType, extra_info, http_req_call,
    http_resp_call, prepare_conf,
};

use crate::extra_info::Question;
use crate::limits::QUESTIONS_PER_CALL;
use crate::{CallError, Stage};

/// A kind of call.
pub(crate) trait Kind {
    /// What the host sends.
    type Request<'a>: Encode + Copy;
    /// What the runner answers in the end.
    type Response<'a>: Decode<'a>;
    /// Whether there is a response whose body can be asked for.
    const HAS_RESPONSE: bool;

    /// `request` with what differs from one try to the next.
    fn filled(request: Self::Request<'_>, id: u32, token: ConfToken) -> Self::Request<'_>;

    fn id(response: &Self::Response<'_>) -> u32;

    /// Whether the response says nothing at all.
    fn is_blank(response: &Self::Response<'_>) -> bool;
}

/// A request passes through the runner's plugins.
pub(crate) enum RequestCall {}

impl Kind for RequestCall {
    type Request<'a> = http_req_call::Request<'a>;
    type Response<'a> = http_req_call::Response<'a>;
    const HAS_RESPONSE: bool = false;

    fn filled(request: Self::Request<'_>, id: u32, token: ConfToken) -> Self::Request<'_> {
        http_req_call::Request {
            id,
            conf_token: token,
            ..request
        }
    }

    fn id(response: &Self::Response<'_>) -> u32 {
        response.id
    }

    fn is_blank(response: &Self::Response<'_>) -> bool {
        response.action.is_none()
    }
}

/// An upstream's response passes through the runner's plugins.
pub(crate) enum ResponseCall {}

impl Kind for ResponseCall {
    type Request<'a> = http_resp_call::Request<'a>;
    type Response<'a> = http_resp_call::Response<'a>;
    const HAS_RESPONSE: bool = true;

    fn filled(request: Self::Request<'_>, id: u32, token: ConfToken) -> Self::Request<'_> {
        http_resp_call::Request {
            id,
            conf_token: token,
            ..request
        }
    }

    fn id(response: &Self::Response<'_>) -> u32 {
        response.id
    }

    fn is_blank(response: &Self::Response<'_>) -> bool {
        response.status == 0 && response.headers.is_empty() && response.body.is_none()
    }
}

/// One call, from the frame that opens it to the one that ends it.
pub(crate) struct Call<K> {
    id: u32,
    questions: usize,
    kind: PhantomData<K>,
}

/// What a frame asks of the host.
pub(crate) enum Step<T> {
    /// To answer, and go on.
    Answer(Question),
    /// Nothing more: the call is over.
    Done(T),
}

impl<K: Kind> Call<K> {
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id,
            questions: 0,
            kind: PhantomData,
        }
    }

    /// Takes the runner's next frame.
    ///
    /// # Errors
    /// The call is over, and its connection cannot be used again.
    pub(crate) fn receive<'a>(
        &mut self,
        frame: Frame<'a>,
    ) -> Result<Step<K::Response<'a>>, CallError> {
        let expected = K::Response::TYPE;
        match frame.ty {
            RpcType::ExtraInfo => self.ask(frame).map(Step::Answer),
            RpcType::Error => Err(refusal(frame, Stage::Call)),
            ty if ty == expected => self.end(frame.payload).map(Step::Done),
            got => Err(CallError::WrongType { expected, got }),
        }
    }

    fn ask(&mut self, frame: Frame<'_>) -> Result<Question, CallError> {
        self.questions += 1;
        if self.questions > QUESTIONS_PER_CALL {
            return Err(CallError::TooManyQuestions {
                limit: QUESTIONS_PER_CALL,
            });
        }
        let question: extra_info::Request<'_> = frame.decode().map_err(malformed)?;
        Ok(Question::new(question.0, K::HAS_RESPONSE))
    }

    fn end<'a>(&self, payload: &'a [u8]) -> Result<K::Response<'a>, CallError> {
        let response = match K::Response::decode(payload) {
            Ok(response) => response,
            Err(source) => {
                return Err(disguised_error(payload).unwrap_or(CallError::Malformed { source }));
            }
        };
        let (expected, got) = (self.id, K::id(&response));
        let blank = K::is_blank(&response);
        // The id is for debugging: a runner that has something to say may leave
        // it out.
        if got == expected || (got == 0 && !blank) {
            return Ok(response);
        }
        // Read as an answer's id, an error's code is below 256.
        let disguise = (blank && got <= u32::from(u8::MAX)).then(|| disguised_error(payload));
        Err(disguise
            .flatten()
            .unwrap_or(CallError::WrongId { expected, got }))
    }
}

/// The answer to PrepareConf.
///
/// # Errors
/// [`CallError::Refused`] where it is the runner's error, and others where it
/// is not an answer to that.
pub(crate) fn prepared(frame: Frame<'_>) -> Result<ConfToken, CallError> {
    match frame.ty {
        RpcType::Error => Err(refusal(frame, Stage::Prepare)),
        RpcType::PrepareConf => {
            let response: prepare_conf::Response = frame.decode().map_err(malformed)?;
            Ok(response.conf_token)
        }
        got => Err(CallError::WrongType {
            expected: RpcType::PrepareConf,
            got,
        }),
    }
}

fn refusal(frame: Frame<'_>, during: Stage) -> CallError {
    match frame.decode::<ErrorResponse>() {
        Ok(error) => CallError::Refused {
            code: error.code,
            during,
        },
        Err(source) => CallError::Malformed { source },
    }
}

/// The error in a frame that says to be an answer: the Python runner sends its
/// errors under the type of the request. Such a frame does not name the call,
/// and would read as "go on" if it were not looked at closely.
fn disguised_error(payload: &[u8]) -> Option<CallError> {
    let code = ErrorResponse::decode(payload).ok()?.code;
    let known = !matches!(code, Code::Unknown(_));
    known.then_some(CallError::Refused {
        code,
        during: Stage::Call,
    })
}

fn malformed(source: DecodeError) -> CallError {
    CallError::Malformed { source }
}

#[cfg(test)]
mod tests;
