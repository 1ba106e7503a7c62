//! The suite against runners that keep all rules, and against runners that break
//! one on purpose: each rule is seen to fail.
//!
//! Runners that break a rule on the wire are fakes in this process; those that
//! break one by how their process behaves are this program itself, started again
//! in a role (see `role`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod calls;
mod confs;
mod connections;
mod docs;
mod frames;
mod life;
mod plugins;
mod process;
mod questions;
mod report;
mod role;
mod sdk;
mod support;
mod trouble;
