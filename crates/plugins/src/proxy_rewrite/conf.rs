//! The plugin's configuration, with the rules of APISIX's schema.

use http::{HeaderValue, Method};
use outrigger_model::{Fault, PropertyPath};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::headers::HeaderChanges;
use super::limits::URI_CHARS;
use super::regex_uri::RegexUri;
use super::uri::TargetRule;
use super::{NAME, Rewrite};
use crate::conf;

/// The methods that a request can get. APISIX has TRACE too; this gateway
/// refuses such requests of clients and sends none itself.
const METHODS: [&str; 13] = [
    "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND", "LOCK",
    "UNLOCK", "PATCH",
];

const PROPERTIES: [&str; 6] = [
    "uri",
    "regex_uri",
    "host",
    "method",
    "headers",
    "use_real_request_uri_unsafe",
];

#[derive(Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "given")]
    uri: Option<String>,
    #[serde(default, deserialize_with = "given")]
    regex_uri: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    host: Option<String>,
    #[serde(default, deserialize_with = "given")]
    method: Option<String>,
    #[serde(default, deserialize_with = "given")]
    headers: Option<Value>,
    #[serde(default)]
    use_real_request_uri_unsafe: bool,
}

/// A property that is there has a value; `null` is none.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Reads and compiles a configuration.
pub(super) fn read(json: &Value) -> Result<Rewrite, Fault> {
    let root = PropertyPath::root;
    if json.as_object().is_none_or(serde_json::Map::is_empty) {
        let message = format!(
            "expected an object with at least one of {}",
            PROPERTIES.join(", ")
        );
        return Err(conf::fault(root(), message));
    }
    let raw: Raw = conf::read(json)?;
    if let Some(uri) = &raw.uri {
        check_uri(uri)?;
    }
    let regex_uri = raw
        .regex_uri
        .map(|pairs| RegexUri::read(&pairs))
        .transpose()?;
    let headers = raw
        .headers
        .map(|headers| HeaderChanges::read(&headers))
        .transpose()?;
    Ok(Rewrite {
        target: TargetRule::new(
            raw.uri.as_deref(),
            regex_uri,
            raw.use_real_request_uri_unsafe,
        )?,
        headers: headers.unwrap_or_default(),
        host: raw.host.as_deref().map(read_host).transpose()?,
        method: raw.method.as_deref().map(read_method).transpose()?,
    })
}

/// The properties that mean nothing to this plugin. They are accepted, as in APISIX.
pub(super) fn unknown(json: &Value) -> Vec<&str> {
    let names = json
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str());
    names.filter(|name| !PROPERTIES.contains(name)).collect()
}

fn check_uri(uri: &str) -> Result<(), Fault> {
    if uri.starts_with('/') && uri.chars().count() <= URI_CHARS {
        return Ok(());
    }
    let message = format!(
        "expected a path: a slash, then at most {} characters",
        URI_CHARS - 1
    );
    Err(conf::fault(PropertyPath::root().key("uri"), message))
}

fn read_host(text: &str) -> Result<HeaderValue, Fault> {
    let (name, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    // A number's own parser would take a sign.
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let value = HeaderValue::from_str(text).ok();
    let value = value.filter(|_| is_port && !name.is_empty() && name.bytes().all(is_host));
    value.ok_or_else(|| {
        let message = "expected a host name of letters, digits, - and ., and perhaps a port";
        conf::fault(PropertyPath::root().key("host"), message)
    })
}

fn read_method(name: &str) -> Result<Method, Fault> {
    let method = Method::from_bytes(name.as_bytes()).ok();
    let method = method.filter(|_| METHODS.contains(&name));
    method.ok_or_else(|| {
        let message = format!("{NAME} can make it one of {}", METHODS.join(", "));
        conf::fault(PropertyPath::root().key("method"), message)
    })
}
