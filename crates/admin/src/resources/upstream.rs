//! Rules of upstreams that their schema does not tell.

use std::sync::LazyLock;

use outrigger_model::schema::Schema;
use serde_json::{Map, Value, json};

/// The names that a consistent hash may go by, of each `hash_on`.
static KEYS: LazyLock<[(&str, Schema); 3]> = LazyLock::new(|| {
    let pattern = |pattern: &str| {
        let schema = json!({"type": "string", "pattern": pattern});
        Schema::new(schema).expect("the patterns are tested")
    };
    [
        (
            "vars",
            pattern(
                "^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|\
                 host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$",
            ),
        ),
        ("header", pattern("^[a-zA-Z0-9-_]+$")),
        ("cookie", pattern("^[a-zA-Z0-9-_]+$")),
    ]
});

/// Checks an upstream that agrees with its schema.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(upstream: &Map<String, Value>) -> Result<(), String> {
    if let Some(Value::Object(nodes)) = upstream.get("nodes") {
        nodes.keys().try_for_each(|node| check_port(node))?;
    }
    let text = |name: &str| upstream.get(name).and_then(Value::as_str);
    if text("pass_host") == Some("rewrite") && text("upstream_host").is_none_or(str::is_empty) {
        return Err("`upstream_host` can't be empty when `pass_host` is `rewrite`".to_owned());
    }
    if text("type") != Some("chash") {
        return Ok(());
    }
    let hash_on = text("hash_on").unwrap_or("vars");
    if hash_on == "consumer" {
        return Ok(());
    }
    let key = upstream.get("key").ok_or("missing key")?;
    match KEYS.iter().find(|(of, _)| *of == hash_on) {
        Some((_, schema)) => schema
            .check(key)
            .map_err(|why| format!("invalid configuration: {}", why.in_words())),
        None => Ok(()),
    }
}

/// Checks the port in `host:port`, where there is one.
fn check_port(node: &str) -> Result<(), String> {
    // The colons of an address of IPv6 are inside brackets.
    let after = node.rsplit_once(']').map_or(node, |(_, after)| after);
    match after.rsplit_once(':') {
        Some((_, port)) if !port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Err(format!("invalid port {port}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(upstream: Value) -> String {
        let upstream = upstream.as_object().unwrap();
        check(upstream).err().unwrap_or_default()
    }

    #[test]
    fn ports_are_numbers_from_1() {
        for node in ["a.test:80", "a.test", "[::1]:80", "[::1]"] {
            assert_eq!(said(json!({"nodes": {(node): 1}})), "", "{node}");
        }
        for (node, port) in [("a:99999", "99999"), ("a:0", "0"), ("[::1]:x", "x")] {
            assert_eq!(
                said(json!({"nodes": {(node): 1}})),
                format!("invalid port {port}")
            );
        }
    }

    #[test]
    fn a_consistent_hash_needs_something_to_go_by() {
        for (upstream, expected) in [
            (json!({"type": "chash"}), "missing key"),
            (json!({"type": "chash", "hash_on": "consumer"}), ""),
            (json!({"type": "chash", "key": "arg_a"}), ""),
            (
                json!({"type": "chash", "hash_on": "header", "key": "a b"}),
                "invalid configuration: failed to match pattern \
                 \"^[a-zA-Z0-9-_]+$\" with \"a b\"",
            ),
        ] {
            assert_eq!(said(upstream.clone()), expected, "{upstream}");
        }
    }
}
