//! `redirect`: an answer that sends the client elsewhere.

use std::future::ready;
use std::sync::{Arc, LazyLock};

use http::{HeaderValue, Method, StatusCode, header};
use outrigger_engine::body::Body;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::schemas::Schemas;
use outrigger_engine::template::{Piece, Template};
use outrigger_model::{Fault, PropertyPath};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use regex::bytes::Regex;
use serde::Deserialize;

use crate::attributes::Attributes;
use crate::conf;
use crate::pattern::compile;
use crate::replacement::{BAD_REPLACEMENT, Replacement};

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

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../schemas/redirect.json")));

/// Makes `redirect` plugins.
pub(crate) struct RedirectFactory {
    pub(crate) attributes: Attributes,
}

impl Factory for RedirectFactory {
    fn name(&self) -> &'static str {
        "redirect"
    }

    fn priority(&self) -> i32 {
        900
    }

    fn schemas(&self) -> &Schemas {
        &SCHEMAS
    }

    fn build(&self, json: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let conf = conf::read(&SCHEMAS.requests, json)?;
        Ok(Arc::new(Redirect::new(conf, &self.attributes)?))
    }
}

/// One configuration.
#[derive(Debug)]
struct Redirect {
    to: To,
    status: StatusCode,
    append_query: bool,
    attributes: Attributes,
}

/// `encode_uri` is not asked for: values are always encoded here, since what they are
/// when they are not is up to whoever sends the request.
#[derive(Deserialize)]
struct Conf {
    uri: Option<String>,
    regex_uri: Option<[String; 2]>,
    http_to_https: Option<bool>,
    https_port: Option<u16>,
    ret_code: u16,
    append_query_string: bool,
}

#[derive(Debug)]
enum To {
    /// `uri`
    Uri(Template),
    /// `regex_uri`: where the decoded path matches, this, with groups filled in.
    Regex(Regex, Replacement),
    /// `http_to_https`, to this port, or the default one.
    Https(Option<u16>),
    /// `http_to_https: false`
    Nowhere,
}

impl Redirect {
    fn new(conf: Conf, attributes: &Attributes) -> Result<Self, Fault> {
        if conf.http_to_https == Some(true) && conf.append_query_string {
            return Err(conf::wrong(
                "only one of `http_to_https` and `append_query_string` can be configured.",
            ));
        }
        let to = if let Some(uri) = conf.uri {
            if uri.len() > MAX_LOCATION {
                let message = format!("expected at most {MAX_LOCATION} bytes");
                return Err(conf::wrong_at("uri", message));
            }
            To::Uri(Template::parse(&uri))
        } else if let Some([pattern, replacement]) = conf.regex_uri {
            let regex = compile(&pattern).map_err(|why| {
                let path = PropertyPath::root().key("regex_uri").index(0);
                conf::fault(path, why)
            })?;
            let replacement = Replacement::parse(&replacement).ok_or_else(|| {
                let path = PropertyPath::root().key("regex_uri").index(1);
                conf::fault(path, BAD_REPLACEMENT)
            })?;
            To::Regex(regex, replacement)
        } else if conf.http_to_https == Some(true) {
            To::Https(conf.https_port)
        } else {
            To::Nowhere
        };
        Ok(Self {
            to,
            status: conf::status(conf.ret_code),
            append_query: conf.append_query_string,
            attributes: attributes.clone(),
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
                for (part, is_of_path) in replacement.fill(&found) {
                    let set = if is_of_path { IN_PATH } else { UNSAFE };
                    new.extend(encoded(part, set));
                }
                new.extend(encoded(&path[found.get(0)?.end()..], IN_PATH));
                new
            }
            To::Https(port) => {
                if exchange.client.scheme == "https" {
                    return None;
                }
                let port = port.or_else(|| self.attributes.https_port());
                let port = port.filter(|port| *port != 443);
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                let host = exchange.host.as_str();
                let target = exchange.target.original();
                format!("https://{host}{port}{target}").into_bytes()
            }
            To::Nowhere => return None,
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
        let status = match &self.to {
            // A method that has a body stays as it is (RFC 9110, section 15.4.9).
            To::Https(_) if matches!(exchange.method, Method::GET | Method::HEAD) => {
                StatusCode::MOVED_PERMANENTLY
            }
            To::Https(_) => StatusCode::PERMANENT_REDIRECT,
            _ => self.status,
        };
        let mut response = Response::new(status, Body::Empty);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let none = "value should match only one schema, but matches none";
        for (json, expected) in [
            (json!({}), none),
            (json!({"ret_code": 301}), none),
            (
                json!({"uri": "/a", "http_to_https": true}),
                "value should match only one schema, but matches both schemas 1 and 3",
            ),
            (
                json!({"uri": "/"}),
                "uri: string too short, expected at least 2, got 1",
            ),
            (
                json!({"uri": "/".repeat(MAX_LOCATION + 1)}),
                "uri: expected at most 16384 bytes",
            ),
            (
                json!({"uri": "/a", "ret_code": 199}),
                "ret_code: expected 199 to be at least 200",
            ),
            (
                json!({"uri": "/a", "ret_code": 600}),
                "ret_code: expected 600 to be at most 599",
            ),
            (
                json!({"regex_uri": ["a"]}),
                "regex_uri: expect array to have at least 2 items",
            ),
            (
                json!({"regex_uri": ["a", "b", "c"]}),
                "regex_uri: expect array to have at most 2 items",
            ),
            (
                json!({"regex_uri": ["(", "b"]}),
                "regex_uri[0]: not a regular expression that is supported: unclosed group",
            ),
            (
                json!({"regex_uri": ["a", "$x"]}),
                &format!("regex_uri[1]: {BAD_REPLACEMENT}"),
            ),
            (
                json!({"http_to_https": 1}),
                "http_to_https: wrong type: expected boolean, got number",
            ),
            (
                json!({"http_to_https": true, "append_query_string": true}),
                "only one of `http_to_https` and `append_query_string` can be configured.",
            ),
        ] {
            let read = conf::read(&SCHEMAS.requests, &json)
                .and_then(|conf| Redirect::new(conf, &Attributes::default()));
            assert_eq!(read.unwrap_err().to_string(), expected, "{json}");
        }
    }
}
