//! `fault-injection`: answers some of the requests with an error.

use std::hash::{BuildHasher, RandomState};

use outrigger_runner::{Plugin, Request, Result};
use serde::Deserialize;

use super::status::Status;

pub(super) struct FaultInjection;

#[derive(Deserialize)]
pub(super) struct Conf {
    /// The status of the answer.
    http_status: Status,
    /// The body of the answer.
    #[serde(default)]
    body: String,
    /// How many requests of a hundred to answer.
    #[serde(default)]
    percentage: Percentage,
}

/// From 0 to 100.
#[derive(Deserialize)]
#[serde(try_from = "u8")]
struct Percentage(u8);

impl Default for Percentage {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u8> for Percentage {
    type Error = String;

    fn try_from(percentage: u8) -> Result<Self, String> {
        if percentage <= 100 {
            Ok(Self(percentage))
        } else {
            Err(format!("{percentage} is not between 0 and 100"))
        }
    }
}

impl Percentage {
    /// By chance, so many times of a hundred.
    fn hits(&self) -> bool {
        // What the standard library has for randomness. Nobody gains anything
        // by guessing it.
        let random = RandomState::new().hash_one("fault") % 100;
        random < u64::from(self.0)
    }
}

impl Plugin for FaultInjection {
    type Conf = Conf;

    fn name(&self) -> &str {
        "fault-injection"
    }

    async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
        if conf.percentage.hits() {
            request.stop(conf.http_status.get()).body(conf.body.clone());
        }
        Ok(())
    }
}
