//! What holds for the schemas of all plugins: whatever they let pass, the plugin's own types
//! can hold.

use std::sync::Arc;

use outrigger_engine::plugin::{Owner, Registry};
use outrigger_host::{Runner, Settings};
use outrigger_model::{Fault, Kind};
use outrigger_telemetry::metrics::Metrics;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use crate::{Attributes, External, Runners, registry};

/// Configurations that are tried of each plugin.
const TRIES: u64 = 2000;

fn plugins() -> Registry {
    let runner = Runner::new("default", Settings::default(), Arc::new(()));
    let external = External::new(Runners::new(runner, []), &Metrics::new(1));
    registry(&external, &Attributes::default())
}

fn one_of<T: Clone>(rng: &mut StdRng, choice: &[T]) -> T {
    choice[rng.random_range(0..choice.len())].clone()
}

/// Any value, likely or not.
fn any(rng: &mut StdRng) -> Value {
    let all = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(1.5),
        json!(""),
        json!("\u{0}"),
        json!([]),
        json!({}),
        json!([null]),
        json!({"a": {"b": []}}),
        json!([["arg_a", "==", "1"]]),
    ];
    one_of(rng, &all)
}

/// A value that a schema may let pass, mostly.
fn sample(schema: &Value, rng: &mut StdRng) -> Value {
    if rng.random_ratio(1, 20) {
        return any(rng);
    }
    if let Some(choice) = schema["enum"].as_array() {
        return one_of(rng, choice);
    }
    if let Some(default) = schema.get("default").filter(|_| rng.random_ratio(1, 2)) {
        return default.clone();
    }
    for combination in ["oneOf", "anyOf"] {
        if let (Some(schemas), None) = (schema[combination].as_array(), schema.get("type")) {
            return sample(&one_of(rng, schemas), rng);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => one_of(rng, kinds),
        kind => kind.clone(),
    };
    match kind.as_str() {
        Some("string") => {
            let texts = [
                "a",
                "",
                "/a?b=$1",
                "http://a.test",
                "127.0.0.1",
                "::/0",
                "$x",
                "(",
                "X-A: 1",
                "Host",
                "content-length",
                "**",
                "Zm9v",
                "\u{e9}\n",
                "65536",
                "a:99999",
            ];
            json!(one_of(rng, &texts))
        }
        Some("integer") => {
            let least = schema["minimum"].as_i64().unwrap_or(0);
            let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
            let numbers = [
                json!(least),
                json!(most),
                json!(least as f64),
                json!(200),
                json!(599),
            ];
            one_of(rng, &numbers)
        }
        Some("number") => one_of(rng, &[json!(0), json!(0.25), json!(1e18), json!(3600)]),
        Some("boolean") => json!(rng.random_ratio(1, 2)),
        Some("array") => {
            let count = rng.random_range(0..4);
            (0..count).map(|_| sample(&schema["items"], rng)).collect()
        }
        Some("object") => object(schema, rng),
        _ if schema["properties"].is_object() => object(schema, rng),
        _ => any(rng),
    }
}

fn object(schema: &Value, rng: &mut StdRng) -> Value {
    let mut made = Map::new();
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, property) in properties.filter(|(name, _)| *name != "_meta") {
        if rng.random_ratio(1, 2) {
            made.insert(name.clone(), sample(property, rng));
        }
    }
    let patterns = schema["patternProperties"].as_object();
    for property in patterns.into_iter().flat_map(Map::values) {
        made.insert(
            one_of(rng, &["X-A", "b c", "host"]).to_owned(),
            sample(property, rng),
        );
    }
    if let property @ Value::Object(_) = &schema["additionalProperties"] {
        made.insert("more".to_owned(), sample(property, rng));
    }
    Value::Object(made)
}

/// What is wrong is said by the schema or by the plugin, never by the types in between.
fn is_said(fault: &Fault) -> bool {
    let by_types = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "missing field `",
        "unknown variant `",
        "data did not match any variant",
    ];
    !by_types
        .iter()
        .any(|words| fault.message.starts_with(words))
}

#[test]
fn what_a_schema_lets_pass_the_plugin_can_hold() {
    let registry = plugins();
    let id = "1".parse().unwrap();
    let owner = Owner {
        kind: Kind::Route,
        id,
    };
    for name in registry.names() {
        let factory = registry.get(name).unwrap();
        let schemas = factory.schemas();
        let mut held = 0;
        for seed in 0..TRIES {
            let rng = &mut StdRng::seed_from_u64(seed);
            let conf = sample(schemas.requests.json(), rng);
            match factory.build(&conf, &owner) {
                Ok(_) => held += 1,
                Err(fault) => assert!(is_said(&fault), "{name} {conf}: {fault}"),
            }
            if let Some(schema) = &schemas.consumer {
                let conf = sample(schema.json(), rng);
                if let Some(Err(fault)) = factory.credential(&conf) {
                    assert!(is_said(&fault), "{name} {conf}: {fault}");
                }
            }
            if let Some(schema) = &schemas.metadata {
                let conf = sample(schema.json(), rng);
                if let Err(fault) = factory.metadata(&conf) {
                    assert!(is_said(&fault), "{name} {conf}: {fault}");
                }
            }
        }
        assert!(
            held > 5,
            "{name}: only {held} of {TRIES} hold, which shows nothing"
        );
    }
}

#[test]
fn a_conf_without_anything_has_all_defaults() {
    let registry = plugins();
    for name in registry.names() {
        let schemas = registry.get(name).unwrap().schemas();
        let Ok(complete) = schemas.requests.complete(&json!({})) else {
            continue;
        };
        let again = schemas.requests.complete(&complete).unwrap();
        assert_eq!(
            again, complete,
            "{name}: a default that does not hold, or is not all"
        );
    }
}

#[test]
fn what_is_wrong_with_authentication_is_named() {
    let registry = plugins();
    let id = "1".parse().unwrap();
    let owner = Owner {
        kind: Kind::Route,
        id,
    };
    let requests = [
        (
            "key-auth",
            json!({"header": 1}),
            "header: wrong type: expected string, got number",
        ),
        (
            "key-auth",
            json!({"header": "a b"}),
            "header: invalid HTTP header name",
        ),
        (
            "key-auth",
            json!({"query": []}),
            "query: wrong type: expected string, got table",
        ),
        (
            "key-auth",
            json!({"hide_credentials": "yes"}),
            "hide_credentials: wrong type: expected boolean, got string",
        ),
        (
            "key-auth",
            json!({"anonymous_consumer": ""}),
            "anonymous_consumer: string too short, expected at least 1, got 0",
        ),
        (
            "basic-auth",
            json!({"realm": "a\\b"}),
            r#"realm: failed to match pattern "^[ -!#-[\\]-~]+$" with "a\\b""#,
        ),
        (
            "jwt-auth",
            json!({"cookie": 5}),
            "cookie: wrong type: expected string, got number",
        ),
        (
            "jwt-auth",
            json!({"claims_to_verify": ["exp", "exp"]}),
            "claims_to_verify: expected unique items but items 1 and 2 are equal",
        ),
        (
            "jwt-auth",
            json!({"claims_to_verify": ["iss"]}),
            "claims_to_verify[0]: matches none of the enum values",
        ),
        (
            "jwt-auth",
            json!({"key_claim_name": ""}),
            "key_claim_name: string too short, expected at least 1, got 0",
        ),
    ];
    for (name, conf, expected) in requests {
        let built = registry.get(name).unwrap().build(&conf, &owner);
        assert_eq!(
            built.map(drop).unwrap_err().to_string(),
            expected,
            "{name} {conf}"
        );
    }
    for (name, conf, expected) in [
        ("key-auth", json!({}), "property \"key\" is required"),
        (
            "key-auth",
            json!({"key": null}),
            "key: wrong type: expected string, got userdata",
        ),
        (
            "basic-auth",
            json!({"username": "a"}),
            "property \"password\" is required",
        ),
        (
            "basic-auth",
            json!({"password": "a"}),
            "property \"username\" is required",
        ),
        (
            "basic-auth",
            json!({"username": "a", "password": 5}),
            "password: wrong type: expected string, got number",
        ),
    ] {
        let read = registry.get(name).unwrap().credential(&conf).unwrap();
        assert_eq!(
            read.map(drop).unwrap_err().to_string(),
            expected,
            "{name} {conf}"
        );
    }
}
