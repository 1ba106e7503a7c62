//! How long an upstream may take.

use std::time::Duration;

use crate::limits;
use crate::read::At;

/// The `timeout` of a route or an upstream. None of the durations is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeout {
    /// To connect.
    pub connect: Duration,
    /// Between two successful writes of the request.
    pub send: Duration,
    /// Between two successful reads of the response.
    pub read: Duration,
}

impl Default for Timeout {
    /// 60 seconds each, as in APISIX.
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            connect: minute,
            send: minute,
            read: minute,
        }
    }
}

impl Timeout {
    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object()?;
        let positive = |key| {
            let at = object.require(key)?;
            let duration = seconds(&at)?;
            if duration.is_zero() {
                at.fault("expected 0 to be greater than 0");
            }
            Some(duration)
        };
        let (connect, send, read) = (positive("connect"), positive("send"), positive("read"));
        object.finish();
        Some(Self {
            connect: connect?,
            send: send?,
            read: read?,
        })
    }
}

/// Reads a duration in seconds, with fractions.
pub(crate) fn seconds(at: &At<'_>) -> Option<Duration> {
    let seconds = at.number()?;
    let longest = limits::LONGEST_DURATION;
    if seconds < 0.0 {
        at.fault(format!("expected {seconds} to be at least 0"));
        return None;
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration <= longest => Some(duration),
        _ => {
            let most = longest.as_secs();
            at.fault(format!("expected {seconds} seconds to be at most {most}"));
            None
        }
    }
}
