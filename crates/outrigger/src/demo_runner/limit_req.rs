//! `limit-req`: lets so many requests a second pass; those that come faster wait
//! for their turn.
//!
//! A request whose turn would come too late is answered with 503 at once, so
//! that no crowd of waiting calls builds up. The limit is one route's: it lives
//! in the configuration.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use outrigger_runner::{Plugin, Request, Result};
use serde::Deserialize;
use tokio::time::Instant;

/// The longest wait; half of what a gateway gives a call by default.
const MAX_WAIT: Duration = Duration::from_secs(30);

pub(super) struct LimitReq;

#[derive(Deserialize)]
pub(super) struct Conf {
    /// Requests a second.
    rate: Rate,
    /// How many may come at once before the others wait.
    burst: Burst,
    #[serde(skip)]
    limiter: Limiter,
}

/// The time between two requests.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Rate(Duration);

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(rate: f64) -> Result<Self, String> {
        let interval = Duration::try_from_secs_f64(1.0 / rate)
            .ok()
            .filter(|_| rate > 0.0);
        interval
            .map(Self)
            .ok_or_else(|| format!("{rate} is not a number of requests above 0"))
    }
}

/// At least 1, without which no request would ever pass.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
struct Burst(u32);

impl TryFrom<u32> for Burst {
    type Error = &'static str;

    fn try_from(burst: u32) -> Result<Self, &'static str> {
        if burst > 0 {
            Ok(Self(burst))
        } else {
            Err("0 would let no request pass")
        }
    }
}

/// A bucket of tokens, kept as the time when it will be full again.
struct Limiter {
    start: Instant,
    /// Counted from `start`.
    full_at: Mutex<Duration>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            full_at: Mutex::default(),
        }
    }
}

impl Limiter {
    /// Takes a token and tells how long to wait for it; none is taken where that
    /// would be too long.
    fn take(&self, Rate(interval): Rate, Burst(burst): Burst) -> Option<Duration> {
        let now = self.start.elapsed();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let then = full_at.max(now).saturating_add(interval);
        let wait = then
            .saturating_sub(now)
            .saturating_sub(interval.saturating_mul(burst));
        (wait <= MAX_WAIT).then(|| {
            *full_at = then;
            wait
        })
    }
}

impl Plugin for LimitReq {
    type Conf = Conf;

    fn name(&self) -> &str {
        "limit-req"
    }

    async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
        match conf.limiter.take(conf.rate, conf.burst) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => {
                request.stop(503);
            }
        }
        Ok(())
    }
}
