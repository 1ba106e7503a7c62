//! What is known of a request when a variable is asked for.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Method, StatusCode, Version};

use super::Value;
use crate::body::Body;
use crate::exchange::{Client, Exchange};
use crate::finished::{End, Finished, Unserved};
use crate::worker::Worker;

/// What is known of a request when a variable is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    request: Request<'a>,
    response: Option<(StatusCode, &'a HeaderMap)>,
    end: Option<&'a End>,
}

#[derive(Debug, Clone, Copy)]
enum Request<'a> {
    Served(&'a Exchange),
    Unserved(&'a Unserved),
}

impl<'a> Scope<'a> {
    /// A request that has no response yet.
    #[must_use]
    pub fn of(exchange: &'a Exchange) -> Self {
        Scope {
            request: Request::Served(exchange),
            response: None,
            end: None,
        }
    }

    /// A request with a response that has not been sent.
    #[must_use]
    pub fn with_response(
        exchange: &'a Exchange,
        status: StatusCode,
        headers: &'a HeaderMap,
    ) -> Self {
        Scope {
            response: Some((status, headers)),
            ..Self::of(exchange)
        }
    }

    /// A request that is over.
    #[must_use]
    pub fn finished(finished: &'a Finished) -> Self {
        Self::of(&finished.exchange).ended(&finished.end)
    }

    /// A request that was refused before it was understood, and is over.
    #[must_use]
    pub fn unserved(request: &'a Unserved, end: &'a End) -> Self {
        let scope = Scope {
            request: Request::Unserved(request),
            response: None,
            end: None,
        };
        scope.ended(end)
    }

    fn ended(self, end: &'a End) -> Self {
        Scope {
            response: Some((end.status, &end.headers)),
            end: Some(end),
            ..self
        }
    }

    /// The request as it is served; none if it is not.
    pub(super) fn exchange(self) -> Option<&'a Exchange> {
        match self.request {
            Request::Served(exchange) => Some(exchange),
            Request::Unserved(_) => None,
        }
    }

    pub(super) fn client(self) -> &'a Client {
        match self.request {
            Request::Served(exchange) => &exchange.client,
            Request::Unserved(request) => &request.client,
        }
    }

    pub(super) fn worker(self) -> &'a Worker {
        match self.request {
            Request::Served(exchange) => &exchange.worker,
            Request::Unserved(request) => &request.worker,
        }
    }

    /// The method as the client sent it.
    pub(super) fn sent_method(self) -> Option<&'a Method> {
        match self.request {
            Request::Served(exchange) => Some(&exchange.sent_method),
            Request::Unserved(request) => Some(&request.head.as_ref()?.method),
        }
    }

    pub(super) fn version(self) -> Option<Version> {
        match self.request {
            Request::Served(exchange) => Some(exchange.version),
            Request::Unserved(request) => Some(request.head.as_ref()?.version),
        }
    }

    /// The target as the client sent it, without scheme and host.
    pub(super) fn target(self) -> Option<&'a str> {
        match self.request {
            Request::Served(exchange) => Some(exchange.target.original()),
            Request::Unserved(request) => {
                let uri = &request.head.as_ref()?.uri;
                Some(uri.path_and_query()?.as_str())
            }
        }
    }

    pub(super) fn headers(self) -> Option<&'a HeaderMap> {
        match self.request {
            Request::Served(exchange) => Some(&exchange.headers),
            Request::Unserved(request) => Some(&request.head.as_ref()?.headers),
        }
    }

    pub(super) fn length(self) -> u64 {
        match self.request {
            Request::Served(exchange) => exchange.length.bytes(),
            Request::Unserved(request) => request.length,
        }
    }

    pub(super) fn request_id(self) -> &'a str {
        match self.request {
            Request::Served(exchange) => exchange.request_id(),
            Request::Unserved(request) => request
                .request_id
                .get_or_init(|| request.worker.request_id()),
        }
    }

    /// The request's body, as far as it is in memory: all of it or none.
    pub(super) fn body(self) -> Option<Value<'a>> {
        let exchange = self.exchange()?;
        match (&exchange.body, &exchange.kept_body) {
            (Body::Full(body), _) => Some(Cow::Borrowed(body)),
            (_, Some(kept)) => {
                let kept = kept.start()?;
                let whole = kept.whole && !kept.bytes.is_empty();
                whole.then(|| Cow::Owned(kept.bytes.into()))
            }
            (Body::Empty | Body::Stream(_), None) => None,
        }
    }

    /// The response's status, once there is one.
    pub(super) fn status(self) -> Option<StatusCode> {
        self.response.map(|(status, _)| status)
    }

    pub(super) fn response_headers(self) -> Option<&'a HeaderMap> {
        self.response.map(|(_, headers)| headers)
    }

    /// What became of the response, if it is over.
    pub(super) fn end(self) -> Option<&'a End> {
        self.end
    }

    /// How long the request has taken, or took.
    pub(super) fn age(self) -> Duration {
        let began = match self.request {
            Request::Served(exchange) => exchange.started,
            Request::Unserved(request) => request.started,
        };
        let now = self.end.map_or_else(Instant::now, |end| end.at);
        now.saturating_duration_since(began)
    }

    /// Now, or when the request was over.
    pub(super) fn time(self) -> SystemTime {
        self.end.map_or_else(SystemTime::now, |end| end.time)
    }
}
