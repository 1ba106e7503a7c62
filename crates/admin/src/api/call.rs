//! A request, taken apart.

use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::kind_of;
use crate::limits;
use crate::resources::Kind;

/// A request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// The path below the API's own, decoded; the last is not empty.
    pub(super) segments: Vec<String>,
    query: Vec<(String, String)>,
    /// None if there was none.
    pub(super) body: Option<Value>,
}

impl Call {
    /// None if the path is not one of the API's, or no text.
    pub(super) fn of(head: &Parts, base: &str) -> Option<Self> {
        let path = head.uri.path().strip_prefix(base)?;
        if !path.is_empty() && !path.starts_with('/') {
            return None;
        }
        let segments = path.trim_matches('/').split('/').map(|segment| {
            let decoded = percent_decode_str(segment).decode_utf8().ok()?;
            Some(decoded.into_owned())
        });
        let segments: Vec<String> = segments.collect::<Option<_>>()?;
        let query = head.uri.query().unwrap_or_default();
        Some(Self {
            method: head.method.clone(),
            segments,
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            body: None,
        })
    }

    /// The first argument of this name.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let mut arguments = self.query.iter();
        let found = arguments.find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    /// When what is written is to go by itself.
    pub(super) fn ttl(&self) -> Result<Option<SystemTime>, String> {
        let Some(text) = self.query("ttl") else {
            return Ok(None);
        };
        let seconds = text.parse::<f64>().ok();
        let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds <= limits::TTL);
        let seconds = seconds.ok_or("invalid argument ttl: should be a number")?;
        Ok(Some(SystemTime::now() + Duration::from_secs_f64(seconds)))
    }

    /// Reads the body. One of nothing is none.
    pub(super) fn take_body(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        if !bytes.trim_ascii().is_empty() {
            self.body = Some(serde_json::from_slice(bytes)?).filter(|body: &Value| {
                // Only a part of a resource can be nothing.
                self.method == Method::PATCH || !body.is_null()
            });
        }
        Ok(())
    }
}

/// What a path leads to: a collection, a resource, or a part of one.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) kind: Kind,
    /// Such as `routes`, or `consumers/jack/credentials`.
    pub(super) collection: String,
    pub(super) id: Option<String>,
    /// The segments after the id.
    pub(super) part: Vec<String>,
}

impl Place {
    /// The place that the segments of a path lead to, or what to say of them.
    pub(super) fn of(segments: &[String]) -> Result<Self, (StatusCode, String)> {
        let [collection, rest @ ..] = segments else {
            return kind_of("").map(|_| unreachable!("no kind has no name"));
        };
        let kind = kind_of(collection)?;
        let (kind, collection, rest) = match rest {
            [consumer, word, rest @ ..] if kind == Kind::Consumer && word == "credentials" => (
                Kind::Credential,
                format!("consumers/{consumer}/credentials"),
                rest,
            ),
            rest => (kind, collection.clone(), rest),
        };
        let (id, part) = match rest {
            // Who keeps the secrets is a part of the id.
            [manager, id, part @ ..] if kind == Kind::Secret => {
                (Some(format!("{manager}/{id}")), part.to_vec())
            }
            [] => (None, Vec::new()),
            [id, part @ ..] => (Some(id.clone()), part.to_vec()),
        };
        Ok(Self {
            kind,
            collection,
            id,
            part,
        })
    }

    /// The consumer that a credential belongs to.
    pub(super) fn consumer(&self) -> Option<&str> {
        let below = self.collection.strip_prefix("consumers/")?;
        below.strip_suffix("/credentials")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, uri: &str) -> Option<Call> {
        let request = http::Request::builder().method(method).uri(uri);
        let (head, ()) = request.body(()).unwrap().into_parts();
        Call::of(&head, "/apisix/admin")
    }

    fn segments(uri: &str) -> Vec<String> {
        call("GET", uri).unwrap().segments
    }

    #[test]
    fn a_path_is_taken_apart_before_it_is_decoded() {
        assert_eq!(segments("/apisix/admin/routes/1"), ["routes", "1"]);
        assert_eq!(segments("/apisix/admin/routes/"), ["routes"]);
        assert_eq!(segments("/apisix/admin"), [""]);
        assert_eq!(
            segments("/apisix/admin/routes/a%2Fb%20c"),
            ["routes", "a/b c"]
        );
        assert!(call("GET", "/apisix/administrator").is_none());
        assert!(call("GET", "/other").is_none());
        assert!(call("GET", "/apisix/admin/routes/%ff").is_none());
    }

    #[test]
    fn a_time_to_live_is_a_number_of_seconds() {
        let ttl = |text: &str| {
            let uri = format!("/apisix/admin/routes/1?ttl={text}");
            call("PUT", &uri).unwrap().ttl()
        };
        let left = ttl("1.5")
            .unwrap()
            .unwrap()
            .duration_since(SystemTime::now());
        assert!(left.unwrap() <= Duration::from_millis(1500));
        for bad in ["", "abc", "-1", "0", "inf", "NaN", "1e300"] {
            assert!(ttl(bad).is_err(), "{bad}");
        }
        assert_eq!(
            call("PUT", "/apisix/admin/routes/1").unwrap().ttl(),
            Ok(None)
        );
    }

    #[test]
    fn credentials_stand_below_their_consumer() {
        let place = |path: &str| {
            let segments: Vec<_> = path.split('/').map(str::to_owned).collect();
            Place::of(&segments)
        };
        let credential = place("consumers/jack/credentials/c1").unwrap();
        assert_eq!(credential.kind, Kind::Credential);
        assert_eq!(credential.collection, "consumers/jack/credentials");
        assert_eq!(credential.id.as_deref(), Some("c1"));
        assert_eq!(credential.consumer(), Some("jack"));
        let secret = place("secrets/vault/1/uri").unwrap();
        assert_eq!(secret.id.as_deref(), Some("vault/1"));
        assert_eq!(secret.part, ["uri"]);
        let part = place("routes/1/upstream/nodes").unwrap();
        assert_eq!(part.part, ["upstream", "nodes"]);
        assert!(place("nonsense").is_err());
        assert!(place("").is_err());
    }
}
