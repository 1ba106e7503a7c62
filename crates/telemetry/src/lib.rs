//! What the gateway lets the world see of itself: for now its log.
//!
//! Nothing here is global: the binary installs what it gets from here.

pub mod log;
pub mod repeats;
