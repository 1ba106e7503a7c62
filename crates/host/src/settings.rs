//! What a runner is configured with.

use std::time::Duration;

use crate::limits::{
    BREAKER_CALLS, BREAKER_ERROR_PERCENT, BREAKER_PAUSE, BREAKER_WINDOW, CALL_TIMEOUT,
    CONF_LIFETIME, CONNECT_TIMEOUT, IN_FLIGHT, LONGEST_TIME, MAX_BUFFERED, PREPARE_TIMEOUT, QUEUE,
};

/// What a runner is configured with. More may be added, so begin with
/// [`Settings::default`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long it may take.
    pub timeouts: Timeouts,
    /// What its processes are told in APISIX_CONF_EXPIRE_TIME.
    pub conf_lifetime: Duration,
    /// How much may be under way at once.
    pub limits: Limits,
    /// When calls are not even tried for a while; `None`: always try.
    pub breaker: Option<BreakerSettings>,
    /// Users other than root and the gateway's own whose processes may listen
    /// on the runner's socket. Whoever can make the socket's file decides what
    /// becomes of requests, so nobody else's process is called.
    pub allowed_uids: Vec<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            conf_lifetime: CONF_LIFETIME,
            limits: Limits::default(),
            breaker: Some(BreakerSettings::default()),
            allowed_uids: Vec::new(),
        }
    }
}

impl Settings {
    /// The same with times that can be added to a point in time.
    pub(crate) fn bounded(mut self) -> Self {
        let Timeouts {
            connect,
            prepare,
            call,
        } = &mut self.timeouts;
        for time in [connect, prepare, call, &mut self.conf_lifetime] {
            *time = (*time).min(LONGEST_TIME);
        }
        if let Some(BreakerSettings { window, pause, .. }) = &mut self.breaker {
            *window = (*window).min(LONGEST_TIME);
            *pause = (*pause).min(LONGEST_TIME);
        }
        self
    }
}

/// How long a runner may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection, where its process listens but is busy.
    pub connect: Duration,
    /// To prepare a configuration. It does not count towards the call that
    /// needs it, unless that was sent before and is repeated.
    pub prepare: Duration,
    /// To answer a call. What it waits for its turn, or for a process that is
    /// on its way, counts; so do repetitions.
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            prepare: PREPARE_TIMEOUT,
            call: CALL_TIMEOUT,
        }
    }
}

/// How much of a runner may be under way at once, all workers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls that have their turn, at least 1. Further ones queue.
    pub in_flight: usize,
    /// Calls that wait: for their turn, or for a process. Further ones fail at
    /// once. With 0 nothing waits, so a restart fails calls.
    pub queue: usize,
    /// Bytes of long frames that are being received or sent. What would exceed
    /// this fails.
    pub max_buffered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: IN_FLIGHT,
            queue: QUEUE,
            max_buffered: MAX_BUFFERED,
        }
    }
}

/// When the circuit breaker opens and closes.
///
/// It opens when, within one window, enough calls ended and enough of them
/// failed by the runner's fault: timeouts, connections that were refused or
/// died, answers that are not what the protocol says. A runner's own error
/// (`RPC_ERROR`) is an answer: one route's broken plugin does not close the
/// runner to other routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// How long calls are counted before counting begins anew, in steps of
    /// 100 ms.
    pub window: Duration,
    /// With fewer calls in a window nothing happens. At most 30,000.
    pub minimum_calls: u32,
    /// How many of 100 calls must have failed.
    pub error_percent: u8,
    /// How long calls fail at once before one is tried, in steps of 100 ms.
    pub pause: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            window: BREAKER_WINDOW,
            minimum_calls: BREAKER_CALLS,
            error_percent: BREAKER_ERROR_PERCENT,
            pause: BREAKER_PAUSE,
        }
    }
}
