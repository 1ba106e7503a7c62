//! Frames captured between real hosts and real runners; see the README of
//! `tests/golden` and of `tests/golden-java`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::model::{
    Action, Bytes, HttpReqCallRequest, Info, Kind, Message, Pairs, Rewrite,
};
use crate::support::reader;
use outrigger_a6::limits::HEADER_LEN;
use outrigger_a6::{Encoder, Frame, FrameDecoder, RpcType};
use serde_json::Value;

#[test]
fn every_frame_decodes_to_what_the_index_says() {
    for golden in golden() {
        let frame = golden.frame();
        assert_eq!(frame.ty as u64, golden.index["type"], "{}", golden.name);
        assert_eq!(
            frame.payload.len() as u64,
            golden.index["length"],
            "{}",
            golden.name
        );
        let decoded = Message::decode(golden.kind(), frame.payload);
        assert_eq!(decoded.as_ref(), Ok(&golden.message()), "{}", golden.name);
    }
}

#[test]
fn the_independent_reader_reads_the_same() {
    for golden in golden() {
        let read = reader::read(golden.kind(), golden.frame().payload);
        assert_eq!(read, Some(golden.message()), "{}", golden.name);
    }
}

#[test]
fn encoding_the_same_values_gives_frames_that_read_the_same() {
    let mut encoder = Encoder::new();
    for golden in golden() {
        let bytes = golden.message().encode(&mut encoder).unwrap();
        assert_eq!(bytes[0], golden.bytes[0], "{}: type", golden.name);
        let payload = &bytes[HEADER_LEN..];
        let read = reader::read(golden.kind(), payload);
        assert_eq!(
            read,
            Some(golden.message()),
            "{}: read by hand",
            golden.name
        );
        let decoded = Message::decode(golden.kind(), payload);
        assert_eq!(decoded, Ok(golden.message()), "{}: decoded", golden.name);
    }
}

#[test]
fn one_byte_at_a_time_and_all_glued_together_give_the_same_frames() {
    let golden = golden();
    let stream: Vec<u8> = golden.iter().flat_map(|g| g.bytes.clone()).collect();
    let expected: Vec<Vec<u8>> = golden.into_iter().map(|g| g.bytes).collect();

    assert_eq!(frames(stream.chunks(1)), expected);
    assert_eq!(frames(stream.chunks(7)), expected);
    assert_eq!(frames([&stream[..]].into_iter()), expected);
}

#[test]
fn decoding_does_not_depend_on_where_in_memory_the_payload_is() {
    for golden in golden() {
        for shift in 0..8 {
            let mut moved = vec![0xaa; shift];
            moved.extend_from_slice(golden.frame().payload);
            let decoded = Message::decode(golden.kind(), &moved[shift..]);
            assert_eq!(
                decoded,
                Ok(golden.message()),
                "{} by {shift} bytes",
                golden.name
            );
        }
    }
}

/// Feeds the pieces one after the other and collects whole frames.
fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut decoder = FrameDecoder::new();
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        while let Some(frame) = decoder.next_frame().unwrap() {
            let len = frame.payload.len() as u32;
            let mut bytes = vec![frame.ty as u8];
            bytes.extend_from_slice(&len.to_be_bytes()[1..]);
            bytes.extend_from_slice(frame.payload);
            frames.push(bytes);
        }
    }
    assert!(decoder.is_empty());
    decoder.finish().unwrap();
    frames
}

pub(crate) struct Golden {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    index: Value,
}

pub(crate) fn golden() -> Vec<Golden> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folders = ["golden", "golden-java"];
    folders
        .iter()
        .flat_map(|folder| golden_of(&tests.join(folder)))
        .collect()
}

fn golden_of(folder: &Path) -> Vec<Golden> {
    let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let index: BTreeMap<String, Value> = serde_json::from_str(&keep_lone_bytes(&index)).unwrap();
    let captured = std::fs::read_dir(folder).unwrap().filter(|file| {
        file.as_ref()
            .unwrap()
            .path()
            .extension()
            .is_some_and(|e| e == "bin")
    });
    assert_eq!(
        captured.count(),
        index.len(),
        "the index and the files are not the same set"
    );
    index
        .into_iter()
        .map(|(name, index)| {
            let bytes = std::fs::read(folder.join(&name)).unwrap();
            Golden { name, bytes, index }
        })
        .collect()
}

/// JSON cannot hold a byte that is not UTF-8. The index has such a byte N as the
/// lone surrogate U+DC00 + N, which no Rust string can hold either: take the
/// private character U+F700 + N instead, until [`bytes`] turns it back.
fn keep_lone_bytes(index: &str) -> String {
    index.replace("\\udc", "\\uf7")
}

impl Golden {
    fn frame(&self) -> Frame<'_> {
        let payload = &self.bytes[HEADER_LEN..];
        let len = u32::from_be_bytes([0, self.bytes[1], self.bytes[2], self.bytes[3]]);
        assert_eq!(payload.len() as u32, len, "{}: a whole frame", self.name);
        Frame {
            ty: RpcType::try_from(self.bytes[0]).unwrap(),
            payload,
        }
    }

    fn kind(&self) -> Kind {
        Kind::sent(self.frame().ty, self.name.contains("-host-"))
    }

    /// The message as the index has it.
    fn message(&self) -> Message {
        let name = match self.kind() {
            Kind::Error => "Err.Resp",
            Kind::PrepareConfRequest => "PrepareConf.Req",
            Kind::PrepareConfResponse => "PrepareConf.Resp",
            Kind::HttpReqCallRequest => "HTTPReqCall.Req",
            Kind::HttpReqCallResponse => "HTTPReqCall.Resp",
            Kind::ExtraInfoRequest => "ExtraInfo.Req",
            Kind::ExtraInfoResponse => "ExtraInfo.Resp",
            Kind::HttpRespCallRequest => "HTTPRespCall.Req",
            Kind::HttpRespCallResponse => "HTTPRespCall.Resp",
        };
        let m = &self.index[name];
        match self.kind() {
            Kind::Error => Message::Error {
                code: int(&m["code"]),
            },
            Kind::PrepareConfRequest => Message::PrepareConfRequest {
                conf: pairs(&m["conf"]),
                key: bytes(&m["key"]),
            },
            Kind::PrepareConfResponse => Message::PrepareConfResponse {
                conf_token: int(&m["conf_token"]),
            },
            Kind::HttpReqCallRequest => Message::HttpReqCallRequest(HttpReqCallRequest {
                id: int(&m["id"]),
                src_ip: m["src_ip"].as_array().unwrap().iter().map(int).collect(),
                method: int(&m["method"]),
                path: bytes(&m["path"]),
                args: pairs(&m["args"]),
                headers: pairs(&m["headers"]),
                conf_token: int(&m["conf_token"]),
            }),
            Kind::HttpReqCallResponse => Message::HttpReqCallResponse {
                id: int(&m["id"]),
                action: action(m),
            },
            Kind::ExtraInfoRequest => Message::ExtraInfoRequest(match int::<u8>(&m["info_type"]) {
                1 => Info::Var(bytes(&m["name"])),
                2 => Info::ReqBody,
                3 => Info::RespBody,
                other => panic!("{}: info_type {other}", self.name),
            }),
            Kind::ExtraInfoResponse => Message::ExtraInfoResponse {
                result: body(&m["result"]),
            },
            Kind::HttpRespCallRequest => Message::HttpRespCallRequest {
                id: int(&m["id"]),
                status: int(&m["status"]),
                headers: pairs(&m["headers"]),
                conf_token: int(&m["conf_token"]),
            },
            Kind::HttpRespCallResponse => Message::HttpRespCallResponse {
                id: int(&m["id"]),
                status: int(&m["status"]),
                headers: pairs(&m["headers"]),
                body: body(&m["body"]),
            },
        }
    }
}

fn action(m: &Value) -> Action {
    match int::<u8>(&m["action_type"]) {
        0 => Action::None,
        1 => {
            let stop = &m["Stop"];
            Action::Stop {
                status: int(&stop["status"]),
                headers: pairs(&stop["headers"]),
                body: body(&stop["body"]).unwrap_or_default(),
            }
        }
        2 => {
            let rewrite = &m["Rewrite"];
            Action::Rewrite(Rewrite {
                path: text(&rewrite["path"]),
                headers: pairs(&rewrite["headers"]),
                args: pairs(&rewrite["args"]),
                resp_headers: pairs(&rewrite["resp_headers"]),
                body: body(&rewrite["body"]),
            })
        }
        other => panic!("action_type {other}"),
    }
}

fn int<T: TryFrom<u64>>(value: &Value) -> T {
    let number = value.as_u64().expect("a number in the index");
    T::try_from(number).ok().expect("a number that fits")
}

fn pairs(value: &Value) -> Pairs {
    let pairs = value.as_array().expect("a list in the index");
    pairs
        .iter()
        .map(|pair| (bytes(&pair[0]), text(&pair[1])))
        .collect()
}

fn bytes(value: &Value) -> Bytes {
    text(value).expect("a string in the index")
}

/// `null` is absent.
fn text(value: &Value) -> Option<Bytes> {
    let mut bytes = Vec::new();
    for c in value.as_str()?.chars() {
        match u32::from(c) {
            lone @ 0xf780..=0xf7ff => bytes.push((lone - 0xf700) as u8),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Some(bytes)
}

/// A body has its line feeds escaped once more.
fn body(value: &Value) -> Option<Bytes> {
    let text = String::from_utf8(text(value)?).expect("bodies in the index are text");
    Some(text.replace("\\n", "\n").into_bytes())
}
