//! Answers, as APISIX words and shapes them.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::json;

/// A JSON answer. A line end after it keeps terminals tidy.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let Ok(mut text) = serde_json::to_string(body) else {
        // No answer has a map with keys that are no texts, which is what could fail.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    text.push('\n');
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, text).into_response()
}

/// `{"error_msg": …}`.
pub(crate) fn error(status: StatusCode, message: impl Into<String>) -> Response {
    json(status, &json!({"error_msg": message.into()}))
}
