//! How built-in plugins refuse a request.

use bytes::Bytes;
use http::StatusCode;
use outrigger_engine::plugin::Flow;
use outrigger_engine::response::Response;
use serde_json::json;

/// The answer `{"message": …}`, which APISIX's plugins give.
pub(crate) fn with_message(status: StatusCode, message: &str) -> Flow {
    let text = json!({ "message": message });
    Flow::Respond(Response::new(status, Bytes::from(format!("{text}\n"))))
}
