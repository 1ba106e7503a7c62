//! `redirect`: an answer that sends the client elsewhere.

use std::future::ready;
use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use outrigger_engine::body::Body;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::template::{Piece, Template};
use outrigger_model::Fault;
use outrigger_model::read::{At, Object};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use regex::bytes::Regex;

use crate::conf;
use crate::pattern::compile;

/// Longest Location, in bytes; ours.
const MAX_LOCATION: usize = 16 * 1024;

/// What must not stand in a Location as it is: nothing that is no ASCII, no
/// control characters, and what ends or splits a URI in careless readers.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\');

/// Besides, what would mean something else when it comes from a decoded path.
const IN_PATH: &AsciiSet = &UNSAFE
    .add(b'%')
    .add(b'?')
    .add(b'#')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Makes `redirect` plugins.
pub(crate) struct RedirectFactory;

impl Factory for RedirectFactory {
    fn name(&self) -> &'static str {
        "redirect"
    }

    fn priority(&self) -> i32 {
        900
    }

    fn build(&self, json: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        Ok(Arc::new(conf::read_with(json, Redirect::read)?))
    }
}

/// One configuration.
#[derive(Debug)]
struct Redirect {
    to: To,
    status: StatusCode,
    append_query: bool,
}

#[derive(Debug)]
enum To {
    /// `uri`
    Uri(Template),
    /// `regex_uri`: where the decoded path matches, this, with groups filled in.
    Regex(Regex, String),
    /// `http_to_https`, to this port, or the default one.
    Https(Option<u16>),
}

impl Redirect {
    fn read(object: &Object<'_>) -> Option<Self> {
        let status = object.read("ret_code", |at| at.integer(200..=599));
        let uri = object.read("uri", |at| at.text(2..=MAX_LOCATION));
        let regex = object.read("regex_uri", read_regex);
        let https = object.read("http_to_https", At::boolean);
        let port = object.read("https_port", |at| at.integer(1..=65535));
        let append_query = object.read("append_query_string", At::boolean);
        // Values are always encoded here: what they are when they are not is up
        // to whoever sends the request.
        object.read("encode_uri", At::boolean);
        let ways = ["uri", "regex_uri", "http_to_https"];
        let given = ways.iter().filter(|key| object.get(key).is_some()).count();
        if given != 1 {
            object
                .at()
                .fault("expected exactly one of \"uri\", \"regex_uri\" and \"http_to_https\"");
            return None;
        }
        if https == Some(true) && append_query == Some(true) {
            object.at().fault(
                "only one of \"http_to_https\" and \"append_query_string\" can be set: \
                 http_to_https keeps the query",
            );
        }
        let to = match (uri, regex) {
            (Some(uri), _) => To::Uri(Template::parse(uri)),
            (_, Some((regex, replacement))) => To::Regex(regex, replacement),
            _ => To::Https(port.and_then(|port| u16::try_from(port).ok())),
        };
        let status = match (&to, status) {
            (To::Https(_), None) => 301,
            (_, status) => status.unwrap_or(302),
        };
        Some(Self {
            to,
            status: StatusCode::from_u16(u16::try_from(status).ok()?).ok()?,
            append_query: append_query.unwrap_or(false),
        })
    }

    /// Where the client is sent; `None` to let the request through.
    fn location(&self, exchange: &Exchange) -> Option<Vec<u8>> {
        let mut location = match &self.to {
            To::Uri(template) => filled_in(template, exchange)?,
            To::Regex(regex, replacement) => {
                let path = exchange.target.path();
                let found = regex.captures(path)?;
                let mut new = encoded(&path[..found.get(0)?.start()], IN_PATH);
                new.extend(expand(replacement, &found));
                new.extend(encoded(&path[found.get(0)?.end()..], IN_PATH));
                new
            }
            To::Https(port) => {
                if exchange.client.scheme == "https" {
                    return None;
                }
                let port = port.filter(|port| *port != 443);
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                let host = exchange.host.as_str();
                let target = exchange.target.original();
                format!("https://{host}{port}{target}").into_bytes()
            }
        };
        if self.append_query
            && let Some(query) = exchange.target.query().filter(|query| !query.is_empty())
        {
            location.push(if location.contains(&b'?') { b'&' } else { b'?' });
            location.extend(encoded(query, UNSAFE));
        }
        Some(location)
    }

    fn answer(&self, exchange: &Exchange) -> Result<Flow, Refusal> {
        let Some(location) = self.location(exchange) else {
            return Ok(Flow::Continue);
        };
        let location = HeaderValue::from_bytes(&location).ok();
        let location = location.filter(|location| location.len() <= MAX_LOCATION);
        let location = location.ok_or_else(|| {
            Refusal::BadRequest("redirect: the new location is too long or no header value".into())
        })?;
        let mut response = Response::new(self.status, Body::Empty);
        response.headers.insert(header::LOCATION, location);
        Ok(Flow::Respond(response))
    }
}

fn encoded(bytes: &[u8], set: &'static AsciiSet) -> Vec<u8> {
    percent_encode(bytes, set).to_string().into_bytes()
}

/// Variables that are a decoded path are encoded; others are safe as they are,
/// or made so.
fn filled_in(template: &Template, exchange: &Exchange) -> Option<Vec<u8>> {
    let mut names = template.names();
    let mut location = Vec::new();
    for piece in template.pieces(exchange) {
        let set = match &piece {
            Piece::Text(_) => UNSAFE,
            Piece::Value(_) => match names.next() {
                Some("uri" | "document_uri") => IN_PATH,
                _ => UNSAFE,
            },
        };
        location.extend(encoded(piece.as_bytes(), set));
        if location.len() > MAX_LOCATION {
            break;
        }
    }
    Some(location)
}

/// The replacement with `$1`, `${1}` filled in; what comes from the path is encoded.
fn expand(replacement: &str, found: &regex::bytes::Captures<'_>) -> Vec<u8> {
    let mut new = Vec::new();
    let mut rest = replacement;
    while let Some(at) = rest.find('$') {
        new.extend(encoded(&rest.as_bytes()[..at], UNSAFE));
        let after = &rest[at + 1..];
        let digits = after.strip_prefix('{').unwrap_or(after);
        let end = digits
            .find(|it: char| !it.is_ascii_digit())
            .unwrap_or(digits.len());
        let closing = usize::from(digits.len() < after.len());
        match digits[..end].parse::<usize>() {
            Ok(group) if closing == 0 || digits[end..].starts_with('}') => {
                if let Some(group) = found.get(group) {
                    new.extend(encoded(group.as_bytes(), IN_PATH));
                }
                rest = &digits[end + closing..];
            }
            _ => {
                new.push(b'$');
                rest = after;
            }
        }
    }
    new.extend(encoded(rest.as_bytes(), UNSAFE));
    new
}

fn read_regex(at: &At<'_>) -> Option<(Regex, String)> {
    let mut items = at.items()?;
    let (Some(pattern), Some(replacement), None) = (items.next(), items.next(), items.next())
    else {
        at.fault("expected a regular expression and a replacement");
        return None;
    };
    let regex = pattern.accept(compile(pattern.string()?))?;
    Some((regex, replacement.string()?.to_owned()))
}

impl Plugin for Redirect {
    fn phases(&self) -> Phases {
        Phases::REWRITE
    }

    fn rewrite<'a>(
        &'a self,
        exchange: &'a mut Exchange,
    ) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(ready(self.answer(exchange)))
    }
}
