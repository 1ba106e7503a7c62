//! `header-rewrite`: sets headers, on the request that the upstream gets and on
//! the response that the client gets, wherever the route runs it.

use std::collections::BTreeMap;

use outrigger_runner::{Headers, Plugin, Request, Response, Result};
use serde::Deserialize;

pub(super) struct HeaderRewrite;

#[derive(Deserialize)]
pub(super) struct Conf {
    /// The headers' names and values.
    headers: BTreeMap<String, String>,
}

impl Conf {
    fn apply(&self, headers: &mut Headers) {
        for (name, value) in &self.headers {
            headers.set(name, value);
        }
    }
}

impl Plugin for HeaderRewrite {
    type Conf = Conf;

    fn name(&self) -> &str {
        "header-rewrite"
    }

    async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
        conf.apply(request.headers_mut());
        Ok(())
    }

    async fn response(&self, conf: &Conf, response: &mut Response) -> Result {
        conf.apply(response.headers_mut());
        Ok(())
    }
}
