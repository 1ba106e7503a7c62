//! A plugin as they are in real life: it checks its configuration, keeps a route's
//! state, asks the gateway for a variable, answers some requests and changes the
//! others. Below are its tests.
//!
//! Each consumer of a route may make so many requests in a period:
//! `{"name": "quota", "value": "{\"requests\": 100, \"period\": 60}"}`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use outrigger_runner::{Plugin, Request, Result, Runner, ServeError};
use serde::Deserialize;
use tokio::time::Instant;

struct Quota;

/// What stands in the route.
#[derive(Deserialize)]
struct Settings {
    requests: u32,
    /// In seconds.
    period: u32,
}

/// What is made of it: settings that were checked, and the route's state.
#[derive(Deserialize)]
#[serde(try_from = "Settings")]
struct Conf {
    requests: u32,
    period: Duration,
    /// The running period, and what each consumer has used in it.
    used: Mutex<(Instant, HashMap<String, u32>)>,
}

impl TryFrom<Settings> for Conf {
    type Error = &'static str;

    fn try_from(settings: Settings) -> Result<Self, &'static str> {
        if settings.period == 0 {
            return Err("period: it has to be at least a second");
        }
        Ok(Self {
            requests: settings.requests,
            period: Duration::from_secs(settings.period.into()),
            used: Mutex::new((Instant::now(), HashMap::new())),
        })
    }
}

impl Conf {
    /// Counts a request. `None` where the quota is used up, else what is left.
    fn count(&self, consumer: &str) -> Option<u32> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, counts) = &mut *used;
        if since.elapsed() >= self.period {
            *since = Instant::now();
            counts.clear();
        }
        let count = counts.entry(consumer.to_owned()).or_default();
        *count = count.saturating_add(1);
        self.requests.checked_sub(*count)
    }
}

impl Plugin for Quota {
    type Conf = Conf;

    fn name(&self) -> &str {
        "quota"
    }

    async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
        let consumer = request.var_str("consumer_name").await?;
        let consumer = consumer.ok_or("this route has no authentication plugin")?;
        match conf.count(&consumer) {
            Some(left) => request
                .response_headers_mut()
                .set("x-quota-left", left.to_string()),
            None => {
                request.stop(429).body("quota used up\n");
            }
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    Runner::new().plugin(Quota).serve_from_env().await
}

#[cfg(test)]
mod tests {
    use outrigger_testkit::FakeHost;
    use serde_json::json;

    use super::*;

    fn host() -> FakeHost {
        let conf = json!({"requests": 2, "period": 60});
        FakeHost::new(Runner::new().plugin(Quota)).prepare("quota", conf)
    }

    #[tokio::test(start_paused = true)]
    async fn each_consumer_has_a_quota_of_its_own_in_each_period() {
        let mut host = host();
        for left in ["1", "0"] {
            let request = host.request("GET", "/").var("consumer_name", "ann");
            let rewrite = request.send().await.expect_rewrite();
            assert_eq!(rewrite.response_headers, [("x-quota-left", Some(left))]);
        }
        let request = host.request("GET", "/").var("consumer_name", "ann");
        assert_eq!(request.send().await.expect_stop().status, 429);
        let request = host.request("GET", "/").var("consumer_name", "bob");
        request.send().await.expect_rewrite();
        tokio::time::advance(Duration::from_secs(60)).await;
        let request = host.request("GET", "/").var("consumer_name", "ann");
        request.send().await.expect_rewrite();
    }

    #[tokio::test]
    async fn without_a_consumer_the_call_fails_closed() {
        host().request("GET", "/").send().await.expect_failure();
    }

    #[tokio::test]
    async fn a_period_of_nothing_is_refused() {
        let conf = json!({"requests": 1, "period": 0});
        let mut host = FakeHost::new(Runner::new().plugin(Quota)).prepare("quota", conf);
        host.token().await.expect_err("refused");
    }
}
