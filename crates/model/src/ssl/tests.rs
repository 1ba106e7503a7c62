use std::sync::LazyLock;

use serde_json::json;

use super::*;
use crate::Resources;

/// A certificate with its key.
static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
    let names = vec!["a.test".to_owned()];
    let pair = rcgen::generate_simple_self_signed(names).unwrap();
    (pair.cert.pem(), pair.signing_key.serialize_pem())
});

fn cert() -> &'static str {
    &PAIR.0
}

fn key() -> &'static str {
    &PAIR.1
}

fn said(json: Value) -> String {
    match Ssl::from_json(&json) {
        Ok(_) => "accepted".to_owned(),
        Err(faults) => faults.to_string(),
    }
}

/// A good one with some properties changed; `null` takes one away.
fn with(changes: Value) -> Value {
    let mut ssl = json!({"id": "1", "cert": cert(), "key": key(), "sni": "a.test"});
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(ssl.as_object_mut().unwrap().remove(name)),
            value => ssl[name] = value.clone(),
        }
    }
    ssl
}

#[test]
fn everything_that_it_says_is_read() {
    let ssl = with(json!({
        "sni": null, "snis": ["a.test", "*.B.test"], "certs": [cert()], "keys": [key()],
        "client": {"ca": cert(), "depth": 2, "skip_mtls_uri_regex": ["^/open"]},
        "ssl_protocols": ["TLSv1.3", "TLSv1.1", "TLSv1.2"], "status": 0, "name": "n",
        "create_time": 1, "update_time": 1, "labels": {"a": "b"}, "desc": "d",
    }));
    let ssl = Ssl::from_json(&ssl).unwrap();
    let names: Vec<_> = ssl.snis.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a.test", "*.b.test"]);
    assert_eq!(ssl.identities.len(), 2);
    assert_eq!(ssl.purpose, SslType::Server);
    let versions = [TlsVersion::Tls12, TlsVersion::Tls13];
    assert_eq!(ssl.ssl_protocols.as_deref(), Some(&versions[..]));
    assert!(!ssl.enabled);
    let client = ssl.client.unwrap();
    assert_eq!((client.ca.len(), client.depth), (1, 2));
    assert!(client.skip_mtls_uri_regex[0].is_match(b"/open/x"));
    assert!(!client.skip_mtls_uri_regex[0].is_match(b"/shut"));

    let ssl = Ssl::from_json(&with(json!({"client": {"ca": cert()}}))).unwrap();
    assert_eq!(ssl.client.unwrap().depth, 1);
    assert!(ssl.enabled && ssl.ssl_protocols.is_none());
    assert_eq!(
        said(with(json!({"type": "client", "sni": null}))),
        "accepted"
    );
}

#[test]
fn what_is_wrong_is_named() {
    let long = "x".repeat(200);
    for (changes, expected) in [
        (
            json!({"sni": null}),
            "property \"sni\" or \"snis\" is required",
        ),
        (
            json!({"snis": ["b.test"]}),
            "expected either \"sni\" or \"snis\", got both",
        ),
        (
            json!({"snis": [], "sni": null}),
            "snis: expect array to have at least 1 items",
        ),
        (json!({"cert": null}), "property \"cert\" is required"),
        (json!({"cert": long}), "cert: expected a certificate in PEM"),
        (json!({"key": long}), "key: expected a private key in PEM"),
        (
            json!({"key": "short"}),
            "key: string too short, expected at least 128, got 5",
        ),
        (
            json!({"certs": [cert()], "keys": [long]}),
            "keys[0]: expected a private key in PEM",
        ),
        (
            json!({"certs": [cert(), cert()], "keys": [key()]}),
            "mismatched number of certs and keys",
        ),
        (
            json!({"certs": [cert()]}),
            "mismatched number of certs and keys",
        ),
        (json!({"client": {}}), "client: property \"ca\" is required"),
        (
            json!({"client": {"ca": cert(), "skip_mtls_uri_regex": ["("]}}),
            "client.skip_mtls_uri_regex[0]: invalid regular expression: unclosed group",
        ),
        (
            json!({"ssl_protocols": ["TLSv1.1"]}),
            "ssl_protocols: expected \"TLSv1.2\", \"TLSv1.3\" or both: \
             older versions are not spoken",
        ),
        (
            json!({"type": "severe"}),
            "type: expected one of \"server\", \"client\", did you mean \"server\"?",
        ),
        (
            json!({"stats": 1}),
            "stats: unknown property, did you mean \"status\"?",
        ),
    ] {
        assert_eq!(said(with(changes)), expected);
    }
}

#[test]
fn upstreams_name_those_of_clients() {
    let found = |tls: &str| {
        let upstream = json!({"nodes": {"127.0.0.1:1": 1}, "tls": {"client_cert_id": tls}});
        let resources = json!({
            "ssls": [with(json!({"id": "s"})), with(json!({"id": "c", "type": "client"}))],
            "routes": [{"id": 1, "uri": "/", "upstream": upstream}],
            "services": [{"id": 1, "upstream": upstream}],
            "upstreams": [{"id": 1, "nodes": {"127.0.0.1:1": 1}, "tls": {"client_cert_id": tls}}],
        });
        let resources = Resources::from_json(&resources).unwrap();
        let found = resources.check_references().err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found("c"), [""; 0]);
    assert_eq!(
        found("no"),
        [
            "upstream 1: tls.client_cert_id: there is no ssl with the id no",
            "service 1: upstream.tls.client_cert_id: there is no ssl with the id no",
            "route 1: upstream.tls.client_cert_id: there is no ssl with the id no",
        ]
    );
    assert_eq!(
        found("s")[0],
        "upstream 1: tls.client_cert_id: the ssl with the id s is not of the type \"client\""
    );
}
