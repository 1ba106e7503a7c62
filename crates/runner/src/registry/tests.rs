use std::collections::BTreeMap;

use super::*;
use crate::NoConf;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conf {
    #[serde(default)]
    _body: String,
    #[serde(default)]
    _headers: BTreeMap<String, String>,
    #[serde(default)]
    _level: Level,
}

#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "u8")]
struct Level;

impl TryFrom<u8> for Level {
    type Error = String;

    fn try_from(level: u8) -> Result<Self, String> {
        assert_ne!(level, 255, "no such level");
        if level < 10 {
            Ok(Self)
        } else {
            Err(format!("{level} is above 9"))
        }
    }
}

struct Typed;

impl Plugin for Typed {
    type Conf = Conf;

    fn name(&self) -> &str {
        "typed"
    }
}

struct Plain(&'static str);

impl Plugin for Plain {
    type Conf = NoConf;

    fn name(&self) -> &str {
        self.0
    }
}

fn registry() -> Registry {
    let plugins = vec![Registered::new(Typed), Registered::new(Plain("plain"))];
    Registry::new(plugins).unwrap_or_else(|error| panic!("{error}"))
}

fn raw(conf: &[(&'static str, Option<&'static str>)]) -> RawConf {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    RawConf(
        conf.iter()
            .map(|(name, text)| (bytes(name), text.map(bytes)))
            .collect(),
    )
}

fn prepare(conf: &[(&'static str, Option<&'static str>)]) -> Result<Chain, ConfError> {
    registry().prepare(&raw(conf))
}

fn error(name: &'static str, text: &'static str) -> String {
    prepare(&[(name, Some(text))])
        .err()
        .expect("refused")
        .to_string()
}

#[test]
fn a_chain_has_the_plugins_in_their_order_however_often() {
    let chain = prepare(&[
        ("plain", None),
        ("typed", Some("{}")),
        ("plain", Some("{}")),
    ]);
    let names: Vec<_> = chain
        .unwrap_or_default()
        .iter()
        .map(|plugin| plugin.name().to_owned())
        .collect();
    assert_eq!(names, ["plain", "typed", "plain"]);
}

#[test]
fn an_empty_configuration_is_an_empty_object() {
    for text in [None, Some(""), Some(" \n"), Some("{}")] {
        assert!(
            prepare(&[("typed", text), ("plain", text)]).is_ok(),
            "{text:?}"
        );
    }
}

#[test]
fn an_unknown_plugin_is_named_beside_the_known_ones() {
    assert_eq!(
        error("tpyed", "{}"),
        "there is no plugin tpyed; this runner has: plain, typed"
    );
}

#[test]
fn a_wrong_property_is_named_with_its_plugin() {
    for (text, expected) in [
        (
            r#"{"_body":1}"#,
            "plugin typed: property _body: invalid type: integer `1`",
        ),
        (
            r#"{"_headers":{"a":[]}}"#,
            "plugin typed: property _headers.a: invalid type: sequence",
        ),
        (
            r#"{"_level":10}"#,
            "plugin typed: property _level: 10 is above 9",
        ),
        (
            r#"{"bdoy":"x"}"#,
            "plugin typed: property bdoy: unknown field `bdoy`",
        ),
        (
            "[1]",
            "plugin typed: property [0]: invalid type: integer `1`",
        ),
        (
            "7",
            "plugin typed: property (the whole): invalid type: integer `7`",
        ),
        ("{", "plugin typed: property (the whole): EOF while parsing"),
        (
            "{} x",
            "plugin typed: property (the whole): trailing characters",
        ),
    ] {
        let error = error("typed", text);
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(error("plain", r#"{"a":1}"#).starts_with("plugin plain: property a: unknown field"));
}

#[test]
fn one_bad_plugin_is_enough_to_refuse_all() {
    assert!(prepare(&[("plain", None), ("typed", Some("7"))]).is_err());
}

#[test]
fn a_panic_while_parsing_is_the_plugins_failure_and_the_hosts_fault_is_not() {
    let panicked = prepare(&[("typed", Some(r#"{"_level":255}"#))])
        .err()
        .unwrap();
    assert_eq!(panicked.code(), Code::ServiceUnavailable);
    assert!(panicked.to_string().contains("no such level"));
    assert_eq!(
        prepare(&[("x", None)]).err().unwrap().code(),
        Code::BadRequest
    );
}

#[test]
fn a_chain_has_a_limit() {
    assert!(prepare(&[("plain", None); MAX_CHAIN]).is_ok());
    assert!(matches!(
        prepare(&[("plain", None); MAX_CHAIN + 1]),
        Err(ConfError::TooLong)
    ));
}

#[test]
fn names_are_unique_and_not_empty() {
    let build = |names: [&'static str; 2]| {
        Registry::new(names.map(|name| Registered::new(Plain(name))).into()).err()
    };
    assert_eq!(build(["a", "b"]), None);
    assert_eq!(
        build(["a", "a"]),
        Some(BuildError::DuplicatePlugin("a".to_owned()))
    );
    assert!(build(["", "b"]).unwrap().to_string().contains("Plain"));
}
