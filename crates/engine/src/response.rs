//! Responses that the gateway makes itself, and the one place where what went
//! wrong becomes a status code.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::body::{Body, BodyError};

/// A response on its way to the client.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: StatusCode,
    /// What the upstream calls this status, where it has words of its own for it. Whoever
    /// changes the status takes them away.
    pub reason: Option<Bytes>,
    /// Header fields, without hop-by-hop fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
}

impl Response {
    /// A response without header fields.
    #[must_use]
    pub fn new(status: StatusCode, body: impl Into<Body>) -> Self {
        Response {
            status,
            reason: None,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    /// Puts another body in the place of the upstream's, and takes away what was
    /// said of that one.
    pub fn replace_body(&mut self, body: Bytes) {
        for name in DESCRIBE_THE_BODY {
            self.headers.remove(name);
        }
        let length = HeaderValue::from(body.len());
        self.headers.insert(header::CONTENT_LENGTH, length);
        self.body = body.into();
    }

    /// Gives the response another status.
    pub fn set_status(&mut self, status: StatusCode) {
        if self.status == StatusCode::NOT_MODIFIED && status != self.status && self.body.is_empty()
        {
            // The length was that of a body which a 304 does not bring.
            self.headers.remove(header::CONTENT_LENGTH);
        }
        self.status = status;
        // The upstream's own words belong to its own status.
        self.reason = None;
    }

    /// Takes away the body where the status allows none (RFC 9110, sections
    /// 15.3.5 and 15.4.5). To be called after changes of both.
    pub fn fit_body_to_status(&mut self) {
        if matches!(
            self.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            self.body = Body::Empty;
        }
        if self.status == StatusCode::NO_CONTENT {
            self.headers.remove(header::CONTENT_LENGTH);
        }
    }
}

/// What is said of a body and is wrong of another: its coding, validator,
/// digests and trailers (RFC 9110, sections 8.4, 8.8.3 and 6.6.2; RFC 9530; RFC
/// 3230; RFC 1864).
const DESCRIBE_THE_BODY: [HeaderName; 7] = [
    header::CONTENT_ENCODING,
    header::TRAILER,
    header::ETAG,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Why the gateway answers a request itself instead of the upstream.
/// Each variant names the culprit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The client's request has no route.
    #[error("404 Route Not Found")]
    NoRoute,
    /// The client's request is malformed; says in what.
    #[error("400 Bad Request: {0}")]
    BadRequest(String),
    /// The client's method is one that a gateway does not serve.
    #[error("405 Method Not Allowed")]
    MethodNotAllowed,
    /// The client's request target is too long.
    #[error("414 URI Too Long: the request line is longer than {limit} bytes")]
    TargetTooLong {
        /// The longest line, in bytes.
        limit: usize,
    },
    /// A header field of the client's is too long.
    #[error("431 Request Header Fields Too Large: a line is longer than {limit} bytes")]
    FieldTooLong {
        /// The longest line, in bytes.
        limit: usize,
    },
    /// The client's body is too long.
    #[error("413 Request Entity Too Large: {0}")]
    BodyTooLarge(String),
    /// The client took too long.
    #[error("408 Request Timeout: {0}")]
    ClientTimeout(String),
    /// A transfer coding that is not understood.
    #[error("501 Not Implemented: {0}")]
    UnknownCoding(String),
    /// An external plugin's call failed and its policy is to fail closed.
    #[error("503 Service Unavailable: {plugin}: {kind}")]
    PluginCall {
        /// The plugin's name, which says the phase: `ext-plugin-pre-req`.
        plugin: &'static str,
        /// What kind of failure, without internals.
        kind: &'static str,
    },
    /// Bodies take as much of the gateway's memory as they may.
    #[error("503 Service Unavailable: too many bodies are in memory")]
    NoMemory,
    /// The route has no upstream, or the upstream no node to ask.
    #[error("503 Service Unavailable: no upstream node to ask")]
    NoUpstream,
    /// No node of the upstream could be reached.
    #[error("502 Bad Gateway: the upstream cannot be reached")]
    UpstreamUnreachable,
    /// The upstream closed the connection or broke the protocol.
    #[error("502 Bad Gateway: the upstream did not answer properly")]
    UpstreamBroken,
    /// The upstream took too long.
    #[error("504 Gateway Timeout: the upstream did not answer in time")]
    UpstreamTimeout,
    /// A defect of the gateway; the log says more.
    #[error("500 Internal Server Error")]
    Internal,
}

impl Refusal {
    /// The status that the client gets.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::NoRoute => StatusCode::NOT_FOUND,
            Refusal::BadRequest(_) => StatusCode::BAD_REQUEST,
            Refusal::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Refusal::FieldTooLong { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::ClientTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Refusal::UnknownCoding(_) => StatusCode::NOT_IMPLEMENTED,
            Refusal::PluginCall { .. } | Refusal::NoMemory | Refusal::NoUpstream => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Refusal::UpstreamUnreachable | Refusal::UpstreamBroken => StatusCode::BAD_GATEWAY,
            Refusal::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The client's request body could not be read.
    #[must_use]
    pub fn from_request_body(error: &BodyError) -> Self {
        match error {
            BodyError::TooLarge { .. } => Refusal::BodyTooLarge(error.to_string()),
            BodyError::NoMemory { .. } => Refusal::NoMemory,
            BodyError::Timeout => Refusal::ClientTimeout(error.to_string()),
            BodyError::Broken(_) => Refusal::BadRequest("the body is broken off".into()),
        }
    }

    /// The response that says so: `{"error_msg": …}` with the media type
    /// that APISIX answers such bodies with.
    #[must_use]
    pub fn response(&self) -> Response {
        let text = serde_json::json!({ "error_msg": self.to_string() });
        let mut response = Response::new(self.status(), Bytes::from(format!("{text}\n")));
        let text_plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers.insert(header::CONTENT_TYPE, text_plain);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::BodyMemory;

    #[tokio::test]
    async fn a_refusal_is_json_that_names_status_and_reason() {
        let refusal = Refusal::PluginCall {
            plugin: "ext-plugin-pre-req",
            kind: "timeout",
        };
        let mut response = refusal.response();
        assert_eq!(response.status, 503);
        let body = response
            .body
            .buffer(1000, &BodyMemory::new(0))
            .await
            .unwrap();
        assert_eq!(
            body,
            "{\"error_msg\":\"503 Service Unavailable: ext-plugin-pre-req: timeout\"}\n"
        );
        let body = Refusal::NoRoute
            .response()
            .body
            .buffer(1000, &BodyMemory::new(0))
            .await
            .unwrap();
        assert_eq!(body, "{\"error_msg\":\"404 Route Not Found\"}\n");
    }
}
