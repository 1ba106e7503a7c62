//! The supervisor with real processes.
//!
//! Runners that only print, wait or die are shell scripts. One that listens is
//! this test program itself, started again in a role (see `role`), so that the
//! tests need nothing but a shell.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod environment;
mod life;
mod output;
mod replace;
mod role;
mod stop;
mod support;
