//! A request of HTTP/2 on its way to the handler, and its response back: what HTTP/1
//! says otherwise.

use std::convert::Infallible;
use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use outrigger_engine::body::Body;
use outrigger_engine::exchange::Client;
use outrigger_engine::response as engine;

use super::Underway;
use super::stream::{Pace, Paced};
use crate::client_stream::{Ambiguous, Unread};
use crate::connection::Accepted;
use crate::finish::Outgoing;
use crate::handler::{self, Seen};
use crate::worker::Worker;

/// What a request comes on.
pub(super) struct Stream {
    pub(super) client: Rc<Client>,
    pub(super) worker: Rc<Worker>,
    pub(super) accepted: Rc<Accepted>,
    pub(super) pace: Rc<Pace>,
    pub(super) underway: Underway,
}

impl Stream {
    /// Answers the request.
    pub(super) async fn answer(
        mut self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Paced>, Infallible> {
        join_cookies(request.headers_mut());
        let (client, worker) = (self.client, self.worker);
        let outgoing = Rc::new(Outgoing::of_stream(Rc::clone(&client), Rc::clone(&worker)));
        let (unread, ambiguous) = (Unread::default(), Ambiguous::default());
        let seen = Seen {
            arrival: &self.accepted,
            unread: &unread,
            ambiguous: &ambiguous,
        };
        let response = handler::handle(request, client, worker, seen, &outgoing).await?;
        self.underway.answered();
        let (mut head, body) = response.into_parts();
        // How a connection of HTTP/1 is used.
        head.headers.remove(header::CONNECTION);
        outgoing.begins(&head);
        let body = Paced::new(body, self.pace, self.underway);
        Ok(Response::from_parts(head, body))
    }
}

/// Clients may send cookies in parts, which nobody else knows (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut parts = headers.get_all(header::COOKIE).iter();
    if parts.next().is_none() || parts.next().is_none() {
        return;
    }
    let parts: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
    let parts: Vec<&[u8]> = parts.into_iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        headers.insert(header::COOKIE, whole);
    }
}

/// Takes away a body that must not go out. The HTTP library sees to that with HTTP/1 alone.
pub(crate) fn fit_body(method: &Method, response: &mut engine::Response) {
    let none = matches!(
        response.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let is_head = *method == Method::HEAD;
    if is_head
        && !none
        && let Some(length) = response.body.size_hint().exact().filter(|it| *it > 0)
    {
        let length = HeaderValue::from(length);
        let headers = &mut response.headers;
        headers.entry(header::CONTENT_LENGTH).or_insert(length);
    }
    if is_head || none {
        response.body = Body::Empty;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn cookies_are_put_together() {
        let mut headers = HeaderMap::new();
        join_cookies(&mut headers);
        assert!(headers.is_empty());
        headers.append("cookie", HeaderValue::from_static("a=1; b=2"));
        join_cookies(&mut headers);
        assert_eq!(headers["cookie"], "a=1; b=2");
        headers.append("cookie", HeaderValue::from_bytes(b"c=\xff").unwrap());
        headers.append("x", HeaderValue::from_static("1"));
        join_cookies(&mut headers);
        assert_eq!(headers["cookie"].as_bytes(), b"a=1; b=2; c=\xff");
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn what_has_no_body_keeps_its_length() {
        let fitted = |method, status| {
            let mut response = engine::Response::new(status, Bytes::from_static(b"body"));
            fit_body(&method, &mut response);
            let length = response.headers.remove("content-length");
            (response.body.is_empty(), length.map(|length| length.len()))
        };
        assert_eq!(fitted(Method::GET, StatusCode::OK), (false, None));
        assert_eq!(fitted(Method::HEAD, StatusCode::OK), (true, Some(1)));
        assert_eq!(fitted(Method::GET, StatusCode::NO_CONTENT), (true, None));
        assert_eq!(fitted(Method::HEAD, StatusCode::NOT_MODIFIED), (true, None));
    }
}
