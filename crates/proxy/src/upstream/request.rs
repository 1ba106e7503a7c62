//! A request's head as a node gets it.

use http::{HeaderName, HeaderValue, Method, header};
use http_body::Body as _;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::upstream::{Node, PassHost};

use super::http1::{self, RequestFraming};

/// The `Host` field that `node` is sent.
pub(crate) fn host<'a>(
    exchange: &'a Exchange,
    pass_host: &'a PassHost,
    node: &'a Node,
) -> &'a HeaderValue {
    match pass_host {
        // An HTTP/1.0 client may have sent none.
        PassHost::Pass => exchange.headers.get(header::HOST),
        PassHost::Node => None,
        PassHost::Rewrite(host) => Some(host),
    }
    .unwrap_or(&node.host_field)
}

/// Writes the head to `out`, with the protocol to leave HTTP for where the node is
/// to be asked for that, and returns how it frames the body of `exchange`.
///
/// # Errors
/// The target that plugins made is none.
pub(crate) fn write_head(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    host: &HeaderValue,
    upgrade: Option<&HeaderValue>,
) -> Result<RequestFraming, http::uri::InvalidUri> {
    let target = exchange.target.for_upstream()?;
    http1::begin(out, &exchange.method, target.as_str());
    http1::field(out, &header::HOST, host.as_bytes());
    let mut announced = false;
    exchange.each_field_for_upstream(|name: &HeaderName, value: &HeaderValue| {
        // Written anew: a plugin may have put another body in its place.
        if *name == header::CONTENT_LENGTH {
            announced = true;
        } else {
            http1::field(out, name, value.as_bytes());
        }
    });
    if let Some(protocol) = upgrade {
        http1::field(out, &header::CONNECTION, b"upgrade");
        http1::field(out, &header::UPGRADE, protocol.as_bytes());
    }
    let framing = framing(exchange, announced);
    http1::end_head(out, framing);
    Ok(framing)
}

fn framing(exchange: &Exchange, announced: bool) -> RequestFraming {
    if exchange.body.is_empty() {
        return if announced || needs_length(&exchange.method) {
            RequestFraming::Length(0)
        } else {
            RequestFraming::None
        };
    }
    match exchange.body.size_hint().exact() {
        Some(length) => RequestFraming::Length(length),
        None => RequestFraming::Chunked,
    }
}

/// Methods that are expected to have a body, so its absence is said (RFC 9110,
/// section 8.6).
fn needs_length(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
