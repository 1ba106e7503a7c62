//! etcd's messages, as its JSON gateway writes them: numbers of 64 bits are texts,
//! bytes are base64, and what is zero, false or empty is left out.
//!
//! Only what is used here; the rest of a message is passed over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Bytes, which travel as base64.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Bytes64(pub(super) Vec<u8>);

impl Serialize for Bytes64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = Bytes64;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("base64")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes64, E> {
                // What is wrong with it would show a part of a value.
                let decoded = STANDARD.decode(text);
                decoded.map(Bytes64).map_err(|_| E::custom("no base64"))
            }
        }
        deserializer.deserialize_str(Base64)
    }
}

/// A number that travels as a text, or as a number.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Number;
    impl Visitor<'_> for Number {
        type Value = u64;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a number")
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
            u64::try_from(number).map_err(|_| E::custom("a negative number"))
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            text.parse().map_err(|_| E::custom("no number"))
        }
    }
    deserializer.deserialize_any(Number)
}

fn text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What every answer begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    #[serde(deserialize_with = "number")]
    pub(super) cluster_id: u64,
    #[serde(deserialize_with = "number")]
    pub(super) revision: u64,
    #[serde(deserialize_with = "number")]
    pub(super) raft_term: u64,
}

/// A key with its value.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    pub(super) key: Bytes64,
    pub(super) value: Bytes64,
    #[serde(deserialize_with = "number")]
    pub(super) create_revision: u64,
    #[serde(deserialize_with = "number")]
    pub(super) mod_revision: u64,
    /// The lease that it goes with; 0: none.
    #[serde(deserialize_with = "number")]
    pub(super) lease: u64,
}

/// `/v3/kv/range`
#[derive(Clone, Default, Serialize)]
pub(super) struct RangeRequest {
    pub(super) key: Bytes64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range_end: Option<Bytes64>,
    #[serde(serialize_with = "text", skip_serializing_if = "is_zero")]
    pub(super) limit: u64,
    /// 0: the present one.
    #[serde(serialize_with = "text", skip_serializing_if = "is_zero")]
    pub(super) revision: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) keys_only: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RangeAnswer {
    pub(super) header: Header,
    pub(super) kvs: Vec<KeyValue>,
    pub(super) more: bool,
}

/// `/v3/kv/txn`
#[derive(Default, PartialEq, Eq, Serialize)]
pub(super) struct TxnRequest {
    pub(super) compare: Vec<Compare>,
    pub(super) success: Vec<Operation>,
}

/// A comparison of what etcd knows of a key, or of all keys of a range.
#[derive(PartialEq, Eq, Serialize)]
pub(super) struct Compare {
    pub(super) key: Bytes64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range_end: Option<Bytes64>,
    pub(super) result: &'static str,
    pub(super) target: &'static str,
    #[serde(serialize_with = "some_text", skip_serializing_if = "Option::is_none")]
    pub(super) mod_revision: Option<u64>,
    #[serde(serialize_with = "some_text", skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u64>,
}

fn some_text<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&number.unwrap_or_default())
}

#[derive(PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    RequestPut {
        key: Bytes64,
        value: Bytes64,
        #[serde(serialize_with = "text", skip_serializing_if = "is_zero")]
        lease: u64,
    },
    RequestDeleteRange {
        key: Bytes64,
    },
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TxnAnswer {
    pub(super) header: Header,
    pub(super) succeeded: bool,
    pub(super) responses: Vec<Response>,
}

/// What became of one operation.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Response {
    pub(super) response_put: Option<de::IgnoredAny>,
    pub(super) response_delete_range: Option<Deleted>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Deleted {
    #[serde(deserialize_with = "number")]
    pub(super) deleted: u64,
}

/// `/v3/lease/grant`
#[derive(Serialize)]
pub(super) struct GrantRequest {
    /// In seconds.
    #[serde(rename = "TTL", serialize_with = "text")]
    pub(super) ttl: u64,
}

#[derive(Deserialize)]
pub(super) struct GrantAnswer {
    #[serde(rename = "ID", deserialize_with = "number")]
    pub(super) id: u64,
}

/// `/v3/lease/revoke`
#[derive(Serialize)]
pub(super) struct RevokeRequest {
    #[serde(rename = "ID", serialize_with = "text")]
    pub(super) id: u64,
}

/// `/v3/auth/authenticate`
#[derive(Serialize)]
pub(super) struct AuthenticateRequest<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

#[derive(Deserialize)]
pub(super) struct AuthenticateAnswer {
    pub(super) token: String,
}

/// `/v3/watch`
#[derive(Serialize)]
pub(super) struct WatchRequest {
    pub(super) create_request: WatchCreate,
}

#[derive(Serialize)]
pub(super) struct WatchCreate {
    pub(super) key: Bytes64,
    pub(super) range_end: Bytes64,
    #[serde(serialize_with = "text")]
    pub(super) start_revision: u64,
    /// Has etcd cut long answers in pieces.
    pub(super) fragment: bool,
}

/// One line of the answer.
#[derive(Deserialize)]
pub(super) struct WatchLine {
    pub(super) result: Option<WatchAnswer>,
    pub(super) error: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchAnswer {
    pub(super) header: Header,
    pub(super) created: bool,
    pub(super) canceled: bool,
    pub(super) cancel_reason: String,
    #[serde(deserialize_with = "number")]
    pub(super) compact_revision: u64,
    /// More of the same revision is to come.
    pub(super) fragment: bool,
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    /// Left out for a write.
    #[serde(rename = "type")]
    pub(super) kind: EventKind,
    pub(super) kv: KeyValue,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum EventKind {
    #[default]
    Put,
    Delete,
}

/// What etcd says of a request that failed: its releases say it differently.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Failure {
    error: Option<serde_json::Value>,
    message: Option<String>,
}

impl Failure {
    /// In words.
    pub(super) fn message(self) -> Option<String> {
        self.message.or_else(|| self.error.and_then(message_of))
    }
}

/// The words in an error, which is a text or an object.
pub(super) fn message_of(error: serde_json::Value) -> Option<String> {
    match error {
        serde_json::Value::String(text) => Some(text),
        other => other.get("message")?.as_str().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_etcd_are_read() {
        let answer: RangeAnswer = serde_json::from_str(
            r#"{"header":{"cluster_id":"10144879847569953045","member_id":"1","revision":"2",
                "raft_term":"2"},"kvs":[{"key":"L2E=","create_revision":"2","mod_revision":"3",
                "version":"1","value":"eyJhIjoxfQ==","lease":"7"}],"count":"1","more":true}"#,
        )
        .unwrap();
        assert_eq!(answer.header.cluster_id, 10_144_879_847_569_953_045);
        assert!(answer.more);
        let [kv] = &answer.kvs[..] else {
            panic!("one key")
        };
        assert_eq!(
            (&kv.key.0[..], &kv.value.0[..]),
            (&b"/a"[..], &br#"{"a":1}"#[..])
        );
        assert_eq!((kv.create_revision, kv.mod_revision, kv.lease), (2, 3, 7));

        let line: WatchLine = serde_json::from_str(
            r#"{"result":{"header":{"revision":"9"},"events":[{"type":"DELETE","kv":{"key":"L2E=",
                "mod_revision":"9"}},{"kv":{"key":"L2I="}}]}}"#,
        )
        .unwrap();
        let events = line.result.unwrap().events;
        assert_eq!(events[0].kind, EventKind::Delete);
        assert_eq!(events[1].kind, EventKind::Put);
        for wrong in [r#"{"key":"?"}"#, r#"{"lease":"-1"}"#, r#"{"lease":-1}"#] {
            assert!(serde_json::from_str::<KeyValue>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn requests_are_written_as_etcd_wants_them() {
        let bytes = |text: &str| Bytes64(text.as_bytes().to_vec());
        let request = TxnRequest {
            compare: vec![Compare {
                key: bytes("/a"),
                range_end: None,
                result: "LESS",
                target: "MOD",
                mod_revision: Some(5),
                version: None,
            }],
            success: vec![
                Operation::RequestPut {
                    key: bytes("/a"),
                    value: bytes("{}"),
                    lease: 0,
                },
                Operation::RequestDeleteRange { key: bytes("/b") },
            ],
        };
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"compare":[{"key":"L2E=","result":"LESS","target":"MOD","mod_revision":"5"}],"#
                .to_owned()
                + r#""success":[{"request_put":{"key":"L2E=","value":"e30="}},"#
                + r#"{"request_delete_range":{"key":"L2I="}}]}"#
        );
    }

    #[test]
    fn failures_of_all_releases_are_understood() {
        for (text, expected) in [
            (r#"{"error":"a","message":"a","code":11}"#, Some("a")),
            (r#"{"error":"b"}"#, Some("b")),
            (r#"{"error":{"grpc_code":3,"message":"c"}}"#, Some("c")),
            (r#"{"code":3,"message":"d","details":[]}"#, Some("d")),
            ("{}", None),
        ] {
            let failure: Failure = serde_json::from_str(text).unwrap();
            assert_eq!(failure.message().as_deref(), expected, "{text}");
        }
    }
}
