//! `response-rewrite`: another status, other header fields, another body.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use outrigger_engine::body::{BodyError, BodyMemory};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::expr;
use outrigger_engine::headers::{HeaderEdit, is_framing};
use outrigger_engine::limits::MAX_BUFFERED_BODY;
use outrigger_engine::plugin::{Factory, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::template::{Template, header_value};
use outrigger_engine::vars;
use outrigger_model::Fault;
use outrigger_model::expr::Expr;
use outrigger_model::read::{At, Object};
use regex::bytes::Regex;

use crate::conf;
use crate::pattern::compile_with;

/// Longest value of a header field with its variables filled in, in bytes; ours.
const MAX_VALUE: usize = 16 * 1024;

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

    fn build(&self, json: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let rewrite = conf::read_with(json, Rewrite::read)?;
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

#[derive(Debug)]
enum Change {
    Add(HeaderName, Template),
    Set(HeaderName, Template),
    Remove(HeaderName),
}

#[derive(Debug)]
struct Filter {
    regex: Regex,
    replacement: String,
    /// `scope: global`; otherwise only the first match is replaced.
    everywhere: bool,
}

impl Rewrite {
    fn read(object: &Object<'_>) -> Option<Self> {
        let status = object.read("status_code", |at| at.integer(200..=598));
        let base64 = object.read("body_base64", At::boolean).unwrap_or(false);
        let body = object.read("body", |at| read_body(at, base64));
        if base64 && object.get("body").is_none() {
            object.at().fault("invalid base64 content");
        }
        let filters = object.read("filters", read_filters);
        if object.get("body").is_some() && object.get("filters").is_some() {
            object
                .at()
                .fault("expected either \"body\" or \"filters\", got both");
        }
        let vars = object.read("vars", |at| {
            let read = Expr::from_json(at.value());
            read.map_err(|fault| at.fault_below(&fault)).ok()
        });
        let status = status.and_then(|status| u16::try_from(status).ok());
        Some(Self {
            status: status.and_then(|status| StatusCode::from_u16(status).ok()),
            headers: object.read("headers", read_headers).unwrap_or_default(),
            body,
            filters: filters.unwrap_or_default(),
            vars,
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

    /// A body with a coding, or one that is too long to be held, passes as it is.
    async fn filter(&self, exchange: &Exchange, response: &mut Response) -> Result<(), Refusal> {
        if response.headers.contains_key(header::CONTENT_ENCODING) {
            tracing::debug!("response-rewrite: a body with a content coding is not filtered");
            return Ok(());
        }
        let old = match response.body.buffer(MAX_BUFFERED_BODY, &self.memory).await {
            Ok(old) => old,
            Err(error @ (BodyError::TooLarge { .. } | BodyError::NoMemory { .. })) => {
                let route = exchange.route.as_ref().map(|route| route.id.as_str());
                tracing::warn!(route, "response-rewrite: the body is not filtered: {error}");
                return Ok(());
            }
            Err(_) => return Err(Refusal::UpstreamBroken),
        };
        let mut new = Cow::Borrowed(&*old);
        for filter in &self.rewrite.filters {
            let limit = if filter.everywhere { 0 } else { 1 };
            let replacement = filter.replacement.as_bytes();
            let replaced = filter.regex.replacen(&new, limit, replacement);
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

fn read_body(at: &At<'_>, base64: bool) -> Option<Bytes> {
    let text = at.string()?;
    if !base64 {
        return Some(Bytes::copy_from_slice(text.as_bytes()));
    }
    let decoded = BASE64_STANDARD.decode(text).ok();
    let decoded = decoded.filter(|bytes| !bytes.is_empty());
    if decoded.is_none() {
        at.fault("invalid base64 content");
    }
    decoded.map(Bytes::from)
}

fn read_filters(at: &At<'_>) -> Option<Vec<Filter>> {
    let items = at.items()?;
    if items.len() == 0 {
        at.fault("expect array to have at least 1 items");
        return None;
    }
    items.map(|item| read_filter(&item)).collect()
}

fn read_filter(at: &At<'_>) -> Option<Filter> {
    let object = at.object()?;
    let regex = object.require("regex");
    let replacement = object.require("replace").and_then(|at| at.string());
    let scope = object.read("scope", |at| at.one_of(&["once", "global"]));
    let options = object.read("options", At::string).unwrap_or("jo");
    let regex = regex?;
    let compiled = compile_with(regex.text(1..=usize::MAX)?, |builder| {
        builder
            .unicode(options.contains('u'))
            .case_insensitive(options.contains('i'))
            .multi_line(options.contains('m'))
            .dot_matches_new_line(options.contains('s'))
            .ignore_whitespace(options.contains('x'));
    });
    Some(Filter {
        regex: regex.accept(compiled)?,
        replacement: in_braces(replacement?),
        everywhere: scope == Some("global"),
    })
}

/// A reference such as `$1x` is to group 1 in PCRE, and to a group named `1x`
/// without braces here.
fn in_braces(replacement: &str) -> String {
    let mut new = String::with_capacity(replacement.len());
    let mut rest = replacement;
    while let Some(at) = rest.find('$') {
        new.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            new.push_str(&format!("{{{}}}", &rest[..digits]));
            rest = &rest[digits..];
        } else if let Some(after) = rest.strip_prefix('$') {
            new.push('$');
            rest = after;
        }
    }
    new.push_str(rest);
    new
}

fn read_headers(at: &At<'_>) -> Option<Vec<Change>> {
    let object = at.object()?;
    let long = ["add", "set", "remove"];
    let is_long = long.iter().any(|key| {
        let at = object.get(key);
        at.is_some_and(|at| at.value().is_object() || at.value().is_array())
    });
    let mut changes = Vec::new();
    if !is_long {
        read_fields(&object, &mut changes);
        return Some(changes);
    }
    if let Some(add) = object.get("add") {
        for item in add.items()? {
            let line = item.string()?.split_once(':');
            let Some((name, value)) = line.filter(|(_, value)| !value.trim().is_empty()) else {
                item.fault("expected a header field, as in \"Name: value\"");
                continue;
            };
            let value = Template::parse(value.trim());
            changes.push(Change::Add(read_name(&item, name.trim())?, value));
        }
    }
    if let Some(set) = object.get("set") {
        read_fields(&set.object()?, &mut changes);
    }
    if let Some(remove) = object.get("remove") {
        for item in remove.items()? {
            let name = read_name(&item, item.string()?)?;
            changes.push(Change::Remove(name));
        }
    }
    Some(changes)
}

fn read_fields(object: &Object<'_>, changes: &mut Vec<Change>) {
    for (name, at) in object.entries() {
        let value = match at.value() {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => {
                at.fault("invalid type as header value");
                continue;
            }
        };
        if let Some(name) = read_name(&at, name) {
            changes.push(Change::Set(name, Template::parse(&value)));
        }
    }
}

fn read_name(at: &At<'_>, text: &str) -> Option<HeaderName> {
    let name = at.accept(text.parse::<HeaderName>())?;
    if is_framing(&name) {
        at.fault("this field belongs to the connection and cannot be changed");
        return None;
    }
    Some(name)
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
        let both = "expected either \"body\" or \"filters\", got both";
        for (json, expected) in [
            (
                json!({"status_code": 100}),
                "status_code: expected 100 to be at least 200",
            ),
            (
                json!({"body": 5}),
                "body: wrong type: expected string, got number",
            ),
            (
                json!({"body": "!", "body_base64": true}),
                "body: invalid base64 content",
            ),
            (json!({"body_base64": true}), "invalid base64 content"),
            (
                json!({"headers": {"a": []}}),
                "headers.a: invalid type as header value",
            ),
            (
                json!({"headers": {"add": ["nocolon"]}}),
                "headers.add[0]: expected a header field, as in \"Name: value\"",
            ),
            (
                json!({"headers": {"set": {"Content-Length": "5"}}}),
                "headers.set.Content-Length: this field belongs to the connection and cannot \
                 be changed",
            ),
            (
                json!({"vars": [["a", "like", "b"]]}),
                "vars[0][1]: invalid operator 'like'",
            ),
            (
                json!({"filters": [{"regex": "("}]}),
                "filters[0]: property \"replace\" is required",
            ),
            (
                json!({"filters": [{"regex": "a", "replace": "", "scope": "all"}]}),
                "filters[0].scope: expected one of \"once\", \"global\"",
            ),
            (
                json!({"filters": [{"regex": "(", "replace": ""}]}),
                "filters[0].regex: not a regular expression that is supported: unclosed group",
            ),
            (
                json!({"filters": []}),
                "filters: expect array to have at least 1 items",
            ),
            (
                json!({"body": "", "filters": [{"regex": "a", "replace": ""}]}),
                both,
            ),
        ] {
            let fault = conf::read_with(&json, Rewrite::read).unwrap_err();
            assert_eq!(fault.to_string(), expected, "{json}");
        }
    }

    #[test]
    fn groups_of_a_replacement_end_with_their_digits() {
        assert_eq!(in_braces("$2 $1x $$ $x"), "${2} ${1}x $$ $x");
    }
}
