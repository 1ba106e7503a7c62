//! Whatever a configuration says and a client sends: what is sent on is a
//! valid target and valid fields, or the request is refused.

use http::HeaderValue;
use http::uri::PathAndQuery;
use outrigger_engine::target::Target;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Gateway, get, sent_headers};

/// Text for templates: placeholders, separators, escapes and what is none.
const TEXT: &str = r"([a-z/.?&=%# +\\$é{}\[\]<>|]|\$uri|\$\{arg_x\?\?d\}|\$http_x|\$args|\$request_uri|\$1|%2[0-9F]){0,8}";
/// Expressions of which one matches most paths.
const REGEX: &str = r"(/|\.|\(\[a-z\]\*\)|\(\.\*\)|\(x\)\?|\^|\$|\?){1,5}";
const REPLACEMENT: &str = r"([a-z/.?&=%# é<>\[\]{}]|\$[0-3]|\$\{1\}|\$\$){0,8}";
/// Targets as http's parser takes them.
const TARGET: &str = r"/([a-z./ü{}|\[\]]|%2[0-9A-F]|%[013-6C-F][0-9A-F]){0,12}(\?([a-z=&?./ü{}|\[\]%]|%2[0-9A-F]){0,12})?";

fn conf() -> impl Strategy<Value = Value> {
    let real = any::<bool>();
    prop_oneof![
        (TEXT, real).prop_map(|(uri, real)| {
            json!({"uri": format!("/{uri}"), "use_real_request_uri_unsafe": real})
        }),
        (REGEX, REPLACEMENT, real).prop_map(|(regex, replacement, real)| {
            json!({
                "regex_uri": [regex, replacement], "use_real_request_uri_unsafe": real,
                "headers": {"X-Groups": "$0 ${1} $2"},
            })
        }),
        TEXT.prop_map(|text| json!({"headers": {"add": {"X-Text": text}}})),
    ]
}

/// Values that a client can send.
fn value() -> impl Strategy<Value = HeaderValue> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..12);
    bytes.prop_filter_map("no field's value", |bytes| {
        HeaderValue::from_bytes(&bytes).ok()
    })
}

proptest! {
    #[test]
    fn what_is_sent_on_is_valid(conf in conf(), target in TARGET, value in value()) {
        let Ok(parsed) = target.parse::<PathAndQuery>() else { return Ok(()) };
        prop_assume!(Target::new(parsed).is_ok());
        // Not every text is an expression, nor every real path one that can be decoded.
        let Some(gateway) = Gateway::try_new(conf.clone()) else { return Ok(()) };
        let Ok(exchange) = gateway.pass(get(&target).header("x", value), "") else {
            prop_assert!(conf["use_real_request_uri_unsafe"] == true);
            return Ok(());
        };
        let sent = exchange.target.for_upstream().unwrap();
        // Nothing was taken for a fragment and cut off.
        let query = exchange.target.query();
        prop_assert_eq!(sent.query().map(str::as_bytes), query);
        if sent.as_str() != target {
            prop_assert!(sent.as_str().bytes().all(|byte| {
                byte.is_ascii_graphic() && byte != b'#' || target.as_bytes().contains(&byte)
            }), "{sent}");
        }
        prop_assert!(sent.path().starts_with('/'));
        for (_, value) in sent_headers(&exchange) {
            prop_assert!(!value.contains(['\r', '\n', '\0']));
        }
    }

    #[test]
    fn a_variable_neither_ends_the_path_nor_begins_a_query(value in value()) {
        let gateway = Gateway::new(json!({"uri": "/before/$http_x/after"}));
        let exchange = gateway.pass(get("/").header("x", &value), "").unwrap();
        let sent = exchange.target.for_upstream().unwrap();
        prop_assert_eq!(sent.query(), None);
        prop_assert!(sent.path().starts_with("/before/") && sent.path().ends_with("/after"));
        let path = [b"/before/", value.as_bytes(), b"/after"].concat();
        prop_assert_eq!(exchange.target.path(), path);
    }
}
