//! `response-rewrite`: gives responses another status, headers, or body, or
//! replaces parts of the body.

use std::borrow::Cow;
use std::collections::BTreeMap;

use outrigger_runner::{Plugin, Response, Result};
use regex::bytes::{NoExpand, Regex};
use serde::Deserialize;

use super::MARK;
use super::status::Status;

pub(super) struct ResponseRewrite;

#[derive(Deserialize)]
pub(super) struct Conf {
    /// The status; the response keeps its own where it is 0 or missing.
    #[serde(default, deserialize_with = "status_or_0")]
    status: Option<Status>,
    /// Headers to set.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body; the response keeps its own where it is empty, or where there
    /// are filters.
    #[serde(default)]
    body: String,
    /// What to replace in the body, one after the other.
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
struct Filter {
    regex: Pattern,
    #[serde(default)]
    scope: Scope,
    /// What comes in its place, as it is.
    #[serde(default)]
    replace: String,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Pattern(Regex);

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// The first match.
    #[default]
    Once,
    /// All of them.
    Global,
}

impl TryFrom<String> for Pattern {
    type Error = regex::Error;

    fn try_from(pattern: String) -> Result<Self, regex::Error> {
        Regex::new(&pattern).map(Self)
    }
}

fn status_or_0<'de, D: serde::Deserializer<'de>>(json: D) -> Result<Option<Status>, D::Error> {
    match u16::deserialize(json)? {
        0 => Ok(None),
        status => Status::try_from(status)
            .map(Some)
            .map_err(serde::de::Error::custom),
    }
}

impl Filter {
    /// The body after this filter; borrowed where nothing matches.
    fn apply<'b>(&self, body: &'b [u8]) -> Cow<'b, [u8]> {
        let limit = match self.scope {
            Scope::Once => 1,
            Scope::Global => 0,
        };
        self.regex
            .0
            .replacen(body, limit, NoExpand(self.replace.as_bytes()))
    }
}

impl Plugin for ResponseRewrite {
    type Conf = Conf;

    fn name(&self) -> &str {
        "response-rewrite"
    }

    async fn response(&self, conf: &Conf, response: &mut Response) -> Result {
        if let Some(status) = conf.status {
            response.set_status(status.get());
        }
        let (name, value) = MARK;
        response.headers_mut().set(name, value);
        for (name, value) in &conf.headers {
            response.headers_mut().set(name, value);
        }
        if conf.filters.is_empty() {
            if !conf.body.is_empty() {
                response.set_body(conf.body.clone());
            }
            return Ok(());
        }
        let original = response.body().await?;
        let mut body = Cow::Borrowed(&original[..]);
        for filter in &conf.filters {
            if let Cow::Owned(replaced) = filter.apply(&body) {
                body = Cow::Owned(replaced);
            }
        }
        if let Cow::Owned(body) = body {
            response.set_body(body);
        }
        Ok(())
    }
}
