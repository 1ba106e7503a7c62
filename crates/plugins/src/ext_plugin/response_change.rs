//! What a runner wants changed in a response: read from its answer, checked,
//! and carried out.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use outrigger_engine::context::Context;
use outrigger_engine::headers::{HeaderEdit, is_framing};
use outrigger_engine::response::Response;
use outrigger_host::a6::http_resp_call;

use super::conf::ResponseHeaders;
use super::context;
use super::decision::{BadAnswer, check_framing, final_status, header_edits};

/// Changes of a response, checked.
#[derive(Debug)]
pub(super) struct ResponseChange {
    status: Option<StatusCode>,
    pub(super) headers: Vec<HeaderEdit>,
    pub(super) body: Option<Bytes>,
    /// The request's context, where it is another than before.
    pub(super) context: Option<Context>,
}

impl ResponseChange {
    /// Reads and checks an answer to the response with these headers.
    pub(super) fn read(
        answer: &http_resp_call::Response<'_>,
        response: &HeaderMap,
        context: &Context,
    ) -> Result<Self, BadAnswer> {
        let status = match answer.status {
            0 => None,
            status => Some(final_status(status)?),
        };
        let mut headers = header_edits(&answer.headers)?;
        let context = context::take_out(&mut headers, context)?;
        for edit in &headers {
            check_framing(edit, response)?;
        }
        headers.retain(|edit| !is_framing(edit.name()));
        Ok(ResponseChange {
            status,
            headers,
            body: answer.body.map(Bytes::copy_from_slice),
            context,
        })
    }

    /// Whether it leaves the response as it is.
    pub(super) fn is_empty(&self) -> bool {
        self.status.is_none() && self.headers.is_empty() && self.body.is_none()
    }

    /// Carries the changes out.
    pub(super) fn apply(self, response: &mut Response, unnamed: ResponseHeaders) {
        if unnamed == ResponseHeaders::Replace && !self.headers.is_empty() {
            let length = response.headers.remove(header::CONTENT_LENGTH);
            response.headers.clear();
            if let Some(length) = length {
                response.headers.insert(header::CONTENT_LENGTH, length);
            }
        }
        if let Some(body) = self.body {
            response.replace_body(body);
        }
        for edit in self.headers {
            edit.apply(&mut response.headers);
        }
        if let Some(status) = self.status {
            response.set_status(status);
        }
        response.fit_body_to_status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use outrigger_engine::body::Body;
    use outrigger_host::a6::Entry;

    fn upstream(fields: &[(&'static str, &'static str)]) -> Response {
        let mut response = Response::new(StatusCode::OK, Bytes::from_static(b"old"));
        for (name, value) in fields {
            response
                .headers
                .append(*name, HeaderValue::from_static(value));
        }
        response
    }

    fn change(
        response: &mut Response,
        answer: http_resp_call::Response<'_>,
        unnamed: ResponseHeaders,
    ) -> Result<(), BadAnswer> {
        ResponseChange::read(&answer, &response.headers, &Context::default())?
            .apply(response, unnamed);
        Ok(())
    }

    fn entry<'a>(name: &'a str, value: impl Into<Option<&'a str>>) -> Entry<'a> {
        Entry {
            name: name.as_bytes(),
            value: value.into().map(str::as_bytes),
        }
    }

    fn shown(response: &Response) -> Vec<String> {
        let mut shown: Vec<String> = response
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn an_empty_answer_changes_nothing() {
        let mut response = upstream(&[("content-type", "a/b"), ("etag", "\"v1\"")]);
        change(
            &mut response,
            http_resp_call::Response::default(),
            ResponseHeaders::Patch,
        )
        .unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(shown(&response), ["content-type: a/b", "etag: \"v1\""]);
        assert!(matches!(&response.body, Body::Full(bytes) if bytes == "old"));
    }

    #[test]
    fn headers_are_a_patch_unless_told_otherwise() {
        let fields = [
            ("content-type", "a/b"),
            ("set-cookie", "a=1"),
            ("x-gone", "1"),
        ];
        let edits = [
            entry("Set-Cookie", "b=2"),
            entry("set-cookie", "c=3"),
            entry("x-gone", None),
        ];
        let answer = http_resp_call::Response {
            headers: (&edits[..]).into(),
            ..http_resp_call::Response::default()
        };
        let mut response = upstream(&fields);
        change(&mut response, answer, ResponseHeaders::Patch).unwrap();
        assert_eq!(
            shown(&response),
            ["content-type: a/b", "set-cookie: b=2", "set-cookie: c=3"]
        );
        let mut response = upstream(&fields);
        change(&mut response, answer, ResponseHeaders::Replace).unwrap();
        assert_eq!(shown(&response), ["set-cookie: b=2", "set-cookie: c=3"]);
    }

    #[test]
    fn a_new_body_has_its_length_and_nothing_of_the_old_ones() {
        let mut response = upstream(&[
            ("content-encoding", "gzip"),
            ("etag", "\"v1\""),
            ("digest", "x"),
            ("content-length", "3"),
            ("content-type", "a/b"),
        ]);
        let edits = [entry("etag", "\"mine\"")];
        let answer = http_resp_call::Response {
            headers: (&edits[..]).into(),
            body: Some(b"longer"),
            ..http_resp_call::Response::default()
        };
        change(&mut response, answer, ResponseHeaders::Patch).unwrap();
        assert_eq!(
            shown(&response),
            ["content-length: 6", "content-type: a/b", "etag: \"mine\""]
        );
        assert!(matches!(&response.body, Body::Full(bytes) if bytes == "longer"));
    }

    #[test]
    fn a_status_without_body_has_none() {
        let mut response = upstream(&[("content-length", "3")]);
        let answer = http_resp_call::Response {
            status: 204,
            body: Some(b"x"),
            ..http_resp_call::Response::default()
        };
        change(&mut response, answer, ResponseHeaders::Patch).unwrap();
        assert_eq!(response.status, 204);
        assert!(response.body.is_empty() && response.headers.is_empty());
    }

    #[test]
    fn what_would_break_framing_is_refused_whole() {
        for (status, edit) in [
            (0, entry("content-length", "99")),
            (0, entry("transfer-encoding", "chunked")),
            (0, entry("x", "1\r\n2")),
            (101, entry("x", "1")),
            (1000, entry("x", "1")),
        ] {
            let mut response = upstream(&[("content-length", "3")]);
            let edits = [entry("x-new", "1"), edit];
            let answer = http_resp_call::Response {
                status,
                headers: (&edits[..]).into(),
                ..http_resp_call::Response::default()
            };
            assert!(change(&mut response, answer, ResponseHeaders::Patch).is_err());
            assert_eq!(shown(&response), ["content-length: 3"]);
        }
    }
}
