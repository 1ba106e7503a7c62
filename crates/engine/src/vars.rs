//! Variables by name, with nginx's meaning: what runners ask for by extra
//! info and what templates such as `$remote_addr` stand for.
//!
//! Some of them have a value only once there is a response.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, StatusCode, Version, header};

use crate::args::Args;
use crate::exchange::Exchange;
use crate::finished::Finished;
use crate::upstream::Address;
use crate::upstream_trace::Try;

/// A variable's value; `None` where the name is unknown or has no value, as
/// an absent header or argument.
#[must_use]
pub fn lookup<'a>(exchange: &'a Exchange, name: &str) -> Option<Cow<'a, [u8]>> {
    if let Some(found) = of_request(exchange, name) {
        return found;
    }
    if let Some(found) = of_connection(exchange, name) {
        return found;
    }
    if let Some(found) = of_configuration(exchange, name) {
        return found;
    }
    if let Some(field) = name.strip_prefix("http_") {
        return joined(&exchange.headers, field);
    }
    if let Some(arg) = name.strip_prefix("arg_") {
        let query = exchange.target.query()?;
        return Args::raw(query, arg.as_bytes()).map(Cow::Borrowed);
    }
    if let Some(parameter) = name.strip_prefix("uri_param_") {
        let value = exchange.route.as_ref()?.parameter(parameter)?;
        return Some(Cow::Borrowed(value));
    }
    if let Some(cookie) = name.strip_prefix("cookie_") {
        return cookie_value(&exchange.headers, cookie.as_bytes()).map(Cow::Borrowed);
    }
    if let Some(kept) = name.strip_prefix("ctx_") {
        return exchange.context.get(kept.as_bytes()).map(Cow::Borrowed);
    }
    None
}

/// As [`lookup`], once there is a response: also what nginx knows only then.
#[must_use]
pub fn lookup_with_response<'a>(
    exchange: &'a Exchange,
    status: StatusCode,
    headers: &'a HeaderMap,
    name: &str,
) -> Option<Cow<'a, [u8]>> {
    if name == "status" {
        return text(status.as_u16());
    }
    match name.strip_prefix("sent_http_") {
        Some(field) => joined(headers, field),
        None => lookup(exchange, name),
    }
}

/// As [`lookup`], when the request is over.
#[must_use]
pub fn lookup_finished<'a>(finished: &'a Finished, name: &str) -> Option<Cow<'a, [u8]>> {
    let end = &finished.end;
    match name {
        "bytes_sent" => text(end.bytes_sent),
        "body_bytes_sent" => text(end.body_bytes_sent),
        "request_time" => {
            let time = end.at.saturating_duration_since(finished.exchange.started);
            text(format!("{:.3}", time.as_secs_f64()))
        }
        _ => lookup_with_response(&finished.exchange, end.status, &end.headers, name),
    }
}

/// What is told of each node that was asked, as nginx lists it.
fn list<'a>(
    exchange: &Exchange,
    tell: impl Fn(&Try, &mut Vec<u8>) -> io::Result<()>,
) -> Option<Cow<'a, [u8]>> {
    let mut out = Vec::new();
    for (index, each) in exchange.upstream.tries().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        tell(each, &mut out).ok()?;
    }
    (!out.is_empty()).then_some(Cow::Owned(out))
}

fn time(out: &mut Vec<u8>, time: Option<Duration>) -> io::Result<()> {
    match time {
        Some(time) => write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis()),
        None => write!(out, "-"),
    }
}

/// A variable that is known (outer) and perhaps has a value (inner).
type Found<'a> = Option<Option<Cow<'a, [u8]>>>;

fn text<'a>(text: impl ToString) -> Option<Cow<'a, [u8]>> {
    Some(Cow::Owned(text.to_string().into_bytes()))
}

fn of_request<'a>(exchange: &'a Exchange, name: &str) -> Found<'a> {
    let target = &exchange.target;
    Some(match name {
        "uri" | "document_uri" => Some(Cow::Borrowed(target.path())),
        "request_uri" => Some(Cow::Borrowed(target.original().as_bytes())),
        "args" | "query_string" => target
            .query()
            .filter(|query| !query.is_empty())
            .map(Cow::Borrowed),
        "is_args" => {
            let some = target.query().is_some_and(|query| !query.is_empty());
            Some(Cow::Borrowed(if some { b"?" } else { b"" }))
        }
        "request_method" => Some(Cow::Borrowed(exchange.method.as_str().as_bytes())),
        "request_id" => Some(Cow::Borrowed(exchange.request_id().as_bytes())),
        "request_time" => text(format!("{:.3}", exchange.started.elapsed().as_secs_f64())),
        "msec" => {
            let now = std::time::SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            text(format!("{:.3}", now.as_secs_f64()))
        }
        "server_protocol" => Some(Cow::Borrowed(protocol(exchange.version))),
        "host" => Some(Cow::Borrowed(exchange.host.as_str().as_bytes())),
        "content_type" => field(&exchange.headers, &header::CONTENT_TYPE),
        "content_length" => field(&exchange.headers, &header::CONTENT_LENGTH),
        "upstream_host" => field(&exchange.headers, &header::HOST),
        "upstream_uri" => {
            let uri = exchange.target.for_upstream().ok()?;
            text(uri.as_str())
        }
        "request_body" => match &exchange.body {
            crate::body::Body::Full(bytes) => Some(Cow::Borrowed(bytes)),
            _ => None,
        },
        _ => return None,
    })
}

fn of_connection<'a>(exchange: &'a Exchange, name: &str) -> Found<'a> {
    let client = &exchange.client;
    Some(match name {
        "remote_addr" | "realip_remote_addr" => text(client.peer.ip().to_canonical()),
        "remote_port" | "realip_remote_port" => text(client.peer.port()),
        "binary_remote_addr" => Some(Cow::Owned(match client.peer.ip().to_canonical() {
            std::net::IpAddr::V4(address) => address.octets().to_vec(),
            std::net::IpAddr::V6(address) => address.octets().to_vec(),
        })),
        "server_addr" => text(client.local.ip().to_canonical()),
        "server_port" => text(client.local.port()),
        // nginx's name of the server block: APISIX has one, named "_".
        "server_name" => Some(Cow::Borrowed(b"_")),
        "scheme" => Some(Cow::Borrowed(client.scheme.as_bytes())),
        "https" => Some(Cow::Borrowed(if client.scheme == "https" {
            b"on"
        } else {
            b""
        })),
        "connection" => text(client.connection),
        "connection_requests" => text(client.requests.get()),
        "pid" => text(std::process::id()),
        "hostname" => text(hostname()),
        _ => return None,
    })
}

fn of_configuration<'a>(exchange: &'a Exchange, name: &str) -> Found<'a> {
    let route = exchange.route.as_deref();
    Some(match name {
        "route_id" => Some(Cow::Borrowed(route?.id.as_str().as_bytes())),
        "route_name" => route?
            .name
            .as_deref()
            .map(|name| Cow::Borrowed(name.as_bytes())),
        "service_id" => route?
            .service
            .as_ref()
            .map(|service| Cow::Borrowed(service.id.as_str().as_bytes())),
        "service_name" => {
            let name = route?.service.as_ref()?.name.as_deref()?;
            Some(Cow::Borrowed(name.as_bytes()))
        }
        "matched_uri" => exchange
            .route
            .as_ref()
            .map(|route| Cow::Borrowed(route.uri().as_bytes())),
        "upstream_addr" => list(exchange, |each, out| match &each.node {
            Address::Socket(address) => write!(out, "{address}"),
            Address::Name(name, port) => write!(out, "{name}:{port}"),
        }),
        "upstream_status" => list(exchange, |each, out| match each.status {
            Some(status) => write!(out, "{}", status.as_u16()),
            None => write!(out, "-"),
        }),
        "upstream_connect_time" => list(exchange, |each, out| time(out, each.connect_time)),
        "upstream_header_time" => list(exchange, |each, out| time(out, each.header_time)),
        "upstream_response_time" => list(exchange, |each, out| time(out, each.response_time)),
        "upstream_scheme" => Some(Cow::Borrowed(b"http")),
        _ => return None,
    })
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        _ => b"HTTP/1.1",
    }
}

fn field<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<Cow<'a, [u8]>> {
    headers
        .get(name)
        .map(|value| Cow::Borrowed(value.as_bytes()))
}

/// `http_NAME`: dashes of the field's name are underscores in the variable's,
/// and several values are joined with `, ` (`; ` for cookies), as nginx does.
fn joined<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, [u8]>> {
    let dashed = name.replace('_', "-");
    let mut values = headers.get_all(&dashed).iter().peekable();
    if values.peek().is_none() {
        values = headers.get_all(name).iter().peekable();
    }
    let first = values.next()?;
    if values.peek().is_none() {
        return Some(Cow::Borrowed(first.as_bytes()));
    }
    let separator: &[u8] = if dashed.eq_ignore_ascii_case("cookie") {
        b"; "
    } else {
        b", "
    };
    let mut all = first.as_bytes().to_vec();
    for value in values {
        all.extend_from_slice(separator);
        all.extend_from_slice(value.as_bytes());
    }
    Some(Cow::Owned(all))
}

fn cookie_value<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let fields = headers.get_all(header::COOKIE).iter();
    fields
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .find_map(|pair| {
            let pair = pair.trim_ascii_start();
            let at = memchr::memchr(b'=', pair)?;
            pair[..at]
                .trim_ascii_end()
                .eq_ignore_ascii_case(name)
                .then(|| pair[at + 1..].trim_ascii_end())
        })
}

fn hostname() -> String {
    // The kernel's name of this host, without a system call wrapper of our own.
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim_end().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
