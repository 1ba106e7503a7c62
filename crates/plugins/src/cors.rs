//! `cors`: what browsers may do with answers to other origins' requests
//! (Fetch Standard, "CORS protocol"), with APISIX's configuration.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use outrigger_engine::body::Body;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture, Told};
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::schemas::Schemas;
use outrigger_model::{Fault, PropertyPath};
use regex::bytes::Regex;
use serde::Deserialize;

use crate::conf;
use crate::pattern::compile;

const NAME: &str = "cors";

const ALL_METHODS: HeaderValue =
    HeaderValue::from_static("GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE");
const ANY: HeaderValue = HeaderValue::from_static("*");
const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../schemas/cors.json")));

/// Makes `cors` plugins.
pub(crate) struct CorsFactory;

impl Factory for CorsFactory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        4000
    }

    fn schemas(&self) -> &Schemas {
        &SCHEMAS
    }

    fn metadata(&self, json: &serde_json::Value) -> Result<Told, Fault> {
        let schema = SCHEMAS.metadata.as_ref();
        let written: WrittenMetadata = conf::read(schema.expect("there is one"), json)?;
        let read = |(name, text): (String, String)| {
            let origins = Origins::read("allow_origins", &text)?;
            Ok((name, origins))
        };
        let read = written.allow_origins.into_iter().map(read);
        Ok(Arc::new(Metadata(read.collect::<Result<_, _>>()?)))
    }

    fn build(&self, json: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let conf = conf::read(&SCHEMAS.requests, json)?;
        Ok(Arc::new(Cors::new(conf)?))
    }
}

/// One configuration.
#[derive(Debug)]
struct Cors {
    origins: Origins,
    by_regex: Vec<Regex>,
    /// Names of origins in the metadata, for those that are not among the others.
    by_metadata: Vec<String>,
    timing_origins: Option<Origins>,
    timing_by_regex: Vec<Regex>,
    methods: Listed,
    headers: Listed,
    exposed: Option<Listed>,
    max_age: HeaderValue,
    credentials: bool,
}

#[derive(Deserialize)]
struct Conf {
    allow_origins: String,
    #[serde(default)]
    allow_origins_by_regex: Vec<String>,
    #[serde(default)]
    allow_origins_by_metadata: Vec<String>,
    timing_allow_origins: Option<String>,
    #[serde(default)]
    timing_allow_origins_by_regex: Vec<String>,
    allow_methods: String,
    allow_headers: String,
    expose_headers: Option<String>,
    max_age: i64,
    allow_credential: bool,
}

/// Origins by the names that configurations call them.
#[derive(Debug)]
struct Metadata(HashMap<String, Origins>);

#[derive(Deserialize)]
struct WrittenMetadata {
    #[serde(default)]
    allow_origins: HashMap<String, String>,
}

#[derive(Debug)]
enum Origins {
    /// `*`, or none said besides regular expressions.
    Any,
    /// `**`: the request's own.
    Own,
    These(Vec<HeaderValue>),
}

/// What stands in `allow_methods`, `allow_headers` and `expose_headers`.
#[derive(Debug)]
enum Listed {
    /// `**`
    All,
    AsWritten(HeaderValue),
}

impl Cors {
    fn new(conf: Conf) -> Result<Self, Fault> {
        let expose = conf.expose_headers.as_deref();
        let others = [
            &conf.allow_origins,
            &conf.allow_methods,
            &conf.allow_headers,
        ];
        let has_asterisk = others.iter().any(|it| *it == "*") || expose == Some("*");
        if conf.allow_credential && has_asterisk {
            return Err(conf::wrong(
                "you can not set '*' for other option when 'allow_credential' is true",
            ));
        }
        let timing_origins = conf.timing_allow_origins.as_deref();
        let timing_origins = timing_origins.map(|it| Origins::read("timing_allow_origins", it));
        Ok(Self {
            origins: Origins::read("allow_origins", &conf.allow_origins)?,
            by_regex: read_patterns("allow_origins_by_regex", &conf.allow_origins_by_regex)?,
            by_metadata: conf.allow_origins_by_metadata,
            timing_origins: timing_origins.transpose()?,
            timing_by_regex: read_patterns(
                "timing_allow_origins_by_regex",
                &conf.timing_allow_origins_by_regex,
            )?,
            methods: Listed::read("allow_methods", &conf.allow_methods)?,
            headers: Listed::read("allow_headers", &conf.allow_headers)?,
            exposed: expose
                .map(|it| Listed::read("expose_headers", it))
                .transpose()?,
            max_age: HeaderValue::from(conf.max_age),
            credentials: conf.allow_credential,
        })
    }

    fn tell(&self, exchange: &Exchange, response: &mut Response) {
        let origin = exchange.headers.get(header::ORIGIN);
        // An answer that depends on the origin says so, also where it says nothing else.
        if !matches!(self.origins, Origins::Any) || !self.by_regex.is_empty() {
            add_vary(&mut response.headers);
        }
        let allowed_here = allowed(&self.origins, &self.by_regex, origin);
        if let Some(allowed) = allowed_here.or_else(|| self.allowed_by_metadata(exchange)) {
            self.allow(allowed, exchange, &mut response.headers);
        }
        if let Some(origins) = &self.timing_origins
            && let Some(allowed) = allowed(origins, &self.timing_by_regex, origin)
        {
            response.headers.insert(TIMING_ALLOW_ORIGIN, allowed);
        }
    }

    /// The origin, if the metadata allows it under one of the names.
    fn allowed_by_metadata(&self, exchange: &Exchange) -> Option<HeaderValue> {
        let origin = exchange.headers.get(header::ORIGIN)?;
        let metadata: &Metadata = exchange.snapshot.as_ref()?.told(NAME)?;
        let named = self.by_metadata.iter();
        let mut named = named.filter_map(|name| metadata.0.get(name));
        named
            .any(|origins| allowed(origins, &[], Some(origin)).is_some())
            .then(|| origin.clone())
    }

    fn allow(&self, origin: HeaderValue, exchange: &Exchange, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let methods = match &self.methods {
            Listed::All => ALL_METHODS,
            Listed::AsWritten(methods) => methods.clone(),
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        let asked = exchange.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let allowed = match &self.headers {
            Listed::All => asked.cloned(),
            Listed::AsWritten(listed) => Some(listed.clone()),
        };
        if let Some(allowed) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        if let Some(Listed::AsWritten(exposed)) = &self.exposed {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }
}

fn allowed(
    origins: &Origins,
    by_regex: &[Regex],
    origin: Option<&HeaderValue>,
) -> Option<HeaderValue> {
    let named = |origins: &[HeaderValue]| origin.filter(|origin| origins.contains(origin));
    let matched = || {
        let origin = origin?;
        let matches = |regex: &Regex| regex.is_match(origin.as_bytes());
        by_regex.iter().any(matches).then(|| origin.clone())
    };
    match origins {
        // Expressions replace the list (APISIX: only they are looked at).
        _ if !by_regex.is_empty() => matched(),
        Origins::Any => Some(ANY),
        Origins::Own => Some(origin.cloned().unwrap_or(ANY)),
        Origins::These(origins) => named(origins).cloned(),
    }
}

fn add_vary(headers: &mut HeaderMap) {
    let has = headers.get_all(header::VARY).iter().any(|value| {
        let names = value.as_bytes().split(|byte| *byte == b',');
        names
            .map(<[u8]>::trim_ascii)
            .any(|name| name.eq_ignore_ascii_case(b"origin") || name == b"*")
    });
    if !has {
        headers.append(header::VARY, ORIGIN);
    }
}

impl Origins {
    fn read(key: &str, text: &str) -> Result<Self, Fault> {
        match text {
            "*" => return Ok(Self::Any),
            "**" => return Ok(Self::Own),
            _ => {}
        }
        let origins = text.split(',').map(|origin| header_value(key, origin));
        origins.collect::<Result<_, _>>().map(Self::These)
    }
}

impl Listed {
    fn read(key: &str, text: &str) -> Result<Self, Fault> {
        match text {
            "**" => Ok(Self::All),
            text => header_value(key, text).map(Self::AsWritten),
        }
    }
}

fn header_value(key: &str, text: &str) -> Result<HeaderValue, Fault> {
    let value = HeaderValue::from_str(text);
    value.map_err(|error| conf::wrong_at(key, error.to_string()))
}

fn read_patterns(key: &str, patterns: &[String]) -> Result<Vec<Regex>, Fault> {
    let read = |(place, pattern): (usize, &String)| {
        let path = || PropertyPath::root().key(key).index(place);
        compile(pattern).map_err(|why| conf::fault(path(), why))
    };
    patterns.iter().enumerate().map(read).collect()
}

impl Plugin for Cors {
    fn phases(&self) -> Phases {
        Phases {
            response: true,
            ..Phases::REWRITE
        }
    }

    /// Every OPTIONS request is answered here, as in APISIX.
    fn rewrite<'a>(
        &'a self,
        exchange: &'a mut Exchange,
    ) -> PluginFuture<'a, Result<Flow, Refusal>> {
        let flow = if exchange.method == Method::OPTIONS {
            Flow::Respond(Response::new(StatusCode::OK, Body::Empty))
        } else {
            Flow::Continue
        };
        Box::pin(ready(Ok(flow)))
    }

    fn response<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> PluginFuture<'a, Result<(), Refusal>> {
        self.tell(exchange, response);
        Box::pin(ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let origins = r"^(\\*|\\*\\*|null|\\w+://[^,]+(,\\w+://[^,]+)*)$";
        let asterisk = "you can not set '*' for other option when 'allow_credential' is true";
        for (json, expected) in [
            (
                json!({"allow_origins": "a.com"}),
                &*format!("allow_origins: failed to match pattern \"{origins}\" with \"a.com\""),
            ),
            (
                json!({"allow_origins": "http://a.com,"}),
                &format!(
                    "allow_origins: failed to match pattern \"{origins}\" with \"http://a.com,\""
                ),
            ),
            (
                json!({"max_age": 1.5}),
                "max_age: wrong type: expected integer, got number",
            ),
            (
                json!({"allow_origins_by_regex": []}),
                "allow_origins_by_regex: expect array to have at least 1 items",
            ),
            (
                json!({"allow_origins_by_regex": ["a", "a"]}),
                "allow_origins_by_regex: expected unique items but items 1 and 2 are equal",
            ),
            (
                json!({"allow_origins_by_regex": [""]}),
                "allow_origins_by_regex[0]: string too short, expected at least 1, got 0",
            ),
            (
                json!({"allow_origins_by_regex": ["a", "("]}),
                "allow_origins_by_regex[1]: not a regular expression that is supported: \
                 unclosed group",
            ),
            (json!({"allow_credential": true}), asterisk),
            (
                json!({
                    "allow_credential": true, "allow_origins": "http://a.com",
                    "allow_methods": "GET", "allow_headers": "X-A", "expose_headers": "*",
                }),
                asterisk,
            ),
            (
                json!({"allow_methods": "GET\n"}),
                "allow_methods: failed to parse header value",
            ),
        ] {
            let read = conf::read(&SCHEMAS.requests, &json).and_then(Cors::new);
            assert_eq!(read.unwrap_err().to_string(), expected, "{json}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_metadata_is_named() {
        let said = |json: Value| {
            let read = CorsFactory.metadata(&json);
            read.err().map(|fault| fault.in_words()).unwrap_or_default()
        };
        assert_eq!(said(json!({"allow_origins": {"A": "http://a.com"}})), "");
        let wrong = said(json!({"allow_origins": {"A": "a.com"}}));
        assert!(
            wrong.starts_with(
                "property \"allow_origins\" validation failed: \
                 failed to validate additional property A: failed to match pattern"
            ),
            "{wrong}"
        );
    }
}
