//! Calls that come to nothing: why, and what becomes of the request then.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, header};
use outrigger_engine::body::BodyError;
use outrigger_engine::response::{Refusal, Response};
use outrigger_host::CallError;

use super::Phase;
use super::answers::Unreadable;
use super::conf::Policy;
use super::decision::BadAnswer;

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client's or the upstream's doing: no policy of the plugin's makes
    /// it good.
    Refused(Refusal),
    /// The call asked for a body longer than the route wants it to see, and the
    /// route does without the call then. Not a failure to the outside.
    Skipped,
    /// The protocol has no number for the method.
    Method,
    /// The response's body is longer than the route lets the call see.
    TooLarge { limit: usize },
    /// Bodies take as much memory as they may.
    NoMemory { limit: usize },
    /// The call itself failed.
    Call(CallError),
    /// The runner's answer cannot be carried out.
    Answer(BadAnswer),
}

/// What becomes of a request whose call has failed.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It goes on as if the plugins were absent.
    GoOn,
    /// It is answered with this, of the route's own making.
    Answer(Response),
    /// It is refused.
    Refuse(Refusal),
}

impl Failure {
    /// What clients are told: no internals.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Failure::Refused(Refusal::UpstreamBroken | Refusal::UpstreamTimeout) => "upstream",
            Failure::Refused(_) => "client",
            Failure::Skipped => "skipped",
            Failure::Method => "method not supported by the protocol",
            Failure::TooLarge { .. } => "too-large",
            Failure::NoMemory { .. } => "overloaded",
            Failure::Call(error) => error.kind(),
            Failure::Answer(_) => "malformed",
        }
    }
}

impl Failure {
    /// The kind in one word, for metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Failure::Method => "method",
            failure => failure.kind(),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let CallError::Body(unreadable) = &error else {
            return Failure::Call(error);
        };
        match unreadable.downcast_ref() {
            None => Failure::Call(error),
            Some(Unreadable::Skip) => Failure::Skipped,
            Some(
                Unreadable::Request(BodyError::NoMemory { limit })
                | Unreadable::Response(BodyError::NoMemory { limit }),
            ) => Failure::NoMemory { limit: *limit },
            Some(Unreadable::Request(error)) => Failure::Refused(Refusal::from_request_body(error)),
            Some(Unreadable::Response(error)) => match error {
                BodyError::TooLarge { limit } => Failure::TooLarge { limit: *limit },
                BodyError::Timeout => Failure::Refused(Refusal::UpstreamTimeout),
                _ => Failure::Refused(Refusal::UpstreamBroken),
            },
        }
    }
}

impl Policy {
    /// Whether the request goes on although its call failed so.
    pub(super) fn degrades(&self, failure: &Failure) -> bool {
        self.allow_degradation && !matches!(failure, Failure::Refused(_))
    }

    /// What becomes of a request whose call in this phase failed so.
    pub(super) fn verdict(&self, phase: Phase, failure: &Failure) -> Verdict {
        let plugin = phase.plugin_name();
        match failure {
            Failure::Refused(refusal) => return Verdict::Refuse(refusal.clone()),
            Failure::Skipped => return Verdict::GoOn,
            _ if self.degrades(failure) => return Verdict::GoOn,
            _ => {}
        }
        let kind = failure.kind();
        let Some(own) = &self.on_error else {
            return Verdict::Refuse(Refusal::PluginCall { plugin, kind });
        };
        let body = own.body.clone().unwrap_or_else(|| {
            let text = format!("{}: {plugin}: {kind}", own.status);
            format!("{}\n", serde_json::json!({ "error_msg": text }))
        });
        let mut response = Response::new(own.status, Bytes::from(body));
        response.headers = own.headers.clone();
        if !response.body.is_empty() {
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            let media_type = response.headers.entry(header::CONTENT_TYPE);
            media_type.or_insert(plain);
        }
        Verdict::Answer(response)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(refusal) => refusal.fmt(f),
            Failure::Skipped => f.write_str("a body is longer than max_body"),
            Failure::Method => f.write_str("the protocol has no number for the request's method"),
            Failure::TooLarge { limit } => {
                write!(
                    f,
                    "the response's body is longer than max_body, {limit} bytes"
                )
            }
            Failure::NoMemory { limit } => {
                write!(
                    f,
                    "bodies take {limit} bytes of memory already (outrigger.body_memory)"
                )
            }
            Failure::Call(error) => error.fmt(f),
            Failure::Answer(error) => {
                write!(f, "the runner's answer cannot be carried out: {error}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext_plugin::conf::Conf;
    use outrigger_engine::body::BodyMemory;
    use serde_json::{Value, json};

    fn verdict(json: &Value, failure: &Failure) -> Verdict {
        let policy = Conf::read(json).unwrap().policy;
        policy.verdict(Phase::PreReq, failure)
    }

    #[test]
    fn a_failed_call_is_503_that_names_phase_and_kind() {
        let Verdict::Refuse(refusal) = verdict(&json!({}), &Failure::Method) else {
            panic!()
        };
        let expected = "503 Service Unavailable: ext-plugin-pre-req: \
                        method not supported by the protocol";
        assert_eq!(refusal.to_string(), expected);
    }

    #[tokio::test]
    async fn a_route_may_have_an_answer_of_its_own() {
        let failure = Failure::NoMemory { limit: 1 };
        for (on_error, body, media_type) in [
            (
                json!({"status": 500}),
                "{\"error_msg\":\"500 Internal Server Error: ext-plugin-pre-req: overloaded\"}\n",
                "text/plain; charset=utf-8",
            ),
            (
                json!({"status": 500, "body": "sorry"}),
                "sorry",
                "text/plain; charset=utf-8",
            ),
            (
                json!({"status": 500, "body": {"a": 1}}),
                "{\"a\":1}",
                "application/json",
            ),
        ] {
            let Verdict::Answer(mut response) = verdict(&json!({ "on_error": on_error }), &failure)
            else {
                panic!()
            };
            assert_eq!(response.status, 500);
            assert_eq!(response.headers["content-type"], media_type);
            let memory = BodyMemory::new(1000);
            assert_eq!(response.body.buffer(1000, &memory).await.unwrap(), body);
        }
    }

    #[test]
    fn degradation_goes_before_an_answer_and_makes_good_only_what_is_the_runners_fault() {
        let lenient = json!({"allow_degradation": true, "on_error": {"status": 500}});
        assert!(matches!(verdict(&lenient, &Failure::Method), Verdict::GoOn));
        let client = Failure::Refused(Refusal::BodyTooLarge("x".into()));
        for conf in [json!({}), lenient, json!({"on_error": {"status": 500}})] {
            assert!(matches!(verdict(&conf, &client), Verdict::Refuse(_)));
            assert!(matches!(verdict(&conf, &Failure::Skipped), Verdict::GoOn));
        }
    }
}
