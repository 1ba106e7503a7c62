//! What the fuzz targets have in common.
//!
//! A message target takes a payload. What the crate accepts must read the same
//! by the independent reader of its tests, and survive being written again.

#[path = "../../crates/a6/tests/wire/support/mod.rs"]
pub mod support;

use outrigger_a6::Encoder;
use outrigger_a6::limits::HEADER_LEN;
use support::model::{Kind, Message};
use support::reader;

/// Reads `payload` as each of these messages.
///
/// # Panics
/// Where two readings of the same bytes differ.
pub fn messages(kinds: &[Kind], payload: &[u8]) {
    for &kind in kinds {
        let Ok(message) = Message::decode(kind, payload) else {
            continue;
        };
        let by_hand = reader::read(kind, payload);
        assert_eq!(by_hand.as_ref(), Some(&message), "read by hand");

        let written = message
            .encode(&mut Encoder::new())
            .expect("what was read can be written");
        let again = Message::decode(kind, &written[HEADER_LEN..]);
        assert_eq!(again.as_ref(), Ok(&message), "written and read again");
    }
}
