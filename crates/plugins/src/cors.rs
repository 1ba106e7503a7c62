//! `cors`: what browsers may do with answers to other origins' requests
//! (Fetch Standard, "CORS protocol"), with APISIX's configuration.

use std::future::ready;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use outrigger_engine::body::Body;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_model::Fault;
use outrigger_model::read::{At, Object};
use regex::bytes::Regex;

use crate::conf;
use crate::pattern::compile;

const ALL_METHODS: HeaderValue =
    HeaderValue::from_static("GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE");
const ANY: HeaderValue = HeaderValue::from_static("*");
const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

/// Makes `cors` plugins.
pub(crate) struct CorsFactory;

impl Factory for CorsFactory {
    fn name(&self) -> &'static str {
        "cors"
    }

    fn priority(&self) -> i32 {
        4000
    }

    fn build(&self, json: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        Ok(Arc::new(conf::read_with(json, Cors::read)?))
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
    fn read(object: &Object<'_>) -> Option<Self> {
        let origins = object.read("allow_origins", read_origins);
        let by_regex = object.read("allow_origins_by_regex", read_patterns);
        let timing_origins = object.read("timing_allow_origins", read_origins);
        let timing_by_regex = object.read("timing_allow_origins_by_regex", read_patterns);
        let methods = object.read("allow_methods", read_listed);
        let headers = object.read("allow_headers", read_listed);
        let exposed = object.read("expose_headers", read_listed);
        let max_age = object.read("max_age", |at| at.integer(i64::MIN..=i64::MAX));
        let credentials = object.read("allow_credential", At::boolean);
        if let Some(at) = object.get("allow_origins_by_metadata") {
            at.fault("is not supported: write the origins into allow_origins");
        }
        let cors = Self {
            origins: origins.unwrap_or(Origins::Any),
            by_regex: by_regex.unwrap_or_default(),
            timing_origins,
            timing_by_regex: timing_by_regex.unwrap_or_default(),
            methods: methods.unwrap_or(Listed::AsWritten(ANY)),
            headers: headers.unwrap_or(Listed::AsWritten(ANY)),
            exposed,
            max_age: HeaderValue::from(max_age.unwrap_or(5)),
            credentials: credentials.unwrap_or(false),
        };
        if cors.credentials && cors.has_asterisk() {
            object
                .at()
                .fault("you can not set '*' for other option when 'allow_credential' is true");
        }
        Some(cors)
    }

    fn has_asterisk(&self) -> bool {
        let any = |listed: &Listed| matches!(listed, Listed::AsWritten(value) if *value == ANY);
        (matches!(self.origins, Origins::Any) && self.by_regex.is_empty())
            || any(&self.methods)
            || any(&self.headers)
            || self.exposed.as_ref().is_some_and(any)
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

fn read_origins(at: &At<'_>) -> Option<Origins> {
    let text = at.string()?;
    match text {
        "*" => return Some(Origins::Any),
        "**" => return Some(Origins::Own),
        "null" => return Some(Origins::These(vec![HeaderValue::from_static("null")])),
        _ => {}
    }
    let origins = text.split(',').map(|origin| {
        let well_formed = origin.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty() && !host.is_empty() && !host.contains('/')
        });
        match HeaderValue::from_str(origin) {
            Ok(origin) if well_formed => Some(origin),
            _ => {
                at.fault(
                    "expected \"*\", \"**\", or origins as in http://a.test,https://b.test:8080",
                );
                None
            }
        }
    });
    origins.collect::<Option<_>>().map(Origins::These)
}

fn read_listed(at: &At<'_>) -> Option<Listed> {
    match at.string()? {
        "**" => Some(Listed::All),
        text => at
            .accept(HeaderValue::from_str(text))
            .map(Listed::AsWritten),
    }
}

fn read_patterns(at: &At<'_>) -> Option<Vec<Regex>> {
    let patterns = at
        .unique_items_at_least_one()?
        .map(|item| item.accept(compile(item.text(1..=4096)?)));
    patterns.collect()
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
