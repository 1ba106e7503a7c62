//! Random messages, and random damage to real ones, each read twice: by the
//! crate and by the independent reader.

use outrigger_a6::limits::HEADER_LEN;
use outrigger_a6::{Encoder, Method};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::golden::golden;
use crate::support::model::{
    Action, Bytes, HttpReqCallRequest, Info, Kind, Message, Pairs, Rewrite,
};
use crate::support::reader;

proptest! {
    #[test]
    fn what_is_encoded_reads_the_same_by_hand_and_by_the_crate(message in message()) {
        let frame = message.encode(&mut Encoder::new()).unwrap();
        let payload = &frame[HEADER_LEN..];
        prop_assert_eq!(frame[0], message.kind().ty() as u8);
        prop_assert_eq!(&frame[1..HEADER_LEN], &(payload.len() as u32).to_be_bytes()[1..]);
        prop_assert_eq!(reader::read(message.kind(), payload), Some(message.clone()));
        prop_assert_eq!(Message::decode(message.kind(), payload), Ok(message));
    }

    #[test]
    fn strings_are_written_with_a_nul_after_them(message in message()) {
        let frame = message.encode(&mut Encoder::new()).unwrap();
        prop_assert!(reader::strings_end_in_nul(message.kind(), &frame[HEADER_LEN..]));
    }

    /// Readers in other languages check or need alignment: the payload is a
    /// whole number of the largest element, so that what follows the frame
    /// header can be aligned as a whole.
    #[test]
    fn payloads_are_a_multiple_of_four_bytes(message in message()) {
        let frame = message.encode(&mut Encoder::new()).unwrap();
        prop_assert_eq!(frame.len() % 4, 0);
    }

    #[test]
    fn nothing_of_the_message_before_is_left_in_the_encoder(
        messages in vec(message(), 1..6),
    ) {
        let mut reused = Encoder::new();
        for message in messages {
            let fresh = message.encode(&mut Encoder::new()).unwrap();
            prop_assert_eq!(message.encode(&mut reused).unwrap(), fresh);
        }
    }

    #[test]
    fn damaged_frames_are_refused_or_read_as_the_independent_reader_does(
        damaged in damaged_payload(),
    ) {
        for kind in Kind::ALL {
            if let Ok(decoded) = Message::decode(kind, &damaged) {
                prop_assert_eq!(reader::read(kind, &damaged), Some(decoded));
            }
        }
    }

    #[test]
    fn random_bytes_are_refused_or_read_as_the_independent_reader_does(
        bytes in vec(prop_oneof![3 => 0..24u8, 1 => any::<u8>()], 0..120),
    ) {
        for kind in Kind::ALL {
            if let Ok(decoded) = Message::decode(kind, &bytes) {
                prop_assert_eq!(reader::read(kind, &bytes), Some(decoded));
            }
        }
    }
}

/// A real payload with a few changes.
fn damaged_payload() -> impl Strategy<Value = Bytes> {
    (any::<Index>(), vec(damage(), 1..4)).prop_map(|(which, damages)| {
        let golden = golden();
        let mut payload = which.get(&golden).bytes[HEADER_LEN..].to_vec();
        for damage in damages {
            damage.apply(&mut payload);
        }
        payload
    })
}

#[derive(Debug, Clone)]
enum Damage {
    Byte(Index, u8),
    /// Small words, because these are likely to be offsets that lead somewhere.
    Word(Index, u32),
    CutOff(Index),
    Insert(Index, Bytes),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (any::<Index>(), prop_oneof![0..128u32, any::<u32>()])
            .prop_map(|(at, word)| Damage::Word(at, word)),
        any::<Index>().prop_map(Damage::CutOff),
        (any::<Index>(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
    ]
}

impl Damage {
    fn apply(self, payload: &mut Bytes) {
        if payload.is_empty() {
            return;
        }
        match self {
            Self::Byte(at, byte) => {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            Self::Word(at, word) => {
                let words = payload.len() / 4;
                if words > 0 {
                    let at = at.index(words) * 4;
                    payload[at..at + 4].copy_from_slice(&word.to_le_bytes());
                }
            }
            Self::CutOff(at) => payload.truncate(at.index(payload.len())),
            Self::Insert(at, bytes) => {
                let at = at.index(payload.len());
                payload.splice(at..at, bytes);
            }
        }
    }
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<u8>().prop_map(|code| Message::Error { code }),
        (pairs(), bytes()).prop_map(|(conf, key)| Message::PrepareConfRequest { conf, key }),
        any::<u32>().prop_map(|conf_token| Message::PrepareConfResponse { conf_token }),
        http_req_call_request(),
        (any::<u32>(), action())
            .prop_map(|(id, action)| Message::HttpReqCallResponse { id, action }),
        info().prop_map(Message::ExtraInfoRequest),
        option::of(bytes()).prop_map(|result| Message::ExtraInfoResponse { result }),
        (any::<u32>(), any::<u16>(), pairs(), any::<u32>()).prop_map(
            |(id, status, headers, conf_token)| Message::HttpRespCallRequest {
                id,
                status,
                headers,
                conf_token
            }
        ),
        (any::<u32>(), any::<u16>(), pairs(), option::of(bytes())).prop_map(
            |(id, status, headers, body)| Message::HttpRespCallResponse {
                id,
                status,
                headers,
                body
            }
        ),
    ]
}

fn http_req_call_request() -> impl Strategy<Value = Message> {
    let src_ip = prop_oneof![vec(any::<u8>(), 4), vec(any::<u8>(), 16), bytes()];
    let method = 0..Method::ALL.len() as u8;
    (
        any::<u32>(),
        src_ip,
        method,
        bytes(),
        pairs(),
        pairs(),
        any::<u32>(),
    )
        .prop_map(|(id, src_ip, method, path, args, headers, conf_token)| {
            Message::HttpReqCallRequest(HttpReqCallRequest {
                id,
                src_ip,
                method,
                path,
                args,
                headers,
                conf_token,
            })
        })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::None),
        (any::<u16>(), pairs(), bytes()).prop_map(|(status, headers, body)| Action::Stop {
            status,
            headers,
            body
        }),
        (
            option::of(bytes()),
            pairs(),
            pairs(),
            pairs(),
            option::of(bytes())
        )
            .prop_map(|(path, headers, args, resp_headers, body)| Action::Rewrite(
                Rewrite {
                    path,
                    headers,
                    args,
                    resp_headers,
                    body
                }
            )),
    ]
}

fn info() -> impl Strategy<Value = Info> {
    prop_oneof![
        bytes().prop_map(Info::Var),
        Just(Info::ReqBody),
        Just(Info::RespBody)
    ]
}

fn pairs() -> impl Strategy<Value = Pairs> {
    vec((bytes(), option::of(bytes())), 0..12)
}

/// Any bytes: empty, NUL and not UTF-8 are as likely as the rest.
fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40)
}
