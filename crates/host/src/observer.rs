//! What happens between the gateway and its runners, told to whoever counts
//! and logs it.

use std::time::Duration;

use outrigger_a6::ConfToken;

use crate::{BreakerState, CallError, CloseReason};

/// Is told what happens. Called on worker threads in the middle of a call, so
/// it must be quick and must not block.
pub trait Observer: Send + Sync {
    /// Something happened with the runner of this name.
    fn event(&self, runner: &str, event: Event<'_>);
}

/// Nobody watches.
impl Observer for () {
    fn event(&self, _runner: &str, _event: Event<'_>) {}
}

/// Something that happened with a runner.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection was opened.
    ConnectionOpened {
        /// The process that listens, where the kernel can tell.
        pid: Option<u32>,
    },
    /// A connection was closed.
    ConnectionClosed {
        /// Why.
        reason: CloseReason,
    },
    /// Another process listens than before: all tokens and idle connections of
    /// the old one are void.
    ProcessChanged {
        /// The process before, where the kernel could tell.
        old: Option<u32>,
        /// The process now.
        new: Option<u32>,
    },
    /// A configuration was prepared.
    ConfPrepared {
        /// The configuration's key.
        key: &'a str,
        /// The runner's name for it.
        token: ConfToken,
        /// Whether this replaces a token that was about to expire.
        renewal: bool,
        /// How long it took, connecting included.
        took: Duration,
    },
    /// A configuration could not be prepared.
    PrepareFailed {
        /// The configuration's key.
        key: &'a str,
        /// Whether this was to replace a token that goes on for now.
        renewal: bool,
        /// Why.
        error: &'a CallError,
    },
    /// The runner did not know a token, although it is the process that gave it.
    TokenLost {
        /// The configuration's key.
        key: &'a str,
        /// The token.
        token: ConfToken,
    },
    /// A call is sent again.
    CallRepeated {
        /// What happened to it before.
        error: &'a CallError,
    },
    /// The circuit breaker opened, lets a call through to see, or closed.
    BreakerChanged {
        /// What it is now.
        state: BreakerState,
    },
    /// A log call was not made: there were too many of them.
    LogCallDropped {
        /// How many a worker may have under way.
        limit: usize,
    },
    /// A call failed for good.
    CallFailed {
        /// Why.
        error: &'a CallError,
    },
}
