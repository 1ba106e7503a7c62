//! References to secrets that are kept elsewhere: `$env://NAME`.
//!
//! `$env://NAME` is what the variable `NAME` of the gateway's environment says, and
//! `$env://NAME/KEY` the property `KEY` of the JSON object in it. A reference is a whole
//! text; it may stand anywhere in a plugin's configuration, in an ssl, and in the
//! settings of a secret manager. Documents keep references; only what the
//! model reads of them has the secrets in their place.
//!
//! A reference that leads nowhere is a fault. APISIX goes on with the reference itself as the
//! secret, which then everybody knows.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;

use outrigger_model::{Fault, Faults, Kind};
use serde_json::Value;

use crate::Env;
use crate::way::{Step, path, put};

/// What a reference to the environment begins with, in lower case.
const ENV: &str = "$env://";
/// What a reference to a secret manager begins with.
const SECRET: &str = "$secret://";

/// Whether a text names a secret and is none itself.
pub fn is_reference(text: &str) -> bool {
    of_env(text).is_some() || text.starts_with(SECRET)
}

/// The document of a resource, with secrets in place of references.
///
/// # Errors
/// Every reference that leads nowhere.
pub fn resolve<'v>(
    kind: Kind,
    document: &'v Value,
    env: &Env<'_>,
) -> Result<Cow<'v, Value>, Faults> {
    let mut search = Search::default();
    search.resource(kind, document);
    search.resolve(document, env)
}

/// A plugin's configuration, with secrets in place of references.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_conf<'v>(conf: &'v Value, env: &Env<'_>) -> Result<Cow<'v, Value>, Faults> {
    let mut search = Search::default();
    search.everything(conf);
    search.resolve(conf, env)
}

/// The documents of all resources, as `apisix.yaml` has them, with secrets in place of
/// references.
pub(crate) fn resolve_all<'v>(
    documents: &'v Value,
    env: &Env<'_>,
) -> Result<Cow<'v, Value>, Faults> {
    let mut search = Search::default();
    for kind in Kind::ALL {
        // They stand among the consumers.
        if kind == Kind::Credential {
            continue;
        }
        let collection = kind.plural();
        search.way.push(Step::Key(collection));
        let entries = documents.get(collection).and_then(Value::as_array);
        for (index, entry) in entries.into_iter().flatten().enumerate() {
            search.way.push(Step::Index(index));
            search.resource(kind, entry);
            search.way.pop();
        }
        search.way.pop();
    }
    search.resolve(documents, env)
}

/// The secrets that references in a document lead to, to be kept out of what is said
/// of it: whoever judges what is in their place does not know that it is secret.
#[derive(Clone, Default)]
pub struct Masks(Vec<Mask>);

#[derive(Clone)]
struct Mask {
    /// The secret in the forms that a message may have it in.
    secret: [String; 2],
    reference: String,
}

/// Shows no secret.
impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|mask| &mask.reference))
            .finish()
    }
}

impl Masks {
    /// Those for whatever is referred to in `document`.
    pub fn of(document: &Value, env: &Env<'_>) -> Self {
        let mut search = Search::default();
        search.everything(document);
        let masks = search.found.into_iter().filter_map(|(_, reference)| {
            let secret = match fetch(reference, env).ok()? {
                Value::String(text) => text,
                other => other.to_string(),
            };
            // With what JSON puts before some characters.
            let quoted = Value::from(secret.as_str()).to_string();
            let inside = quoted[1..quoted.len() - 1].to_owned();
            (!secret.is_empty()).then(|| Mask {
                secret: [secret, inside],
                reference: reference.to_owned(),
            })
        });
        let mut masks: Vec<_> = masks.collect();
        // One secret may be a part of another.
        masks.sort_by_key(|mask| Reverse(mask.secret[0].len()));
        Self(masks)
    }

    /// The message with references in place of the secrets in it.
    pub fn hide(&self, mut message: String) -> String {
        for Mask { secret, reference } in &self.0 {
            for secret in secret {
                if message.contains(secret) {
                    message = message.replace(secret, reference);
                }
            }
        }
        message
    }
}

/// The references in a document.
#[derive(Default)]
struct Search<'v> {
    way: Vec<Step<'v>>,
    found: Vec<(Vec<Step<'v>>, &'v str)>,
}

impl<'v> Search<'v> {
    fn resource(&mut self, kind: Kind, document: &'v Value) {
        match kind {
            Kind::Ssl | Kind::Secret | Kind::PluginMetadata => self.everything(document),
            Kind::Upstream | Kind::Proto => {}
            _ => {
                if let Some(plugins) = document.get("plugins") {
                    self.way.push(Step::Key("plugins"));
                    self.everything(plugins);
                    self.way.pop();
                }
            }
        }
    }

    fn everything(&mut self, value: &'v Value) {
        match value {
            Value::String(text) if is_reference(text) => {
                self.found.push((self.way.clone(), text));
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.way.push(Step::Index(index));
                    self.everything(item);
                    self.way.pop();
                }
            }
            Value::Object(properties) => {
                for (name, inner) in properties {
                    self.way.push(Step::Key(name));
                    self.everything(inner);
                    self.way.pop();
                }
            }
            _ => {}
        }
    }

    fn resolve(self, document: &'v Value, env: &Env<'_>) -> Result<Cow<'v, Value>, Faults> {
        if self.found.is_empty() {
            return Ok(Cow::Borrowed(document));
        }
        let mut resolved = document.clone();
        let mut faults = Vec::new();
        for (way, text) in self.found {
            match fetch(text, env) {
                Ok(secret) => put(&mut resolved, &way, secret),
                Err(message) => faults.push(Fault {
                    path: path(&way),
                    message,
                }),
            }
        }
        match Faults::new(faults) {
            Some(faults) => Err(faults),
            None => Ok(Cow::Owned(resolved)),
        }
    }
}

/// What a reference leads to, or why it leads nowhere: never with the secret in it.
fn fetch(reference: &str, env: &Env<'_>) -> Result<Value, String> {
    let Some(rest) = of_env(reference) else {
        return Err(
            "references to secret managers ($secret://) are not supported yet: \
             use $env://NAME, or write the secret itself"
                .to_owned(),
        );
    };
    let (name, key) = match rest.split_once('/') {
        Some((name, key)) if !key.is_empty() => (name, Some(key)),
        Some((name, _)) => (name, None),
        None => (rest, None),
    };
    let value = env(name).ok_or_else(|| {
        format!("the gateway's environment has no variable {name:?}, which is referred to")
    })?;
    let Some(key) = key else {
        return Ok(Value::String(value));
    };
    let object: Value = serde_json::from_str(&value)
        .map_err(|_| format!("the environment variable {name:?} is not JSON"))?;
    match object.get(key) {
        None | Some(Value::Null) => Err(format!(
            "the JSON object in the environment variable {name:?} has no {key:?}"
        )),
        Some(value) => Ok(value.clone()),
    }
}

/// What stands after the beginning of a reference to the environment. As in
/// APISIX, `$ENV://` is one too.
fn of_env(text: &str) -> Option<&str> {
    let (start, rest) = text.split_at_checked(ENV.len())?;
    start.eq_ignore_ascii_case(ENV).then_some(rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "KEY" => "hush",
            "EMPTY" => "",
            "JSON" => r#"{"a/b": "deep", "n": 5, "none": null}"#,
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn conf(text: &str) -> Result<Value, String> {
        let conf = json!({"list": [{"inner": text}]});
        match resolve_conf(&conf, &env) {
            Ok(conf) => Ok(conf["list"][0]["inner"].clone()),
            Err(faults) => Err(faults.to_string()),
        }
    }

    #[test]
    fn a_reference_is_what_the_environment_says() {
        for (text, expected) in [
            ("$env://KEY", json!("hush")),
            ("$ENV://KEY", json!("hush")),
            ("$Env://KEY/", json!("hush")),
            ("$env://EMPTY", json!("")),
            ("$env://JSON/a/b", json!("deep")),
            ("$env://JSON/n", json!(5)),
            // No references.
            ("KEY", json!("KEY")),
            ("a $env://KEY", json!("a $env://KEY")),
            ("$env:/KEY", json!("$env:/KEY")),
            ("$é", json!("$é")),
        ] {
            assert_eq!(conf(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn one_that_leads_nowhere_is_a_fault_that_shows_no_secret() {
        let at = |message: &str| Err(format!("list[0].inner: {message}"));
        for (text, message) in [
            (
                "$env://GONE",
                "the gateway's environment has no variable \"GONE\", which is referred to",
            ),
            (
                "$env://KEY/x",
                "the environment variable \"KEY\" is not JSON",
            ),
            (
                "$env://JSON/x",
                "the JSON object in the environment variable \"JSON\" has no \"x\"",
            ),
            (
                "$env://JSON/none",
                "the JSON object in the environment variable \"JSON\" has no \"none\"",
            ),
            (
                "$secret://vault/1/a/b",
                "references to secret managers ($secret://) are not supported yet: \
                 use $env://NAME, or write the secret itself",
            ),
        ] {
            assert_eq!(conf(text), at(message), "{text}");
        }
    }

    #[test]
    fn secrets_are_kept_out_of_messages() {
        let quotes = |name: &str| match name {
            "QUOTED" => Some("a \"b\" c".to_owned()),
            name => env(name),
        };
        let document = json!({"a": ["$env://KEY", "$env://QUOTED", "$env://GONE", "$env://EMPTY"]});
        let masks = Masks::of(&document, &quotes);
        let hidden = masks.hide(r#"with "hush", "a \"b\" c" and a "b" c"#.to_owned());
        assert_eq!(
            hidden,
            r#"with "$env://KEY", "$env://QUOTED" and $env://QUOTED"#
        );
        assert!(!format!("{masks:?}").contains("hush"));
        let none = Masks::of(&json!({"a": "hush"}), &env);
        assert_eq!(none.hide("hush".to_owned()), "hush");
    }

    #[test]
    fn they_stand_where_secrets_may() {
        let r = "$env://KEY";
        let documents = json!({
            "routes": [{"uri": r, "plugins": {"a": {"b": r}}, "upstream": {"name": r}}],
            "upstreams": [{"name": r}],
            "ssls": [{"keys": [r]}],
            "consumers": [{"username": r, "plugins": {"a": {"b": r}}}],
            "secrets": [{"token": r}],
            "protos": [{"content": r}],
        });
        let (h, r) = ("hush", "$env://KEY");
        let expected = json!({
            "routes": [{"uri": r, "plugins": {"a": {"b": h}}, "upstream": {"name": r}}],
            "upstreams": [{"name": r}],
            "ssls": [{"keys": [h]}],
            "consumers": [{"username": r, "plugins": {"a": {"b": h}}}],
            "secrets": [{"token": h}],
            "protos": [{"content": r}],
        });
        assert_eq!(*resolve_all(&documents, &env).unwrap(), expected);
        let route = &documents["routes"][0];
        let resolved = resolve(Kind::Route, route, &env).unwrap();
        assert_eq!(*resolved, expected["routes"][0]);
        let faults = resolve_all(&documents, &|_| None).unwrap_err();
        assert_eq!(faults.iter().count(), 4);
        assert!(faults.to_string().starts_with("routes[0].plugins.a.b: "));

        let without = json!({"uri": r, "plugins": {"a": {"b": "c"}}});
        let resolved = resolve(Kind::Route, &without, &env).unwrap();
        assert!(matches!(resolved, Cow::Borrowed(_)));
    }
}
