//! The configuration of the `ext-plugin-*` plugins, as it is written.
//!
//! What it says of runners by name, and which entries make one call, is found
//! out in `steps`.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use outrigger_engine::headers::is_framing;
use outrigger_host::CallOptions;
use outrigger_model::Fault;
use outrigger_model::expr::Expr;
use outrigger_model::read::{At, Null, Object, read};
use serde_json::Value;

use super::limits::{BODY_BYTES, ERROR_STATUS, MILLISECONDS, NAME_CHARS};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oversize {
    /// A request is answered with 413, a response call fails.
    Reject,
    /// It is given up, and things go on as if its plugins were absent.
    Skip,
    /// It gets the first bytes, and can learn by a variable that there are more.
    Truncate,
}

/// What becomes of the upstream's headers that a runner does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseHeaders {
    /// They stay.
    Patch,
    /// They go, if it names any; as in APISIX.
    Replace,
}

impl Conf {
    /// # Errors
    /// The first property that does not hold.
    pub(super) fn read(json: &Value) -> Result<Self, Fault> {
        read(json, Null::IsAValue, read_conf).map_err(|faults| {
            let first = faults.into_iter().next();
            first.expect("faults are never empty")
        })
    }
}

fn read_conf(at: &At<'_>) -> Option<Conf> {
    let object = at.object()?;
    let flag = |key, default| object.read(key, At::boolean).unwrap_or(default);
    let entries = match object.get("conf") {
        Some(conf) => read_entries(&conf)?,
        None => Vec::new(),
    };
    Some(Conf {
        entries,
        runner: object.read("runner", read_runner),
        when: object.read("when", read_when),
        options: CallOptions {
            retry: flag("retry", true),
            ..object.read("timeout", read_times).unwrap_or_default()
        },
        policy: Policy {
            allow_degradation: flag("allow_degradation", false),
            on_error: object.read("on_error", read_on_error),
        },
        bodies: Bodies {
            max: object.read("max_body", read_max_body).unwrap_or(MAX_BODY),
            oversize: read_oversize(&object),
            keep_request_body: flag("keep_request_body", true),
        },
        response_headers: match object
            .read("response_headers", |at| at.one_of(&["patch", "replace"]))
        {
            Some("replace") => ResponseHeaders::Replace,
            _ => ResponseHeaders::Patch,
        },
    })
}

const MAX_BODY: usize = *BODY_BYTES.end() as usize;

fn read_entries(at: &At<'_>) -> Option<Vec<Entry>> {
    let items = at.items()?;
    if items.len() == 0 {
        at.fault("expect array to have at least 1 items");
        return None;
    }
    let entries: Vec<Option<Entry>> = items.map(|item| read_entry(&item)).collect();
    entries.into_iter().collect()
}

fn read_entry(at: &At<'_>) -> Option<Entry> {
    let object = at.object()?;
    let name = object.require("name");
    let value = object.require("value");
    let (runner, when) = (
        object.read("runner", read_runner),
        object.read("when", read_when),
    );
    Some(Entry {
        name: name?.text(NAME_CHARS)?.to_owned(),
        value: text_of(value?.value()),
        runner,
        when,
    })
}

/// Text as it is; any other value as its JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    }
}

fn read_runner(at: &At<'_>) -> Option<String> {
    at.string().map(str::to_owned)
}

fn read_when(at: &At<'_>) -> Option<Expr> {
    let read = Expr::from_json(at.value());
    read.map_err(|fault| at.fault_below(&fault)).ok()
}

fn read_times(at: &At<'_>) -> Option<CallOptions> {
    if at.value().is_number() {
        return Some(CallOptions {
            time_limit: read_milliseconds(at),
            ..CallOptions::default()
        });
    }
    if !at.value().is_object() {
        return at.wrong_type("number or object");
    }
    let object = at.object()?;
    let times = CallOptions {
        connect: object.read("connect", read_milliseconds),
        prepare: object.read("prepare", read_milliseconds),
        time_limit: object.read("call", read_milliseconds),
        ..CallOptions::default()
    };
    object.finish();
    Some(times)
}

fn read_milliseconds(at: &At<'_>) -> Option<Duration> {
    let milliseconds = at.integer(MILLISECONDS)?;
    Some(Duration::from_millis(u64::try_from(milliseconds).ok()?))
}

fn read_max_body(at: &At<'_>) -> Option<usize> {
    usize::try_from(at.integer(BODY_BYTES)?).ok()
}

fn read_oversize(object: &Object<'_>) -> Oversize {
    let choices = ["reject", "skip", "truncate"];
    match object.read("on_oversize", |at| at.one_of(&choices)) {
        Some("skip") => Oversize::Skip,
        Some("truncate") => Oversize::Truncate,
        _ => Oversize::Reject,
    }
}

fn read_on_error(at: &At<'_>) -> Option<OnError> {
    let object = at.object()?;
    let status = match object.get("status") {
        Some(status) => status.integer(ERROR_STATUS)?,
        None => 503,
    };
    let body = object.get("body");
    let mut headers = HeaderMap::new();
    if let Some(all) = object.get("headers") {
        for (name, value) in all.object()?.entries() {
            let (name, value) = read_header(name, &value)?;
            headers.insert(name, value);
        }
    }
    let is_json = body.is_some_and(|body| !body.value().is_string());
    if is_json {
        let json = HeaderValue::from_static("application/json");
        headers.entry(http::header::CONTENT_TYPE).or_insert(json);
    }
    object.finish();
    Some(OnError {
        status: at
            .accept(u16::try_from(status).map(StatusCode::from_u16))?
            .ok()?,
        body: body.map(|body| text_of(body.value())),
        headers,
    })
}

fn read_header(name: &str, value: &At<'_>) -> Option<(HeaderName, HeaderValue)> {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        value.fault("is not a header's name");
        return None;
    };
    if is_framing(&name) {
        value.fault("says how the message is framed and cannot be set");
        return None;
    }
    match HeaderValue::from_str(value.string()?) {
        Ok(value) => Some((name, value)),
        Err(_) => {
            value.fault("expected a text that a header can have");
            None
        }
    }
}

#[cfg(test)]
mod tests;
