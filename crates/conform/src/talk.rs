//! A call with the questions inside it.

use outrigger_a6::extra_info::{self, Info};
use outrigger_a6::{Encode, RpcType};

use crate::limits::QUESTIONS;
use crate::verdict::{Fault, wrong};
use crate::wire::{Got, Wire};

/// What the suite says when it is asked. `None`: there is no such thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    /// The value of any variable.
    pub(crate) variable: Option<Vec<u8>>,
    pub(crate) request_body: Option<Vec<u8>>,
    pub(crate) response_body: Option<Vec<u8>>,
    /// Whether they go out in pieces.
    pub(crate) in_pieces: bool,
}

/// What a runner asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    Variable(Vec<u8>),
    RequestBody,
    ResponseBody,
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) asked: Vec<Question>,
    pub(crate) answer: Got,
}

impl Question {
    fn read(got: &Got) -> Result<Self, Fault> {
        let question = got.read::<extra_info::Request<'_>>()?;
        Ok(match question.0 {
            Info::Var(name) => Self::Variable(name.to_vec()),
            Info::ReqBody => Self::RequestBody,
            Info::RespBody => Self::ResponseBody,
        })
    }
}

impl Wire {
    /// Sends a call, answers what is asked, and takes its answer.
    pub(crate) async fn call(
        &mut self,
        message: &impl Encode,
        answers: &Answers,
    ) -> Result<Talk, Fault> {
        self.send(message).await?;
        self.talk(answers).await
    }

    /// Answers what is asked until the call's answer comes.
    pub(crate) async fn talk(&mut self, answers: &Answers) -> Result<Talk, Fault> {
        let mut asked = Vec::new();
        loop {
            let got = self.receive().await?;
            if got.ty != RpcType::ExtraInfo {
                return Ok(Talk { asked, answer: got });
            }
            if asked.len() == QUESTIONS {
                return wrong(format!(
                    "it asked more than {QUESTIONS} questions in one call"
                ));
            }
            let question = Question::read(&got)?;
            self.answer(&question, answers).await?;
            asked.push(question);
        }
    }

    /// Answers one question.
    async fn answer(&mut self, question: &Question, answers: &Answers) -> Result<(), Fault> {
        let result = match question {
            Question::Variable(_) => &answers.variable,
            Question::RequestBody => &answers.request_body,
            Question::ResponseBody => &answers.response_body,
        };
        let message = extra_info::Response {
            result: result.as_deref(),
        };
        let bytes = crate::wire::encoded(&message);
        if answers.in_pieces {
            let (head, tail) = bytes.split_at(bytes.len() / 2);
            let (header, head) = head.split_at(4);
            return Ok(self.send_pieces(&[header, head, tail]).await?);
        }
        Ok(self.send_bytes(&bytes).await?)
    }

    /// The first question of a call that has just been sent.
    pub(crate) async fn question(&mut self) -> Result<Question, Fault> {
        let got = self.receive().await?;
        if got.ty != RpcType::ExtraInfo {
            return wrong("it answered the call without a question");
        }
        Question::read(&got)
    }
}
