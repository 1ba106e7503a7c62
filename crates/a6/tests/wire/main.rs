//! The protocol on the wire: what is written, what is read, and what happens
//! when the other side writes something else.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may fail the test, too"
)]

mod decoder;
mod golden;
mod hostile;
mod limits;
mod properties;
#[expect(unreachable_pub, reason = "the fuzz targets include this module, too")]
mod support;
