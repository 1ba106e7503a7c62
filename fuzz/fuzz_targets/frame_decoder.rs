//! A stream of bytes, cut in pieces, against a reading of it in one go.
//!
//! The first byte of the input is the length of the pieces, the second the
//! longest payload accepted (in units of 16 bytes, 255 for any); the rest is the
//! stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger_a6::limits::{HEADER_LEN, READ_CHUNK};
use outrigger_a6::{FrameDecoder, FrameError, RpcType, U24};

fuzz_target!(|input: &[u8]| {
    let [piece, max, stream @ ..] = input else {
        return;
    };
    let max = match max {
        255 => U24::MAX,
        max => U24::new(usize::from(*max) * 16).expect("a small number"),
    };
    let (frames, end) = in_one_go(stream, max);
    let (mut taken, mut error) = (0, None);
    let mut decoder = FrameDecoder::with_max_payload(max);
    for (i, piece) in stream.chunks(usize::from(*piece) + 1).enumerate() {
        if i % 2 == 0 {
            decoder.feed(piece);
        } else {
            decoder.buffer().extend_from_slice(piece);
        }
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    assert_eq!((frame.ty, frame.payload), frames[taken]);
                    taken += 1;
                }
                Ok(None) => break,
                Err(found) => {
                    error = Some(found);
                    break;
                }
            }
        }
    }
    assert_eq!(taken, frames.len());
    match end {
        End::Whole => assert!(error.is_none() && decoder.is_empty() && decoder.finish().is_ok()),
        End::Inside { have, need } => {
            assert!(error.is_none() && !decoder.is_empty());
            assert_eq!(decoder.finish(), Err(FrameError::Truncated { have, need }));
        }
        End::Broken(expected) => {
            assert_eq!(error, Some(expected));
            assert_eq!(decoder.finish(), Err(expected));
        }
    }
    assert!(decoder.buffer().capacity() <= 2 * (HEADER_LEN + stream.len() + READ_CHUNK));
});

enum End {
    Whole,
    Inside { have: usize, need: usize },
    Broken(FrameError),
}

/// All whole frames of the stream, and how it ends.
fn in_one_go(mut stream: &[u8], max: U24) -> (Vec<(RpcType, &[u8])>, End) {
    let mut frames = Vec::new();
    let end = loop {
        let have = stream.len();
        let ty = match stream.first() {
            None => break End::Whole,
            Some(0) => RpcType::Error,
            Some(1) => RpcType::PrepareConf,
            Some(2) => RpcType::HttpReqCall,
            Some(3) => RpcType::ExtraInfo,
            Some(4) => RpcType::HttpRespCall,
            Some(&other) => break End::Broken(FrameError::UnknownType(other)),
        };
        let &[_, a, b, c, ref rest @ ..] = stream else {
            break End::Inside { have, need: 4 };
        };
        let len = (usize::from(a) << 16) | (usize::from(b) << 8) | usize::from(c);
        if len > max.get() {
            break End::Broken(FrameError::TooLarge {
                ty,
                len,
                max: max.get(),
            });
        }
        if len > rest.len() {
            break End::Inside {
                have,
                need: 4 + len,
            };
        }
        let (payload, later) = rest.split_at(len);
        frames.push((ty, payload));
        stream = later;
    };
    (frames, end)
}
