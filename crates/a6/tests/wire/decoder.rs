//! Frames in a stream that comes in pieces, stops early, or is no such stream.

use outrigger_a6::limits::{HEADER_LEN, MAX_PAYLOAD, READ_CHUNK, RETAINED_BUFFER};
use outrigger_a6::{
    Decode as _, DecodeError, Encoder, FrameDecoder, FrameError, RpcType, U24, error, prepare_conf,
};
use proptest::prelude::*;

const ERROR: &[u8] = &[0, 0, 0, 2, b'n', b'o'];
const EMPTY_CONF: &[u8] = &[1, 0, 0, 0];
const CALL: &[u8] = &[2, 0, 0, 5, b'c', b'a', b'l', b'l', b'!'];

fn decoder_with(bytes: &[u8]) -> FrameDecoder {
    let mut decoder = FrameDecoder::new();
    decoder.feed(bytes);
    decoder
}

/// All frames that are there, as type and payload.
fn take_all(decoder: &mut FrameDecoder) -> Vec<(RpcType, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame().unwrap() {
        frames.push((frame.ty, frame.payload.to_vec()));
    }
    frames
}

fn header(ty: RpcType, len: usize) -> [u8; HEADER_LEN] {
    let [_, a, b, c] = (len as u32).to_be_bytes();
    [ty as u8, a, b, c]
}

#[test]
fn frames_come_out_in_order_even_without_payload() {
    let mut decoder = decoder_with(&[ERROR, EMPTY_CONF, CALL].concat());
    assert_eq!(
        take_all(&mut decoder),
        [
            (RpcType::Error, b"no".to_vec()),
            (RpcType::PrepareConf, Vec::new()),
            (RpcType::HttpReqCall, b"call!".to_vec()),
        ]
    );
    assert!(decoder.is_empty());
}

proptest! {
    #[test]
    fn it_does_not_matter_where_the_stream_is_cut(cuts in prop::collection::vec(0..20usize, 0..8)) {
        let stream = [ERROR, EMPTY_CONF, CALL, ERROR].concat();
        let mut decoder = FrameDecoder::new();
        let mut frames = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.into_iter().chain([stream.len()]) {
            let (piece, later) = rest.split_at(cut.min(rest.len()));
            decoder.feed(piece);
            frames.extend(take_all(&mut decoder));
            rest = later;
        }
        prop_assert_eq!(frames, take_all(&mut decoder_with(&stream)));
        prop_assert!(decoder.is_empty());
    }
}

#[test]
fn an_incomplete_frame_is_not_an_error_until_the_stream_ends() {
    for have in 1..CALL.len() {
        let mut decoder = decoder_with(&CALL[..have]);
        assert_eq!(decoder.next_frame(), Ok(None), "{have} bytes");
        assert!(!decoder.is_empty(), "{have} bytes");

        let need = if have < HEADER_LEN {
            HEADER_LEN
        } else {
            CALL.len()
        };
        assert_eq!(decoder.finish(), Err(FrameError::Truncated { have, need }));
    }
}

#[test]
fn a_stream_may_end_between_frames() {
    assert_eq!(FrameDecoder::new().finish(), Ok(()));

    let mut decoder = decoder_with(CALL);
    assert_eq!(decoder.finish(), Ok(()), "a frame not yet taken");
    decoder.next_frame().unwrap();
    assert_eq!(decoder.finish(), Ok(()), "a frame taken");
}

#[test]
fn an_end_inside_a_later_frame_is_found_before_the_earlier_is_taken() {
    let decoder = decoder_with(&[CALL, &ERROR[..5]].concat());
    assert_eq!(
        decoder.finish(),
        Err(FrameError::Truncated { have: 5, need: 6 })
    );
}

#[test]
fn an_unknown_type_is_reported_at_its_first_byte_and_for_ever() {
    for ty in 5..=u8::MAX {
        let mut decoder = decoder_with(&[ty]);
        assert_eq!(decoder.next_frame(), Err(FrameError::UnknownType(ty)));
        assert_eq!(decoder.finish(), Err(FrameError::UnknownType(ty)));
        decoder.feed(CALL);
        assert_eq!(decoder.next_frame(), Err(FrameError::UnknownType(ty)));
        assert!(!decoder.is_empty());
    }
}

#[test]
fn frames_before_an_unknown_type_are_still_delivered() {
    let mut decoder = decoder_with(&[CALL, b"HTTP/1.1 400"].concat());
    assert_eq!(decoder.next_frame().unwrap().unwrap().payload, b"call!");
    assert_eq!(decoder.next_frame(), Err(FrameError::UnknownType(b'H')));
}

#[test]
fn a_lower_limit_refuses_what_is_longer_by_its_header() {
    let mut decoder = FrameDecoder::with_max_payload(U24::new(5).unwrap());
    decoder.feed(CALL);
    assert_eq!(
        take_all(&mut decoder),
        [(RpcType::HttpReqCall, b"call!".to_vec())]
    );

    decoder.feed(&header(RpcType::ExtraInfo, 6));
    let too_large = FrameError::TooLarge {
        ty: RpcType::ExtraInfo,
        len: 6,
        max: 5,
    };
    assert_eq!(decoder.next_frame(), Err(too_large));
    assert_eq!(decoder.finish(), Err(too_large));
}

#[test]
fn a_surplus_frame_leaves_the_connection_unclean() {
    let mut decoder = decoder_with(&[CALL, CALL].concat());
    decoder.next_frame().unwrap();
    assert!(!decoder.is_empty());
    decoder.next_frame().unwrap();
    assert!(decoder.is_empty());
}

#[test]
fn reading_straight_into_the_buffer_is_the_same_as_feeding() {
    let mut decoder = FrameDecoder::new();
    for piece in [ERROR, CALL].concat().chunks(3) {
        decoder.buffer().extend_from_slice(piece);
    }
    assert_eq!(take_all(&mut decoder).len(), 2);
    assert!(
        decoder.buffer().is_empty(),
        "taken frames are gone from the buffer"
    );
}

#[test]
fn an_announced_length_allocates_nothing() {
    let mut decoder = decoder_with(&header(RpcType::HttpReqCall, MAX_PAYLOAD));
    assert_eq!(decoder.next_frame(), Ok(None));
    assert!(decoder.buffer().capacity() <= 2 * READ_CHUNK);
}

#[test]
fn a_long_frame_takes_its_length_and_one_read_and_is_given_back() {
    for len in [100_000, 3_000_000, MAX_PAYLOAD] {
        let mut decoder = decoder_with(&header(RpcType::HttpReqCall, len));
        let most = HEADER_LEN + len + READ_CHUNK;
        let (mut missing, mut reads) = (len, 0);
        while missing > 0 {
            assert_eq!(decoder.next_frame(), Ok(None));
            let buffer = decoder.buffer();
            assert!(
                buffer.capacity() <= most,
                "{} bytes for {len}",
                buffer.capacity()
            );
            let piece = missing.min(buffer.capacity() - buffer.len());
            buffer.resize(buffer.len() + piece, b'x');
            missing -= piece;
            reads += 1;
        }
        assert!(
            reads < 20,
            "{reads} reads for {len}: the buffer grows too slowly"
        );
        assert_eq!(decoder.next_frame().unwrap().unwrap().payload.len(), len);
        assert!(decoder.is_empty());
        assert!(decoder.buffer().capacity() <= RETAINED_BUFFER);
    }
}

#[test]
fn memory_of_a_long_frame_is_given_back_though_the_next_has_begun() {
    let mut decoder = FrameDecoder::new();
    decoder.feed(&header(RpcType::HttpReqCall, 1 << 20));
    decoder.feed(&vec![b'x'; 1 << 20]);
    decoder.feed(&CALL[..6]);
    assert_eq!(
        decoder.next_frame().unwrap().unwrap().payload.len(),
        1 << 20
    );
    assert!(decoder.buffer().capacity() <= RETAINED_BUFFER);
    decoder.feed(&CALL[6..]);
    assert_eq!(
        take_all(&mut decoder),
        [(RpcType::HttpReqCall, b"call!".to_vec())]
    );
}

#[test]
fn trimming_keeps_what_is_not_yet_taken() {
    let mut decoder = decoder_with(&[CALL, ERROR].concat());
    decoder.next_frame().unwrap();
    decoder.trim();
    assert_eq!(take_all(&mut decoder), [(RpcType::Error, b"no".to_vec())]);
}

#[test]
fn ordinary_frames_reuse_one_buffer_however_they_are_cut() {
    let mut decoder = FrameDecoder::new();
    let memory = decoder.buffer().as_ptr();
    for i in 0..1000 {
        let (first, second) = CALL.split_at(i % CALL.len());
        decoder.buffer().extend_from_slice(first);
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.buffer().extend_from_slice(second);
        assert_eq!(take_all(&mut decoder).len(), 1);
    }
    assert_eq!(decoder.buffer().as_ptr(), memory);
    assert_eq!(decoder.buffer().capacity(), READ_CHUNK);
}

#[test]
fn a_frame_decodes_only_as_a_message_of_its_type() {
    let mut encoder = Encoder::new();
    let answer = error::Response {
        code: error::Code::BadRequest,
    };
    let mut decoder = decoder_with(encoder.encode(&answer).unwrap());
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!(frame.decode::<error::Response>(), Ok(answer));
    let wrong = frame.decode::<prepare_conf::Response>().unwrap_err();
    assert_eq!(
        wrong,
        DecodeError::WrongType {
            message: "PrepareConf.Resp",
            expected: RpcType::PrepareConf,
            got: RpcType::Error,
        }
    );
    assert_eq!(
        wrong.to_string(),
        "PrepareConf.Resp: comes in a frame of type RPC_PREPARE_CONF, not RPC_ERROR"
    );
    // The bytes alone would do: a table of defaults fits every message without
    // required fields, which is why the type is checked.
    assert!(prepare_conf::Response::decode(frame.payload).is_ok());
}
