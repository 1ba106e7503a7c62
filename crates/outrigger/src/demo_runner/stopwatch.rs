//! `stopwatch`: tells in a response how long its request took since an earlier
//! phase of the same route. Shows how a plugin carries something from one phase to another:
//! it is to stand in `ext-plugin-pre-req` and `ext-plugin-post-resp`.

use std::time::{SystemTime, UNIX_EPOCH};

use outrigger_runner::{NoConf, Plugin, Request, Response, Result};

pub(super) struct Stopwatch;

/// What the time of the request's phase is kept under.
const STARTED: &str = "stopwatch_started";

/// Microseconds of the calendar's time.
fn now() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())
}

impl Plugin for Stopwatch {
    type Conf = NoConf;

    fn name(&self) -> &str {
        "stopwatch"
    }

    async fn request(&self, _: &NoConf, request: &mut Request) -> Result {
        request.set_context(STARTED, now()?.to_string());
        Ok(())
    }

    async fn response(&self, _: &NoConf, response: &mut Response) -> Result {
        let Some(started) = response.context(STARTED).await? else {
            return Ok(());
        };
        let started: u128 = std::str::from_utf8(&started)?.parse()?;
        let took = now()?.saturating_sub(started);
        let headers = response.headers_mut();
        headers.set("X-Took", format!("{}.{:03} ms", took / 1000, took % 1000));
        Ok(())
    }
}
