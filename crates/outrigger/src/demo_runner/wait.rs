//! `wait`: lets a request go on after some time. Shows that calls do not wait for
//! each other, and what a gateway's time limits do.

use std::time::Duration;

use outrigger_runner::{Plugin, Request, Result};
use serde::Deserialize;

pub(super) struct Wait;

#[derive(Deserialize)]
pub(super) struct Conf {
    /// How long, in milliseconds.
    ms: u32,
}

impl Plugin for Wait {
    type Conf = Conf;

    fn name(&self) -> &str {
        "wait"
    }

    async fn request(&self, conf: &Conf, _: &mut Request) -> Result {
        tokio::time::sleep(Duration::from_millis(conf.ms.into())).await;
        Ok(())
    }
}
