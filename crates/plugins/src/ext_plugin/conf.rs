//! The configuration of the `ext-plugin-*` plugins.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;
use std::time::Duration;

use outrigger_engine::plugin::Owner;
use outrigger_model::{Fault, PropertyPath};
use serde::Deserialize;
use serde_json::Value;

use crate::conf;

/// Longest name of an external plugin, in characters (APISIX's schema).
const MAX_NAME: usize = 128;

/// Unknown properties are accepted, as in APISIX.
#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    conf: Vec<RawEntry>,
    #[serde(default)]
    allow_degradation: bool,
    runner: Option<String>,
    /// Milliseconds.
    timeout: Option<NonZeroU64>,
    #[serde(default)]
    response_headers: ResponseHeaders,
}

/// What becomes of the upstream's headers that a runner does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ResponseHeaders {
    /// They stay.
    #[default]
    Patch,
    /// They go, if it names any; as in APISIX.
    Replace,
}

#[derive(Deserialize)]
struct RawEntry {
    name: String,
    value: Value,
}

/// What a route says of its external plugins.
#[derive(Debug, PartialEq)]
pub(super) struct Conf {
    /// Names and configurations, in the order in which they run.
    pub(super) entries: Vec<(String, String)>,
    /// Whether a request goes on when the call fails.
    pub(super) allow_degradation: bool,
    /// The runner's name; none: the default runner.
    pub(super) runner: Option<String>,
    /// How long a call may take; none: as long as the runner's configuration says.
    pub(super) timeout: Option<Duration>,
    /// What becomes of headers that an answer to a response call does not name.
    pub(super) response_headers: ResponseHeaders,
}

impl Conf {
    pub(super) fn read(json: &Value) -> Result<Self, Fault> {
        let raw: Raw = conf::read(json)?;
        let at = |index: usize| PropertyPath::root().key("conf").index(index).key("name");
        let mut entries = Vec::with_capacity(raw.conf.len());
        for (index, entry) in raw.conf.into_iter().enumerate() {
            if entry.name.is_empty() || entry.name.chars().count() > MAX_NAME {
                let message = format!("expected a name of 1 to {MAX_NAME} characters");
                return Err(conf::fault(at(index), message));
            }
            let value = match entry.value {
                Value::String(text) => text,
                json => json.to_string(),
            };
            entries.push((entry.name, value));
        }
        Ok(Conf {
            entries,
            allow_degradation: raw.allow_degradation,
            runner: raw.runner,
            timeout: raw.timeout.map(|ms| Duration::from_millis(ms.get())),
            response_headers: raw.response_headers,
        })
    }

    /// What the runner knows this configuration by. Some runners answer an
    /// old token to a key they know, so other contents need another key.
    pub(super) fn key(&self, owner: &Owner, plugin: &str) -> String {
        let mut hasher = DefaultHasher::new();
        self.entries.hash(&mut hasher);
        format!(
            "{}#{}#{plugin}#{:016x}",
            owner.kind,
            owner.id,
            hasher.finish()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_model::Kind;
    use serde_json::json;

    #[test]
    fn a_value_may_be_text_or_any_json() {
        let conf = Conf::read(&json!({
            "conf": [{"name": "a", "value": "{\"x\": 1}"}, {"name": "b", "value": {"y": [2]}}],
            "timeout": 250,
            "something-else": true,
        }));
        let conf = conf.unwrap();
        let entry = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            conf.entries,
            [entry("a", "{\"x\": 1}"), entry("b", "{\"y\":[2]}")]
        );
        assert_eq!(conf.timeout, Some(Duration::from_millis(250)));
        assert!(!conf.allow_degradation);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, fault) in [
            (
                json!({"conf": [{"value": ""}]}),
                "conf[0]: missing field `name`",
            ),
            (
                json!({"conf": [{"name": "a"}]}),
                "conf[0]: missing field `value`",
            ),
            (
                json!({"conf": [{"name": "a", "value": ""}, {"name": "", "value": ""}]}),
                "conf[1].name: expected a name of 1 to 128 characters",
            ),
            (
                json!({"allow_degradation": 1}),
                "allow_degradation: invalid type: integer `1`, expected a boolean",
            ),
            (
                json!({"timeout": 0}),
                "timeout: invalid value: integer `0`, expected a nonzero u64",
            ),
        ] {
            assert_eq!(Conf::read(&json).unwrap_err().to_string(), fault);
        }
    }

    #[test]
    fn other_contents_have_another_key() {
        let owner = Owner {
            kind: Kind::Route,
            id: "1".parse().unwrap(),
        };
        let key = |value: &str| {
            let conf = Conf::read(&json!({"conf": [{"name": "a", "value": value}]})).unwrap();
            conf.key(&owner, "ext-plugin-pre-req")
        };
        assert!(key("x").starts_with("route#1#ext-plugin-pre-req#"));
        assert_eq!(key("x"), key("x"));
        assert_ne!(key("x"), key("y"));
    }
}
