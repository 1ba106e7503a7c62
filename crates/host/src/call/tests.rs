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
