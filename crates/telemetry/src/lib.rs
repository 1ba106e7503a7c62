//! What the gateway lets the world see of itself: its logs, its metrics
//! and its traces.
//!
//! Nothing here is global: the binary installs what it gets from here.

pub mod access_log;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod repeats;
pub mod trace;
