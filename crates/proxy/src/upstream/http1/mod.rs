//! HTTP/1.1 as its client speaks it: bytes in, messages out, and the other way
//! round. No I/O, no clock, no task.
//!
//! Whatever comes from a server is untrusted. Where the length of a response
//! could be read in two ways, it is not read at all (RFC 9112, section 6.3): a
//! gateway that guessed would take one response's end for the next one's head.
//!
//! Deliberately absent: what a message means, and which header fields go on.

mod chunked;
mod decoder;
mod error;
mod framing;
mod request;
mod response;

pub(crate) use decoder::{Decoder, Part};
pub(crate) use error::BadResponse;
pub(crate) use request::{RequestFraming, begin, chunk_head, end_head, field, trailer_section};
pub(crate) use response::{ResponseHead, is_whole_head, parse};

#[cfg(test)]
mod tests;
