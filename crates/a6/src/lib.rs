//! The A6 external-plugin protocol: frames and messages, both directions.
//!
//! A host (the gateway) and a runner (a process with plugins) exchange
//! [`Frame`]s, each a [type](RpcType), a 24-bit length and one FlatBuffers
//! message. [`FrameDecoder`] finds the frames in a stream of bytes, [`Decode`]
//! reads a message out of one, [`Encoder`] writes one.
//!
//! ```
//! use outrigger_a6::{Decode, Encoder, Entries, Entry, FrameDecoder, prepare_conf};
//!
//! let conf = [Entry { name: b"say", value: Some(b"{}") }];
//! let request = prepare_conf::Request { conf: Entries::from(&conf), key: b"route#1" };
//!
//! let mut encoder = Encoder::new();
//! let mut decoder = FrameDecoder::new();
//! decoder.feed(encoder.encode(&request)?);
//!
//! let frame = decoder.next_frame()?.expect("the frame is whole");
//! let read = prepare_conf::Request::decode(frame.payload)?;
//! assert_eq!(read.key, b"route#1");
//! assert_eq!(read.conf.iter().next().unwrap().value, Some(&b"{}"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Text is bytes here: header values and arguments need not be UTF-8 and pass
//! unchanged. Whatever comes in is verified before it is read, and decoding
//! allocates nothing: messages borrow from the frame.
//!
//! Deliberately absent: I/O, clocks, an async runtime, and the meaning of a
//! call (who asks when, what a rewrite does to a request). That is the business
//! of the host and of the runner.

mod decode;
mod decoder;
mod encode;
mod entry;
pub mod error;
pub mod extra_info;
mod frame;
#[rustfmt::skip]
#[allow(
    warnings,
    clippy::all,
    unsafe_code,
    reason = "written by flatc from schema/a6.fbs and held to its style, not to ours"
)]
#[path = "generated/a6_generated.rs"]
mod generated;
pub mod http_req_call;
pub mod http_resp_call;
pub mod limits;
mod message;
mod method;
pub mod prepare_conf;
mod show;
mod wire;

pub use decode::{Decode, DecodeError};
pub use decoder::FrameDecoder;
pub use encode::{Encode, EncodeError, Encoder};
pub use entry::{Entries, EntriesIter, Entry};
pub use frame::{Frame, FrameError, RpcType, U24};
pub use message::Message;
pub use method::Method;
pub use prepare_conf::ConfToken;
