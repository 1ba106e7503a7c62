//! The state machine alone: bytes in, steps out.

use outrigger_a6::error::{Code, Response as ErrorResponse};
use outrigger_a6::extra_info::{Info, Request as Ask};
use outrigger_a6::http_req_call::{Action, Rewrite, Stop};
use outrigger_a6::{Encode, Encoder, FrameDecoder, RpcType};

use super::*;

const ID: u32 = 7;

/// The frame with `message`, as bytes.
fn frame(message: &impl Encode) -> Vec<u8> {
    Encoder::new().encode(message).unwrap().to_vec()
}

/// What the runner's `frames` make of a call with [`ID`], in words.
fn steps<K: Kind>(frames: &[u8]) -> Vec<String> {
    let mut decoder = FrameDecoder::new();
    decoder.feed(frames);
    let mut call = Call::<K>::new(ID);
    let mut steps = Vec::new();
    while let Some(frame) = decoder.next_frame().unwrap() {
        steps.push(match call.receive(frame) {
            Ok(Step::Answer(question)) => format!("{question:?}"),
            Ok(Step::Done(response)) => format!("done {}", K::id(&response)),
            Err(error) => error.to_string(),
        });
    }
    steps
}

fn request_steps(message: &impl Encode) -> Vec<String> {
    steps::<RequestCall>(&frame(message))
}

fn stop() -> Option<Action<'static>> {
    Some(Action::Stop(Stop::default()))
}

/// A frame of another type than `message` goes with.
fn disguised(ty: RpcType, message: &impl Encode) -> Vec<u8> {
    let mut frame = frame(message);
    frame[0] = ty as u8;
    frame
}

#[test]
fn the_answer_ends_the_call() {
    let rewrite = Some(Action::Rewrite(Rewrite {
        path: Some(b"/x"),
        ..Rewrite::default()
    }));
    for action in [None, stop(), rewrite] {
        assert_eq!(
            request_steps(&http_req_call::Response { id: ID, action }),
            ["done 7"]
        );
    }
    let response = http_resp_call::Response {
        id: ID,
        ..Default::default()
    };
    assert_eq!(steps::<ResponseCall>(&frame(&response)), ["done 7"]);
}

#[test]
fn questions_are_taken_in_the_order_they_come() {
    let frames = [
        frame(&Ask(Info::Var(b"remote_addr"))),
        frame(&Ask(Info::ReqBody)),
        frame(&Ask(Info::Var(b""))),
        frame(&http_req_call::Response {
            id: ID,
            action: None,
        }),
    ]
    .concat();
    let expected = [
        &format!("Var({:?})", b"remote_addr"),
        "RequestBody",
        "Var([])",
        "done 7",
    ];
    assert_eq!(steps::<RequestCall>(&frames), expected);
}

#[test]
fn only_a_response_call_has_a_response_to_ask_about() {
    let ask = frame(&Ask(Info::RespBody));
    assert_eq!(steps::<RequestCall>(&ask), ["Nothing"]);
    assert_eq!(steps::<ResponseCall>(&ask), ["ResponseBody"]);
}

#[test]
fn questions_are_bounded() {
    let frames = frame(&Ask(Info::ReqBody)).repeat(QUESTIONS_PER_CALL + 1);
    let steps = steps::<RequestCall>(&frames);
    let (last, rest) = steps.split_last().unwrap();
    assert_eq!(
        last,
        "the runner asked more than 1024 questions in one call"
    );
    assert!(rest.iter().all(|step| step == "RequestBody"), "{rest:?}");
}

#[test]
fn an_error_ends_the_call_and_says_which() {
    let error = ErrorResponse {
        code: Code::ServiceUnavailable,
    };
    assert_eq!(
        request_steps(&error),
        ["the runner answered SERVICE_UNAVAILABLE: the call"]
    );
    let error = ErrorResponse {
        code: Code::Unknown(77),
    };
    assert_eq!(
        request_steps(&error),
        ["the runner answered unknown error code 77: the call"]
    );
}

#[test]
fn a_frame_of_another_type_has_no_place_in_a_call() {
    let prepared = prepare_conf::Response {
        conf_token: ConfToken(1),
    };
    assert_eq!(
        request_steps(&prepared),
        ["the runner sent RPC_PREPARE_CONF where RPC_HTTP_REQ_CALL was due"]
    );
    let response = http_resp_call::Response {
        id: ID,
        ..Default::default()
    };
    assert_eq!(
        request_steps(&response),
        ["the runner sent RPC_HTTP_RESP_CALL where RPC_HTTP_REQ_CALL was due"]
    );
}

#[test]
fn an_answer_to_another_call_is_not_taken_for_this_one() {
    for action in [None, stop()] {
        let response = http_req_call::Response { id: 1007, action };
        assert_eq!(
            request_steps(&response),
            ["the runner answered call 1007 instead of call 7"]
        );
    }
    let response = http_resp_call::Response {
        id: 1007,
        status: 200,
        ..Default::default()
    };
    assert_eq!(
        steps::<ResponseCall>(&frame(&response)),
        ["the runner answered call 1007 instead of call 7"]
    );
}

#[test]
fn an_answer_that_says_something_may_leave_the_id_out() {
    assert_eq!(
        request_steps(&http_req_call::Response {
            id: 0,
            action: stop()
        }),
        ["done 0"]
    );
    let response = http_resp_call::Response {
        id: 0,
        status: 418,
        ..Default::default()
    };
    assert_eq!(steps::<ResponseCall>(&frame(&response)), ["done 0"]);
}

/// The Python runner does that, and it must not read as "go on".
#[test]
fn an_error_under_the_type_of_the_answer_is_an_error() {
    for code in [
        Code::BadRequest,
        Code::ServiceUnavailable,
        Code::ConfTokenNotFound,
    ] {
        let expected = [format!("the runner answered {code}: the call")];
        let error = ErrorResponse { code };
        let frame = disguised(RpcType::HttpReqCall, &error);
        assert_eq!(steps::<RequestCall>(&frame), expected);
        let frame = disguised(RpcType::HttpRespCall, &error);
        assert_eq!(steps::<ResponseCall>(&frame), expected);
    }
}

/// That frame as a Python runner wrote it, with leftovers of what it wanted to
/// send in the payload.
#[test]
fn the_python_runners_own_error_is_an_error() {
    let frame = include_bytes!("../../tests/data/python-08-runner-http-req-call.bin");
    assert_eq!(
        steps::<RequestCall>(frame),
        ["the runner answered BAD_REQUEST: the call"]
    );
}

#[test]
fn a_payload_that_is_no_message_ends_the_call() {
    for ty in [RpcType::Error, RpcType::HttpReqCall, RpcType::ExtraInfo] {
        let frame = [&[ty as u8, 0, 0, 5][..], b"hello"].concat();
        let steps = steps::<RequestCall>(&frame);
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert!(
            steps[0].starts_with("the runner sent a malformed message"),
            "{steps:?}"
        );
    }
}

#[test]
fn prepare_conf_is_answered_by_a_token_or_an_error() {
    let read = |bytes: &[u8]| {
        let mut decoder = FrameDecoder::new();
        decoder.feed(bytes);
        prepared(decoder.next_frame().unwrap().unwrap()).map_err(|error| error.to_string())
    };
    let token = prepare_conf::Response {
        conf_token: ConfToken(3),
    };
    assert_eq!(read(&frame(&token)), Ok(ConfToken(3)));

    let refused = "the runner answered BAD_REQUEST: preparing the configuration";
    let error = ErrorResponse {
        code: Code::BadRequest,
    };
    assert_eq!(read(&frame(&error)), Err(refused.to_owned()));

    let other = http_req_call::Response {
        id: ID,
        action: None,
    };
    let wrong = "the runner sent RPC_HTTP_REQ_CALL where RPC_PREPARE_CONF was due";
    assert_eq!(read(&frame(&other)), Err(wrong.to_owned()));
}

/// Numbers that look random, the same ones each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % sides
    }

    /// `bytes` with some of them changed, lost or doubled.
    fn mutated(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.roll(4) {
            let at = self.roll(bytes.len());
            match self.roll(6) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes.insert(at, self.roll(256) as u8),
                2 => bytes[at] ^= 1 << self.roll(8),
                3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.roll(5)],
                _ => bytes[at] = self.roll(256) as u8,
            }
        }
        bytes
    }
}

/// Every kind of message that a runner sends.
fn messages() -> Vec<Vec<u8>> {
    use outrigger_a6::{Entries, Entry};

    let entries: Vec<_> = [("x-a", Some("1")), ("x-b", None), ("x-c", Some(""))]
        .iter()
        .map(|(name, value): &(&str, Option<&str>)| Entry {
            name: name.as_bytes(),
            value: value.map(str::as_bytes),
        })
        .collect();
    let entries = Entries::from(&entries);
    let rewrite = Rewrite {
        path: Some(b"/somewhere/else"),
        headers: entries,
        args: entries,
        resp_headers: entries,
        body: Some(b"a body"),
    };
    let stop = Stop {
        status: 404,
        headers: entries,
        body: b"not here",
    };
    let reply = |action| {
        frame(&http_req_call::Response {
            id: ID,
            action: Some(action),
        })
    };
    vec![
        reply(Action::Rewrite(rewrite)),
        reply(Action::Stop(stop)),
        frame(&http_resp_call::Response {
            id: ID,
            status: 201,
            headers: entries,
            body: Some(b"another body"),
        }),
        frame(&Ask(Info::Var(b"remote_addr"))),
        frame(&Ask(Info::RespBody)),
        frame(&ErrorResponse {
            code: Code::ServiceUnavailable,
        }),
        frame(&prepare_conf::Response {
            conf_token: ConfToken(77),
        }),
    ]
}

/// What a call makes of these bytes, fed in pieces.
fn survive<K: Kind>(dice: &mut Dice, bytes: &[u8]) -> bool {
    let (mut decoder, mut call) = (FrameDecoder::new(), Call::<K>::new(ID));
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(1 + dice.roll(rest.len()));
        decoder.feed(piece);
        rest = after;
        loop {
            let received = match decoder.next_frame() {
                Ok(Some(frame)) => call.receive(frame),
                Ok(None) => break,
                Err(_) => return false,
            };
            match received {
                Ok(Step::Answer(_)) => {}
                Ok(Step::Done(response)) => {
                    let id = K::id(&response);
                    assert!(id == ID || (id == 0 && !K::is_blank(&response)), "{id}");
                    return true;
                }
                Err(_) => return false,
            }
        }
        assert!(
            decoder.buffer().capacity() <= 64 * 1024,
            "it grows with what came, not with what was announced"
        );
    }
    false
}

/// A hundred thousand messages that are nearly right: no panic, no memory, no
/// answer to another call.
#[test]
fn mutated_messages_are_survived() {
    let (mut dice, messages) = (Dice(20), messages());
    let mut answers = 0;
    for round in 0..100_000 {
        let message = messages[round % messages.len()].clone();
        let mut bytes = dice.mutated(message);
        if dice.roll(4) == 0 {
            let next = messages[dice.roll(messages.len())].clone();
            bytes.extend(dice.mutated(next));
        }
        answers += usize::from(if round % 2 == 0 {
            survive::<RequestCall>(&mut dice, &bytes)
        } else {
            survive::<ResponseCall>(&mut dice, &bytes)
        });
    }
    // Where the harm was done to a text, the answer is one.
    assert!((1_000..50_000).contains(&answers), "{answers}");
}
