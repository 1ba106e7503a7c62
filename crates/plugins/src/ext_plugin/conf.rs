//! The configuration of the `ext-plugin-*` plugins, as it is written.
//!
//! What it says of runners by name, and which entries make one call, is found
//! out in `steps`.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use outrigger_engine::headers::is_framing;
use outrigger_engine::schemas::Schemas;
use outrigger_host::CallOptions;
use outrigger_model::expr::Expr;
use outrigger_model::{Fault, PropertyPath};
use serde::Deserialize;
use serde_json::Value;

use crate::conf;

/// All phases have the same.
pub(super) static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../../schemas/ext-plugin.json")));

/// What a route says of its external plugins. Unknown properties are accepted,
/// as in APISIX; those of objects that APISIX does not have are not.
#[derive(Debug)]
pub(super) struct Conf {
    /// In the order in which they run.
    pub(super) entries: Vec<Entry>,
    /// The runner of entries that name none; none: the default runner.
    pub(super) runner: Option<String>,
    /// For which requests the plugin is there at all.
    pub(super) when: Option<Expr>,
    /// Time limits of calls, and whether they are repeated.
    pub(super) options: CallOptions,
    pub(super) policy: Policy,
    pub(super) bodies: Bodies,
    /// What becomes of headers that an answer to a response call does not name.
    pub(super) response_headers: ResponseHeaders,
}

/// One external plugin with its configuration.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Text, which JSON is written as.
    pub(super) value: String,
    pub(super) runner: Option<String>,
    pub(super) when: Option<Expr>,
}

/// What becomes of a request whose call has failed.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// It goes on as if the plugins were absent.
    pub(super) allow_degradation: bool,
    /// It is answered with this instead of the gateway's 503.
    pub(super) on_error: Option<OnError>,
}

/// A route's own answer to a request whose call has failed.
#[derive(Debug, Clone)]
pub(super) struct OnError {
    pub(super) status: StatusCode,
    /// None: a body that names plugin and kind of failure.
    pub(super) body: Option<String>,
    pub(super) headers: HeaderMap,
}

/// What plugins get to see of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bodies {
    /// The longest one, in bytes.
    pub(super) max: usize,
    pub(super) oversize: Oversize,
    /// Whether a request's body that is streamed to the upstream is kept for
    /// calls after that.
    pub(super) keep_request_body: bool,
}

/// What becomes of a call that asks for a body longer than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Oversize {
    /// A request is answered with 413, a response call fails.
    Reject,
    /// It is given up, and things go on as if its plugins were absent.
    Skip,
    /// It gets the first bytes, and can learn by a variable that there are more.
    Truncate,
}

/// What becomes of the upstream's headers that a runner does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ResponseHeaders {
    /// They stay.
    Patch,
    /// They go, if it names any; as in APISIX.
    Replace,
}

/// The configuration as it is written and completed.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    conf: Vec<WrittenEntry>,
    runner: Option<String>,
    when: Option<Value>,
    retry: bool,
    timeout: Option<Timeout>,
    allow_degradation: bool,
    on_error: Option<WrittenOnError>,
    max_body: usize,
    on_oversize: Oversize,
    keep_request_body: bool,
    response_headers: ResponseHeaders,
}

#[derive(Deserialize)]
struct WrittenEntry {
    name: String,
    value: Value,
    runner: Option<String>,
    when: Option<Value>,
}

/// In milliseconds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Timeout {
    Call(u64),
    Each {
        connect: Option<u64>,
        prepare: Option<u64>,
        call: Option<u64>,
    },
}

#[derive(Deserialize)]
struct WrittenOnError {
    status: u16,
    body: Option<Value>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

impl Conf {
    /// # Errors
    /// The first property that does not hold.
    pub(super) fn read(json: &Value) -> Result<Self, Fault> {
        let root = PropertyPath::root;
        let written: Written = conf::read(&SCHEMAS.requests, json)?;
        let entries = written.conf.into_iter().enumerate();
        Ok(Self {
            entries: entries.map(Entry::read).collect::<Result<_, _>>()?,
            runner: written.runner,
            when: read_when(written.when.as_ref(), root)?,
            options: CallOptions {
                retry: written.retry,
                ..written.timeout.map(Timeout::options).unwrap_or_default()
            },
            policy: Policy {
                allow_degradation: written.allow_degradation,
                on_error: written.on_error.map(OnError::read).transpose()?,
            },
            bodies: Bodies {
                max: written.max_body,
                oversize: written.on_oversize,
                keep_request_body: written.keep_request_body,
            },
            response_headers: written.response_headers,
        })
    }
}

impl Entry {
    fn read((place, written): (usize, WrittenEntry)) -> Result<Self, Fault> {
        let here = || PropertyPath::root().key("conf").index(place);
        Ok(Self {
            when: read_when(written.when.as_ref(), here)?,
            name: written.name,
            value: text_of(&written.value),
            runner: written.runner,
        })
    }
}

/// Text as it is; any other value as its JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    }
}

/// The expression `when` of what is at `here`.
fn read_when(when: Option<&Value>, here: impl Fn() -> PropertyPath) -> Result<Option<Expr>, Fault> {
    let read = when.map(Expr::from_json).transpose();
    read.map_err(|fault| conf::fault(here().key("when").join(&fault.path), fault.message))
}

impl Timeout {
    fn options(self) -> CallOptions {
        let ms = |milliseconds: Option<u64>| milliseconds.map(Duration::from_millis);
        match self {
            Self::Call(call) => CallOptions {
                time_limit: ms(Some(call)),
                ..CallOptions::default()
            },
            Self::Each {
                connect,
                prepare,
                call,
            } => CallOptions {
                connect: ms(connect),
                prepare: ms(prepare),
                time_limit: ms(call),
                ..CallOptions::default()
            },
        }
    }
}

impl OnError {
    fn read(written: WrittenOnError) -> Result<Self, Fault> {
        let root = || PropertyPath::root().key("on_error");
        let mut headers = HeaderMap::new();
        for (name, value) in &written.headers {
            let (name, value) = read_header(name, value)
                .map_err(|why| conf::fault(root().key("headers").key(name), why))?;
            headers.insert(name, value);
        }
        if written.body.as_ref().is_some_and(|body| !body.is_string()) {
            let json = HeaderValue::from_static("application/json");
            headers.entry(http::header::CONTENT_TYPE).or_insert(json);
        }
        Ok(Self {
            status: conf::status(written.status),
            body: written.body.as_ref().map(text_of),
            headers,
        })
    }
}

fn read_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is not a header's name")?;
    if is_framing(&name) {
        return Err("says how the message is framed and cannot be set");
    }
    let value = HeaderValue::from_str(value);
    let value = value.map_err(|_| "expected a text that a header can have")?;
    Ok((name, value))
}

#[cfg(test)]
mod tests;
