//! `cors`: what browsers may do with answers to other origins' requests
//! (Fetch Standard, "CORS protocol"), with APISIX's configuration.

use std::future::ready;
use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use outrigger_engine::body::Body;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::schemas::Schemas;
use outrigger_model::{Fault, PropertyPath};
use regex::bytes::Regex;
use serde::Deserialize;

use crate::conf;
use crate::pattern::compile;

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
        "cors"
    }

    fn priority(&self) -> i32 {
        4000
    }

    fn schemas(&self) -> &Schemas {
        &SCHEMAS
    }

    fn build(&self, json: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let conf = conf::read(&SCHEMAS.requests, json)?;
        Ok(Arc::new(Cors::new(&conf)?))
    }
}

/// One configuration.
#[derive(Debug)]
struct Cors {
    origins: Origins,
    by_regex: Vec<Regex>,
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
    allow_origins_by_metadata: Option<Vec<String>>,
    timing_allow_origins: Option<String>,
    #[serde(default)]
    timing_allow_origins_by_regex: Vec<String>,
    allow_methods: String,
    allow_headers: String,
    expose_headers: Option<String>,
    max_age: i64,
    allow_credential: bool,
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
    fn new(conf: &Conf) -> Result<Self, Fault> {
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
        if conf.allow_origins_by_metadata.is_some() {
            let message = "is not supported: write the origins into allow_origins";
            return Err(conf::wrong_at("allow_origins_by_metadata", message));
        }
        let timing_origins = conf.timing_allow_origins.as_deref();
        let timing_origins = timing_origins.map(|it| Origins::read("timing_allow_origins", it));
        Ok(Self {
            origins: Origins::read("allow_origins", &conf.allow_origins)?,
            by_regex: read_patterns("allow_origins_by_regex", &conf.allow_origins_by_regex)?,
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
        if let Some(allowed) = allowed(&self.origins, &self.by_regex, origin) {
            self.allow(allowed, exchange, &mut response.headers);
        }
        if let Some(origins) = &self.timing_origins
            && let Some(allowed) = allowed(origins, &self.timing_by_regex, origin)
        {
            response.headers.insert(TIMING_ALLOW_ORIGIN, allowed);
        }
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
