//! `request-id`: an id for every request that has none, told to the upstream
//! and the client.

use std::future::ready;
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture};
use outrigger_engine::response::{Refusal, Response};
use outrigger_engine::schemas::Schemas;
use outrigger_model::Fault;
use serde::Deserialize;

use crate::conf;

/// What ids of `nanoid` are made of.
const NANOID: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

/// Length of an id of `nanoid`, in characters.
const NANOID_LENGTH: usize = 21;

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../schemas/request-id.json")));

/// Makes `request-id` plugins.
pub(crate) struct RequestIdFactory;

impl Factory for RequestIdFactory {
    fn name(&self) -> &'static str {
        "request-id"
    }

    fn priority(&self) -> i32 {
        12015
    }

    fn schemas(&self) -> &Schemas {
        &SCHEMAS
    }

    fn build(&self, json: &serde_json::Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let conf = conf::read(&SCHEMAS.requests, json)?;
        Ok(Arc::new(RequestId::new(conf)?))
    }
}

/// One configuration.
#[derive(Debug)]
struct RequestId {
    field: HeaderName,
    in_response: bool,
    algorithm: Algorithm,
}

#[derive(Deserialize)]
struct Conf {
    header_name: String,
    include_in_response: bool,
    algorithm: Name,
    range_id: RangeId,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Uuid,
    Nanoid,
    RangeId,
    Ksuid,
}

#[derive(Deserialize)]
struct RangeId {
    length: usize,
    char_set: String,
}

#[derive(Debug)]
enum Algorithm {
    /// `uuid`: RFC 9562, version 4.
    Uuid,
    /// `nanoid`, `range_id`: so many of these characters.
    Characters { set: Vec<char>, length: usize },
    /// `ksuid`: time and chance, sorted by time.
    Ksuid,
}

impl RequestId {
    fn new(conf: Conf) -> Result<Self, Fault> {
        let characters = |set: &str, length| Algorithm::Characters {
            set: set.chars().collect(),
            length,
        };
        Ok(Self {
            field: conf::field("header_name", &conf.header_name)?,
            in_response: conf.include_in_response,
            algorithm: match conf.algorithm {
                Name::Uuid => Algorithm::Uuid,
                Name::Nanoid => characters(NANOID, NANOID_LENGTH),
                Name::RangeId => characters(&conf.range_id.char_set, conf.range_id.length),
                Name::Ksuid => Algorithm::Ksuid,
            },
        })
    }

    fn name(&self, exchange: &mut Exchange) {
        let given = exchange.headers.get(&self.field);
        if given.is_none_or(HeaderValue::is_empty) {
            let id = self.algorithm.make();
            exchange.headers.insert(self.field.clone(), id);
        }
    }

    fn tell(&self, exchange: &Exchange, response: &mut Response) {
        let told = response.headers.get(&self.field);
        if self.in_response
            && told.is_none_or(HeaderValue::is_empty)
            && let Some(id) = exchange.headers.get(&self.field)
        {
            response.headers.insert(self.field.clone(), id.clone());
        }
    }
}

impl Algorithm {
    fn make(&self) -> HeaderValue {
        let id = match self {
            Algorithm::Uuid => uuid::Builder::from_random_bytes(rand::random())
                .into_uuid()
                .to_string(),
            Algorithm::Characters { set, length } => characters(set, *length),
            Algorithm::Ksuid => ksuid(SystemTime::now()),
        };
        HeaderValue::try_from(id).expect("ids are printable ASCII")
    }
}

fn characters(set: &[char], length: usize) -> String {
    let one = |_| set[rand::random_range(0..set.len())];
    (0..length).map(one).collect()
}

/// Seconds since KSUID's own epoch and 128 random bits, in base 62 with 27 digits.
fn ksuid(now: SystemTime) -> String {
    const EPOCH: u64 = 1_400_000_000;
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let [.., a, b, c, d] = seconds.saturating_sub(EPOCH).to_be_bytes();
    let mut words = [u32::from_be_bytes([a, b, c, d]), 0, 0, 0, 0];
    words[1..].fill_with(rand::random);
    let mut digits = [0; 27];
    for digit in digits.iter_mut().rev() {
        // Long division of the whole number by 62; the remainder is the digit.
        let mut remainder = 0;
        for word in &mut words {
            let part = remainder << 32 | u64::from(*word);
            *word = u32::try_from(part / 62).expect("the remainder is less than 62");
            remainder = part % 62;
        }
        *digit = DIGITS[usize::try_from(remainder).expect("it is less than 62")];
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

impl Plugin for RequestId {
    fn phases(&self) -> Phases {
        Phases {
            response: self.in_response,
            ..Phases::REWRITE
        }
    }

    fn rewrite<'a>(
        &'a self,
        exchange: &'a mut Exchange,
    ) -> PluginFuture<'a, Result<Flow, Refusal>> {
        self.name(exchange);
        Box::pin(ready(Ok(Flow::Continue)))
    }

    fn response<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> PluginFuture<'a, Result<(), Refusal>> {
        self.tell(exchange, response);
        Box::pin(ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn read(json: &serde_json::Value) -> Result<RequestId, Fault> {
        conf::read(&SCHEMAS.requests, json).and_then(RequestId::new)
    }

    fn id(json: &serde_json::Value) -> String {
        let plugin = read(json).unwrap();
        plugin.algorithm.make().to_str().unwrap().to_owned()
    }

    #[test]
    fn each_algorithm_makes_ids_of_its_kind_that_differ() {
        for (json, length, characters) in [
            (json!({}), 36, "0123456789abcdef-"),
            (json!({"algorithm": "nanoid"}), 21, NANOID),
            (json!({"algorithm": "range_id"}), 16, NANOID),
            (
                json!({"algorithm": "range_id", "range_id": {"length": 40, "char_set": "abcdef"}}),
                40,
                "abcdef",
            ),
            (json!({"algorithm": "ksuid"}), 27, NANOID),
        ] {
            let ids: HashSet<String> = (0..100).map(|_| id(&json)).collect();
            assert_eq!(ids.len(), 100, "{json}");
            for id in ids {
                assert_eq!(id.len(), length, "{id}");
                assert!(id.chars().all(|it| characters.contains(it)), "{id}");
            }
        }
    }

    #[test]
    fn a_ksuid_begins_with_its_time() {
        let at = |seconds| ksuid(UNIX_EPOCH + Duration::from_secs(seconds));
        assert!(at(1_400_000_000).starts_with("0000"));
        assert!(at(1_700_000_000) < at(1_700_000_100));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, expected) in [
            (
                json!({"algorithm": "md5"}),
                "algorithm: matches none of the enum values",
            ),
            (
                json!({"header_name": 1}),
                "header_name: wrong type: expected string, got number",
            ),
            (
                json!({"header_name": "a b"}),
                "header_name: invalid HTTP header name",
            ),
            (
                json!({"range_id": {"length": 2}}),
                "range_id.length: expected 2 to be at least 6",
            ),
            (
                json!({"range_id": {"char_set": "abcde "}}),
                "range_id.char_set: failed to match pattern \"^[!-~]+$\" with \"abcde \"",
            ),
            (
                json!({"include_in_response": "yes"}),
                "include_in_response: wrong type: expected boolean, got string",
            ),
        ] {
            let fault = read(&json).unwrap_err();
            assert_eq!(fault.to_string(), expected, "{json}");
        }
    }
}
