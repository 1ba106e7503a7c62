//! Variables about the request itself.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, Version, header};

use super::{Scope, Value, bytes, seconds, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Var {
    Uri,
    RequestUri,
    Args,
    IsArgs,
    Line,
    Method,
    Protocol,
    Host,
    ContentType,
    ContentLength,
    RemoteUser,
    Id,
    Length,
    Time,
    Body,
}

impl Var {
    pub(super) fn read(name: &str) -> Option<Self> {
        Some(match name {
            "uri" | "document_uri" => Var::Uri,
            "request_uri" => Var::RequestUri,
            "args" | "query_string" => Var::Args,
            "is_args" => Var::IsArgs,
            "request" => Var::Line,
            "request_method" => Var::Method,
            "server_protocol" => Var::Protocol,
            "host" => Var::Host,
            "content_type" => Var::ContentType,
            "content_length" => Var::ContentLength,
            "remote_user" => Var::RemoteUser,
            "request_id" => Var::Id,
            "request_length" => Var::Length,
            "request_time" => Var::Time,
            "request_body" => Var::Body,
            _ => return None,
        })
    }

    pub(super) fn value(self, scope: Scope<'_>) -> Option<Value<'_>> {
        let field = |name| bytes(scope.headers()?.get(name)?.as_bytes());
        match self {
            Var::Uri => bytes(match scope.exchange() {
                Some(exchange) => exchange.target.path(),
                None => scope.target()?.split('?').next()?.as_bytes(),
            }),
            Var::RequestUri => bytes(scope.target()?.as_bytes()),
            Var::Args => bytes(args(scope)?),
            Var::IsArgs => bytes(if args(scope).is_some() { b"?" } else { b"" }),
            Var::Line => line(scope),
            Var::Method => match scope.exchange() {
                Some(exchange) => bytes(exchange.method.as_str().as_bytes()),
                None => bytes(scope.sent_method()?.as_str().as_bytes()),
            },
            Var::Protocol => bytes(protocol(scope.version()?)),
            Var::Host => host(scope),
            Var::ContentType => field(header::CONTENT_TYPE),
            Var::ContentLength => field(header::CONTENT_LENGTH),
            Var::RemoteUser => user(scope.headers()?).map(Cow::Owned),
            Var::Id => bytes(scope.request_id().as_bytes()),
            Var::Length => text(scope.length()),
            Var::Time => seconds(scope.age()),
            Var::Body => scope.body(),
        }
    }
}

/// The query, unless it is empty, as a plugin may have changed it.
fn args(scope: Scope<'_>) -> Option<&[u8]> {
    let query = match scope.exchange() {
        Some(exchange) => exchange.target.query(),
        None => scope.target()?.split_once('?').map(|(_, it)| it.as_bytes()),
    };
    query.filter(|query| !query.is_empty())
}

fn line(scope: Scope<'_>) -> Option<Value<'_>> {
    let mut line = scope.sent_method()?.as_str().as_bytes().to_vec();
    for part in [scope.target()?.as_bytes(), protocol(scope.version()?)] {
        line.push(b' ');
        line.extend_from_slice(part);
    }
    Some(Cow::Owned(line))
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        _ => b"HTTP/1.1",
    }
}

/// Without a host, the server's name, as in nginx: `_` in APISIX.
fn host(scope: Scope<'_>) -> Option<Value<'_>> {
    let exchange = scope.exchange()?;
    let named = exchange.headers.contains_key(header::HOST);
    match exchange.host.as_str() {
        "-" if !named => bytes(b"_"),
        host => bytes(host.as_bytes()),
    }
}

/// The user of the field `Authorization`, where it is of the scheme Basic. Whether
/// the password is right is for others to say.
fn user(headers: &HeaderMap) -> Option<Vec<u8>> {
    let field = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = field.split_at_checked(BASIC.len())?;
    if !scheme.eq_ignore_ascii_case(BASIC) {
        return None;
    }
    let mut pair = BASE64_STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.truncate(colon);
    (!pair.is_empty()).then_some(pair)
}

const BASIC: &[u8] = b"Basic ";
