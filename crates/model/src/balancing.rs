//! How requests are spread over the nodes of an upstream.

use crate::read::{At, Object};

/// How requests are spread over the nodes; the `type` of an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Balancing {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// Requests that have the same of this go to the same node.
    ConsistentHash(HashOn),
    /// To the node that is busy with the fewest, by weight.
    LeastConnections,
    /// Of two at random, to the one that has answered faster of late: an
    /// exponentially weighted moving average.
    Ewma,
}

/// What a consistent hash goes by: `hash_on` and `key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HashOn {
    /// The variable of this name.
    Variable(String),
    /// The header field of this name.
    Header(String),
    /// The cookie of this name.
    Cookie(String),
    /// The consumer.
    Consumer,
    /// A text with variables.
    Combination(String),
}

const KINDS: [&str; 4] = ["roundrobin", "chash", "ewma", "least_conn"];
const HASHES: [&str; 5] = ["vars", "header", "cookie", "consumer", "vars_combinations"];
/// The variables that APISIX takes, beside `arg_NAME`.
const VARIABLES: [&str; 10] = [
    "uri",
    "server_name",
    "server_addr",
    "request_uri",
    "remote_port",
    "remote_addr",
    "query_string",
    "host",
    "hostname",
    "mqtt_client_id",
];

/// Reads `type`, and `hash_on` and `key`, which mean something to `chash` alone.
pub(crate) fn read(object: &Object<'_>) -> Option<Balancing> {
    let hash_on = match object.get("hash_on") {
        Some(at) => at.one_of(&HASHES),
        None => Some("vars"),
    };
    let key = object.get("key");
    let text = key.as_ref().map(At::string);
    let kind = match object.get("type") {
        Some(at) => at.one_of(&KINDS),
        None => Some("roundrobin"),
    };
    Some(match kind? {
        "ewma" => Balancing::Ewma,
        "least_conn" => Balancing::LeastConnections,
        "chash" => {
            let hash_on = hash_on?;
            if hash_on == "consumer" {
                return Some(Balancing::ConsistentHash(HashOn::Consumer));
            }
            let (Some(at), Some(text)) = (key, text) else {
                object.at().fault("missing key");
                return None;
            };
            Balancing::ConsistentHash(read_key(&at, hash_on, text?)?)
        }
        _ => Balancing::RoundRobin,
    })
}

fn read_key(at: &At<'_>, hash_on: &str, key: &str) -> Option<HashOn> {
    let named = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !name.is_empty() && name.bytes().all(allowed)
    };
    let argument = || key.strip_prefix("arg_").is_some_and(named);
    let (fits, expected) = match hash_on {
        "vars" => (
            VARIABLES.contains(&key) || argument(),
            "a variable that a hash can go by: uri, request_uri, query_string, host, hostname, \
             remote_addr, remote_port, server_name, server_addr, mqtt_client_id or arg_NAME",
        ),
        "vars_combinations" => (!key.is_empty(), "a text with variables"),
        _ => (named(key), "a name of letters, digits, \"-\" and \"_\""),
    };
    if !fits {
        at.fault(format!("expected {expected}"));
        return None;
    }
    let key = key.to_owned();
    Some(match hash_on {
        "header" => HashOn::Header(key),
        "cookie" => HashOn::Cookie(key),
        "vars_combinations" => HashOn::Combination(key),
        _ => HashOn::Variable(key),
    })
}
