//! `say`: answers every request with a text.

use outrigger_runner::{Plugin, Request, Result};
use serde::Deserialize;

use super::MARK;

pub(super) struct Say;

#[derive(Deserialize)]
pub(super) struct Conf {
    /// What to say; the request goes on where it is empty.
    #[serde(default)]
    body: String,
}

impl Plugin for Say {
    type Conf = Conf;

    fn name(&self) -> &str {
        "say"
    }

    async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
        if !conf.body.is_empty() {
            let (name, value) = MARK;
            request
                .stop(200)
                .header(name, value)
                .body(conf.body.clone());
        }
        Ok(())
    }
}
