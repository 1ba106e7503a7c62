//! `request-body-rewrite`: gives requests another body.

use outrigger_runner::{Plugin, Request, Result};
use serde::Deserialize;

pub(super) struct RequestBodyRewrite;

#[derive(Deserialize)]
pub(super) struct Conf {
    /// The body; requests keep theirs where it is empty.
    #[serde(default)]
    new_body: String,
}

impl Plugin for RequestBodyRewrite {
    type Conf = Conf;

    fn name(&self) -> &str {
        "request-body-rewrite"
    }

    async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
        if !conf.new_body.is_empty() {
            request.set_body(conf.new_body.clone());
        }
        Ok(())
    }
}
