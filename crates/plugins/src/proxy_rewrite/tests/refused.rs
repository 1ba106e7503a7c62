//! Configurations that the plugin refuses, and the property that it names.

use outrigger_engine::plugin::{Factory, Owner};
use outrigger_model::{Fault, Kind};
use serde_json::{Value, json};

use super::super::{ProxyRewrite, conf};

fn build(conf: &Value) -> Result<(), Fault> {
    let owner = Owner {
        kind: Kind::Route,
        id: "1".parse().unwrap(),
    };
    ProxyRewrite.build(conf, &owner).map(drop)
}

#[test]
fn the_property_at_fault_is_named() {
    for (conf, path) in [
        (json!("/fixed"), ""),
        (json!({"uri": ""}), "uri"),
        (json!({"uri": "no/slash"}), "uri"),
        (json!({"uri": "$uri"}), "uri"),
        (json!({"uri": null}), "uri"),
        (json!({"uri": 5}), "uri"),
        (json!({"uri": format!("/{}", "\u{e9}".repeat(4096))}), "uri"),
        (
            json!({"uri": "/a%", "use_real_request_uri_unsafe": true}),
            "uri",
        ),
        (
            json!({"uri": "/../a", "use_real_request_uri_unsafe": true}),
            "uri",
        ),
        (json!({"regex_uri": []}), "regex_uri"),
        (json!({"regex_uri": ["^/a"]}), "regex_uri"),
        (json!({"regex_uri": ["^/a", "/b", "^/c"]}), ""),
        (json!({"regex_uri": "^/a"}), "regex_uri"),
        (json!({"regex_uri": ["^/a", 5]}), "regex_uri[1]"),
        (json!({"regex_uri": ["^/(a", "/b"]}), "regex_uri[0]"),
        (json!({"regex_uri": ["^/(?!a)", "/b"]}), "regex_uri[0]"),
        (
            json!({"regex_uri": ["^/a", "/b", "(a{1000}){1000}", "/c"]}),
            "regex_uri[2]",
        ),
        (json!({"regex_uri": ["^/a", "/$uri"]}), "regex_uri[1]"),
        (
            json!({"regex_uri": ["^/a", "/b", "^/c", "/$"]}),
            "regex_uri[3]",
        ),
        (json!({"regex_uri": ["^/a", "/${1"]}), "regex_uri[1]"),
        (json!({"regex_uri": ["^/a", "/${}"]}), "regex_uri[1]"),
        (json!({"regex_uri": ["^/a", "/${+1}"]}), "regex_uri[1]"),
        // Not used, and wrong all the same.
        (
            json!({"uri": "/a", "regex_uri": ["(", "/b"]}),
            "regex_uri[0]",
        ),
        (json!({"host": ""}), "host"),
        (json!({"host": "a_b"}), "host"),
        (json!({"host": "$host"}), "host"),
        (json!({"host": ":80"}), "host"),
        (json!({"host": "a.test:"}), "host"),
        (json!({"host": "a.test:+80"}), "host"),
        (json!({"host": "a.test:65536"}), "host"),
        (json!({"host": "a.test\r\n"}), "host"),
        (json!({"method": "get"}), "method"),
        (json!({"method": "GET1"}), "method"),
        (json!({"method": "CONNECT"}), "method"),
        (json!({"method": "TRACE"}), "method"),
        (
            json!({"use_real_request_uri_unsafe": "yes"}),
            "use_real_request_uri_unsafe",
        ),
    ] {
        let fault = build(&conf).expect_err(&conf.to_string());
        assert_eq!(fault.path.to_string(), path, "{conf}");
    }
}

#[test]
fn the_header_at_fault_is_named() {
    for (headers, path) in [
        // What the schema says of the two forms together.
        (json!({}), "headers"),
        (json!([]), "headers"),
        (json!({"add": {}}), "headers"),
        (json!({"set": {}, "add": {"X-A": "1"}}), "headers"),
        (json!({"remove": []}), "headers"),
        (json!({"remove": ["X-A"], "X-B": "1"}), "headers"),
        (json!({"remove": ["X-A"], "set": "1"}), "headers"),
        (json!({"X-A": true}), "headers"),
        (json!({"add": {"X-A": null}}), "headers"),
        (json!({"remove": ["X-A", 5]}), "headers"),
        // What it does not know.
        (json!({"X-A": "a\r\nX-B: b"}), "headers.X-A"),
        (json!({"set": {"X-A": "a\n"}}), "headers.set.X-A"),
        (json!({"": "1"}), r#"headers[""]"#),
        (json!({"X A": "1"}), r#"headers["X A"]"#),
        (json!({"set": {"X:A": "1"}}), r#"headers.set["X:A"]"#),
        (json!({"remove": ["X-A", "X\n"]}), "headers.remove[1]"),
        (json!({"Content-Length": "5"}), "headers.Content-Length"),
        (
            json!({"set": {"transfer-encoding": "chunked"}}),
            "headers.set.transfer-encoding",
        ),
        (
            json!({"add": {"Connection": "close"}}),
            "headers.add.Connection",
        ),
        (json!({"remove": ["Content-Length"]}), "headers.remove[0]"),
        (json!({"set": {"Host": "a.test"}}), "headers.set.Host"),
        (json!({"remove": ["host"]}), "headers.remove[0]"),
    ] {
        let conf = json!({"headers": headers});
        let fault = build(&conf).expect_err(&conf.to_string());
        assert_eq!(fault.path.to_string(), path, "{conf}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (conf, fault) in [
        (
            json!({"regex_uri": ["^/(a", "/b"]}),
            "regex_uri[0]: not a regular expression that is supported: unclosed group",
        ),
        (
            json!({"regex_uri": ["(a{1000}){1000}", "/b"]}),
            "regex_uri[0]: the regular expression takes more than 1048576 bytes when compiled",
        ),
        (
            json!({"uri": "x"}),
            r#"uri: failed to match pattern "^\\/.*" with "x""#,
        ),
        (
            json!({"regex_uri": ["a", "b", "c"]}),
            "The length of regex_uri should be an even number",
        ),
        (
            json!({"headers": {"X-A": ["1"]}}),
            "headers: value should match only one schema, but matches none",
        ),
        (
            json!({"method": "CONNECT"}),
            "method: matches none of the enum values",
        ),
        (
            json!({"headers": {"set": {"Host": "a.test"}}}),
            "headers.set.Host: the host is changed with the property host",
        ),
    ] {
        assert_eq!(build(&conf).unwrap_err().to_string(), fault);
    }
}

#[test]
fn what_apisix_accepts_is_accepted() {
    for conf in [
        json!({}),
        json!([]),
        json!({"uri": format!("/{}", "\u{e9}".repeat(4095))}),
        json!({"regex_uri": ["a", ""]}),
        json!({"host": "A-b.test:8080"}),
        json!({"host": "127.0.0.1"}),
        json!({"method": "PROPFIND"}),
        json!({"use_real_request_uri_unsafe": false}),
        json!({"headers": {"set": "a header of this name"}}),
        json!({"headers": {"X-N": 5, "X-Empty": ""}}),
        json!({"scheme": "https"}),
        json!({"uri": "/a", "_meta": {"priority": 5}}),
    ] {
        assert_eq!(build(&conf), Ok(()), "{conf}");
    }
}

#[test]
fn properties_without_effect_are_told() {
    let conf = json!({"scheme": "https", "uri": "/a", "hots": "a.test"});
    assert_eq!(conf::unknown(&conf), ["scheme", "hots"]);
}
