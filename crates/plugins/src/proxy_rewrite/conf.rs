//! The plugin's configuration.

use std::sync::LazyLock;

use http::{HeaderValue, Method};
use outrigger_engine::schemas::Schemas;
use outrigger_model::Fault;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Rewrite;
use super::headers::HeaderChanges;
use super::regex_uri::RegexUri;
use super::uri::TargetRule;
use crate::conf;

pub(super) static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../../schemas/proxy-rewrite.json")));

#[derive(Deserialize)]
struct Conf {
    uri: Option<String>,
    regex_uri: Option<Vec<String>>,
    host: Option<String>,
    method: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    use_real_request_uri_unsafe: bool,
}

/// Reads and compiles a configuration.
pub(super) fn read(json: &Value) -> Result<Rewrite, Fault> {
    let conf: Conf = conf::read(&SCHEMAS.requests, json)?;
    let regex_uri = conf.regex_uri.as_deref().map(RegexUri::read).transpose()?;
    let real = conf.use_real_request_uri_unsafe;
    let method = conf.method.map(|name| Method::from_bytes(name.as_bytes()));
    let method = method.transpose();
    Ok(Rewrite {
        target: TargetRule::new(conf.uri.as_deref(), regex_uri, real)?,
        headers: HeaderChanges::read(&conf.headers)?,
        host: conf.host.as_deref().map(read_host).transpose()?,
        method: method.map_err(|error| conf::wrong_at("method", error.to_string()))?,
    })
}

/// The properties that mean nothing to this plugin. They are accepted, as in APISIX.
pub(super) fn unknown(json: &Value) -> Vec<&str> {
    let known = &SCHEMAS.requests.json()["properties"];
    let names = json.as_object().into_iter().flatten();
    let names = names.map(|(name, _)| name.as_str());
    names.filter(|name| known.get(name).is_none()).collect()
}

/// A schema cannot tell how large a port is.
fn read_host(text: &str) -> Result<HeaderValue, Fault> {
    let (_, port) = text.split_once(':').unwrap_or((text, "0"));
    let value = HeaderValue::from_str(text).ok();
    value
        .filter(|_| port.parse::<u16>().is_ok())
        .ok_or_else(|| conf::wrong_at("host", "expected a port of at most 65535"))
}
