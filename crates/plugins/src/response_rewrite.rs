//! `response-rewrite`: another status, other header fields, another body.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderName, StatusCode};
use outrigger_engine::body::{BodyError, BodyMemory};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::expr;
use outrigger_engine::headers::HeaderEdit;
use outrigger_engine::limits::MAX_BUFFERED_BODY;
use outrigger_engine::plugin::{Factory, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::schemas::Schemas;
use outrigger_engine::template::{Template, header_value};
use outrigger_engine::vars;
use outrigger_model::expr::Expr;
use outrigger_model::{Fault, PropertyPath};
use regex::bytes::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::conf;
use crate::gzip::{self, Coding};
use crate::pattern::compile_with;
use crate::replacement::{BAD_REPLACEMENT, Replacement};

/// Longest value of a header field with its variables filled in, in bytes; ours.
const MAX_VALUE: usize = 16 * 1024;

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../schemas/response-rewrite.json")));

/// Makes `response-rewrite` plugins.
pub(crate) struct ResponseRewriteFactory {
    /// Where bodies are held that filters look at.
    pub(crate) memory: BodyMemory,
}

impl Factory for ResponseRewriteFactory {
    fn name(&self) -> &'static str {
        "response-rewrite"
    }

    fn priority(&self) -> i32 {
        899
    }

    fn schemas(&self) -> &Schemas {
        &SCHEMAS
    }

    fn build(&self, json: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let rewrite = conf::read(&SCHEMAS.requests, json).and_then(Rewrite::new)?;
        let memory = self.memory.clone();
        Ok(Arc::new(ResponseRewrite { rewrite, memory }))
    }
}

/// One configuration, and what it needs to carry it out.
#[derive(Debug)]
struct ResponseRewrite {
    rewrite: Rewrite,
    memory: BodyMemory,
}

#[derive(Debug)]
struct Rewrite {
    status: Option<StatusCode>,
    headers: Vec<Change>,
    body: Option<Bytes>,
    filters: Vec<Filter>,
    /// For which responses.
    vars: Option<Expr>,
}

#[derive(Deserialize)]
struct Conf {
    status_code: Option<u16>,
    #[serde(default)]
    headers: Map<String, Value>,
    body: Option<String>,
    body_base64: bool,
    #[serde(default)]
    filters: Vec<FilterConf>,
    vars: Option<Value>,
}

#[derive(Deserialize)]
struct FilterConf {
    regex: String,
    replace: String,
    scope: Scope,
    options: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Once,
    Global,
}

#[derive(Debug)]
enum Change {
    Add(HeaderName, Template),
    Set(HeaderName, Template),
    Remove(HeaderName),
}

#[derive(Debug)]
struct Filter {
    regex: Regex,
    replacement: Replacement,
    /// `scope: global`; otherwise only the first match is replaced.
    everywhere: bool,
}

impl Rewrite {
    fn new(conf: Conf) -> Result<Self, Fault> {
        let filters = conf.filters.iter().enumerate();
        Ok(Self {
            status: conf.status_code.map(conf::status),
            headers: read_headers(&conf.headers)?,
            body: read_body(conf.body, conf.body_base64)?,
            filters: filters.map(Filter::new).collect::<Result<_, _>>()?,
            vars: conf::vars(conf.vars.as_ref())?,
        })
    }

    fn concerns(&self, exchange: &Exchange, response: &Response) -> bool {
        let (status, headers) = (response.status, &response.headers);
        let lookup = |name: &str| vars::lookup_with_response(exchange, status, headers, name);
        let vars = self.vars.as_ref();
        vars.is_none_or(|vars| expr::matches(vars, &lookup))
    }

    fn change_headers(&self, exchange: &Exchange, response: &mut Response) {
        for change in &self.headers {
            let fill = |template: &Template| {
                let (status, headers) = (response.status, &response.headers);
                let text = template.render_with(MAX_VALUE, |name| {
                    vars::lookup_with_response(exchange, status, headers, name)
                });
                // A value that grew too long is not sent in part.
                header_value(&text.unwrap_or(Cow::Borrowed(b"")))
            };
            let edit = match change {
                Change::Remove(name) => HeaderEdit::Remove(name.clone()),
                Change::Add(name, template) => HeaderEdit::Append(name.clone(), fill(template)),
                Change::Set(name, template) => match fill(template) {
                    value if value.is_empty() => HeaderEdit::Remove(name.clone()),
                    value => HeaderEdit::Set(name.clone(), value),
                },
            };
            edit.apply(&mut response.headers);
        }
    }
}

impl ResponseRewrite {
    async fn run(&self, exchange: &Exchange, response: &mut Response) -> Result<(), Refusal> {
        let rewrite = &self.rewrite;
        if !rewrite.concerns(exchange, response) {
            return Ok(());
        }
        if !rewrite.filters.is_empty() {
            self.filter(exchange, response).await?;
        }
        if let Some(body) = &rewrite.body {
            response.replace_body(body.clone());
        }
        rewrite.change_headers(exchange, response);
        if let Some(status) = rewrite.status {
            response.set_status(status);
        }
        response.fit_body_to_status();
        Ok(())
    }

    /// A body in another coding than gzip, or one that is too long to be held, passes as
    /// it is. One that is changed has no coding afterwards.
    async fn filter(&self, exchange: &Exchange, response: &mut Response) -> Result<(), Refusal> {
        let coding = Coding::of(&response.headers);
        if coding == Coding::Other {
            tracing::debug!(
                "response-rewrite: a body in an unknown content coding is not filtered"
            );
            return Ok(());
        }
        let route = exchange.route.as_ref().map(|route| route.id.as_str());
        let old = match response.body.buffer(MAX_BUFFERED_BODY, &self.memory).await {
            Ok(old) => old,
            Err(error @ (BodyError::TooLarge { .. } | BodyError::NoMemory { .. })) => {
                tracing::warn!(route, "response-rewrite: the body is not filtered: {error}");
                return Ok(());
            }
            Err(_) => return Err(Refusal::UpstreamBroken),
        };
        let old = match coding {
            // An answer to HEAD has none.
            Coding::Gzip if !old.is_empty() => {
                let decoded = gzip::decoded(&old, MAX_BUFFERED_BODY);
                let decoded = decoded.and_then(|body| self.memory.hold(body.into()));
                let Some(decoded) = decoded else {
                    let why = "it is no gzip, or too long without";
                    tracing::warn!(route, "response-rewrite: the body is not filtered: {why}");
                    return Ok(());
                };
                decoded
            }
            _ => old,
        };
        let mut new = Cow::Borrowed(&*old);
        for filter in &self.rewrite.filters {
            let limit = if filter.everywhere { 0 } else { 1 };
            let replaced = filter.regex.replacen(&new, limit, &filter.replacement);
            if let Cow::Owned(replaced) = replaced {
                new = Cow::Owned(replaced);
            }
        }
        if let Cow::Owned(new) = new {
            response.replace_body(new.into());
        }
        Ok(())
    }
}

fn read_body(text: Option<String>, base64: bool) -> Result<Option<Bytes>, Fault> {
    if !base64 {
        return Ok(text.map(Bytes::from));
    }
    let decoded = BASE64_STANDARD.decode(text.unwrap_or_default()).ok();
    let decoded = decoded.filter(|bytes| !bytes.is_empty()).map(Bytes::from);
    match decoded {
        None => Err(conf::wrong("invalid base64 content")),
        body => Ok(body),
    }
}

impl Filter {
    fn new((place, conf): (usize, &FilterConf)) -> Result<Self, Fault> {
        let path = |key: &str| PropertyPath::root().key("filters").index(place).key(key);
        let has = |option| conf.options.contains(option);
        let regex = compile_with(&conf.regex, |builder| {
            builder
                .unicode(has('u'))
                .case_insensitive(has('i'))
                .multi_line(has('m'))
                .dot_matches_new_line(has('s'))
                .ignore_whitespace(has('x'));
        });
        let replacement = Replacement::parse(&conf.replace);
        Ok(Self {
            regex: regex.map_err(|why| conf::fault(path("regex"), why))?,
            replacement: replacement
                .ok_or_else(|| conf::fault(path("replace"), BAD_REPLACEMENT))?,
            everywhere: matches!(conf.scope, Scope::Global),
        })
    }
}

/// Reads what agrees with the schema, which leaves open what is in the short form.
fn read_headers(headers: &Map<String, Value>) -> Result<Vec<Change>, Fault> {
    let root = || PropertyPath::root().key("headers");
    let mut changes = Vec::new();
    let is_long = ["add", "set", "remove"].iter().any(|verb| {
        headers
            .get(*verb)
            .is_some_and(|it| it.is_object() || it.is_array())
    });
    if !is_long {
        read_fields(headers, &root(), &mut changes)?;
        return Ok(changes);
    }
    let items = |verb: &str| {
        let items = headers.get(verb).and_then(Value::as_array);
        let items = items.into_iter().flatten().enumerate();
        items.map(|(index, item)| (index, item.as_str().unwrap_or_default()))
    };
    for (index, line) in items("add") {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let name = read_name(name.trim(), || root().key("add").index(index))?;
        changes.push(Change::Add(name, Template::parse(value.trim())));
    }
    if let Some(fields) = headers.get("set").and_then(Value::as_object) {
        read_fields(fields, &root().key("set"), &mut changes)?;
    }
    for (index, name) in items("remove") {
        let name = read_name(name, || root().key("remove").index(index))?;
        changes.push(Change::Remove(name));
    }
    Ok(changes)
}

fn read_fields(
    fields: &Map<String, Value>,
    at: &PropertyPath,
    changes: &mut Vec<Change>,
) -> Result<(), Fault> {
    for (name, value) in fields {
        let value = conf::text_of(value);
        let value = value.ok_or_else(|| conf::wrong("invalid type as header value"))?;
        let name = read_name(name, || at.clone().key(name))?;
        changes.push(Change::Set(name, Template::parse(&value)));
    }
    Ok(())
}

fn read_name(text: &str, at: impl FnOnce() -> PropertyPath) -> Result<HeaderName, Fault> {
    conf::own_field(text).map_err(|why| conf::fault(at(), why))
}

impl Plugin for ResponseRewrite {
    fn phases(&self) -> Phases {
        Phases::RESPONSE
    }

    fn response<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> PluginFuture<'a, Result<(), Refusal>> {
        Box::pin(self.run(exchange, response))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let dependent = |of: &str| {
            format!(
                "failed to validate dependent schema for \"{of}\": \
                 value wasn't supposed to match schema"
            )
        };
        let headers = "headers: object matches none of the required";
        for (json, expected) in [
            (
                json!({"status_code": 100}),
                "status_code: expected 100 to be at least 200",
            ),
            (
                json!({"status_code": 599}),
                "status_code: expected 599 to be at most 598",
            ),
            (
                json!({"body": 5}),
                "body: wrong type: expected string, got number",
            ),
            (
                json!({"body": "!", "body_base64": true}),
                "invalid base64 content",
            ),
            (json!({"body_base64": true}), "invalid base64 content"),
            (
                json!({"headers": {"a": []}}),
                "invalid type as header value",
            ),
            (json!({"headers": {"add": ["nocolon"]}}), headers),
            (json!({"headers": {"add": ["X-A: "]}}), headers),
            (json!({"headers": {"add": [], "X-A": "1"}}), headers),
            (json!({"headers": {"remove": ["a:b"]}}), headers),
            (
                json!({"headers": {"set": {"Content-Length": "5"}}}),
                "headers.set.Content-Length: this field belongs to the connection and cannot \
                 be changed",
            ),
            (
                json!({"headers": {"remove": ["a b"]}}),
                "headers.remove[0]: invalid HTTP header name",
            ),
            (
                json!({"vars": [["a", "like", "b"]]}),
                "failed to validate the 'vars' expression: invalid operator 'like'",
            ),
            (
                json!({"filters": [{"regex": "("}]}),
                "filters[0]: property \"replace\" is required",
            ),
            (
                json!({"filters": [{"regex": "", "replace": ""}]}),
                "filters[0].regex: string too short, expected at least 1, got 0",
            ),
            (
                json!({"filters": [{"regex": "a", "replace": "", "scope": "all"}]}),
                "filters[0].scope: matches none of the enum values",
            ),
            (
                json!({"filters": [{"regex": "(", "replace": ""}]}),
                "filters[0].regex: not a regular expression that is supported: unclosed group",
            ),
            (
                json!({"filters": [{"regex": "a", "replace": "$x"}]}),
                &format!("filters[0].replace: {BAD_REPLACEMENT}"),
            ),
            (
                json!({"filters": []}),
                "filters: expect array to have at least 1 items",
            ),
            (
                json!({"body": "", "filters": [{"regex": "a", "replace": ""}]}),
                &dependent("body"),
            ),
        ] {
            let read = conf::read(&SCHEMAS.requests, &json).and_then(Rewrite::new);
            assert_eq!(read.unwrap_err().to_string(), expected, "{json}");
        }
    }
}
