//! The host against runners on real unix sockets, from honest to hostile.

#![allow(
    clippy::unwrap_used,
    reason = "the lint sees helpers of tests as production code"
)]

mod ahead;
mod calls;
mod confs;
mod connections;
mod follow;
mod hostile;
mod instances;
mod load;
mod log_calls;
mod restart;
mod storm;
mod support;
