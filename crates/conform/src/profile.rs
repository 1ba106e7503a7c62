//! A profile: which plugins of a runner, with which configuration, do what the
//! suite has to see.

use std::collections::BTreeMap;
use std::path::Path;

use outrigger_a6::Entry;
use serde::Deserialize;
use serde_json::Value;

use crate::behaviour::Behaviour;
use crate::file::{self, FileError};

/// A runner's plugins as the suite uses them.
///
/// As YAML or JSON:
/// ```yaml
/// plugins:
///   stop:
///     conf: [{name: say, value: {body: hello}}]
///     expect: {status: 200, body: hello}
///   wait:
///     conf: [{name: wait, value: {ms: 300}}]
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    #[serde(default)]
    plugins: BTreeMap<Behaviour, Means>,
}

/// How one behaviour is had.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Means {
    /// The plugins in the order in which they run, as in a route.
    pub(crate) conf: Vec<PluginConf>,
    /// What they then do.
    #[serde(default)]
    pub(crate) expect: Expect,
}

/// A plugin with its configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PluginConf {
    name: String,
    /// Text, or any JSON, which the plugin gets as text.
    #[serde(default)]
    value: Value,
}

/// What is to be seen; what is left out may be anything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) status: Option<u16>,
    pub(crate) path: Option<String>,
    /// Each header with its value; null where it is deleted.
    pub(crate) headers: Option<Changes>,
    /// Each argument likewise.
    pub(crate) args: Option<Changes>,
    pub(crate) body: Option<String>,
    /// The variables that are asked for, in any order.
    pub(crate) variables: Option<Vec<String>>,
    /// The request header in which the plugin tells the body's length.
    pub(crate) length_in: Option<String>,
}

/// Names with their new values, or null where they are deleted.
pub(crate) type Changes = BTreeMap<String, Option<String>>;

/// A configuration as it is sent: names with text.
pub(crate) type Conf = Vec<(String, Option<String>)>;

impl Profile {
    /// Reads a profile from a file in YAML or JSON.
    ///
    /// # Errors
    /// [`FileError`] that names the file and what is wrong in it.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::parse(&path.display().to_string(), &file::read(path)?)
    }

    /// Reads a profile from text, which errors name `file`.
    ///
    /// # Errors
    /// [`FileError`] that says what is wrong in it.
    pub fn parse(file: &str, text: &str) -> Result<Self, FileError> {
        let profile: Self = file::parse(file, text)?;
        for (behaviour, means) in &profile.plugins {
            means
                .check(*behaviour)
                .map_err(|why| FileError::new(file, format!("plugins.{behaviour}: {why}")))?;
        }
        Ok(profile)
    }

    /// Adds a plugin as the command line names it, `NAME=CONF:BEHAVIOUR`; it
    /// takes the place of what the profile has for the behaviour.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn add(&mut self, words: &str) -> Result<(), String> {
        let form = || format!("--plugin {words}: it has the form NAME=CONF:BEHAVIOUR");
        let (name, rest) = words.split_once('=').ok_or_else(form)?;
        // A configuration may well have colons, a behaviour has none.
        let (conf, behaviour) = rest.rsplit_once(':').ok_or_else(form)?;
        let known = Behaviour::ALL
            .into_iter()
            .find(|known| known.name() == behaviour);
        let behaviour = known.ok_or_else(|| {
            let known = Behaviour::ALL.map(Behaviour::name).join(", ");
            format!("--plugin {words}: no behaviour {behaviour:?}; there are {known}")
        })?;
        let means = Means {
            conf: vec![PluginConf {
                name: name.to_owned(),
                value: Value::String(conf.to_owned()),
            }],
            expect: Expect::default(),
        };
        means
            .check(behaviour)
            .map_err(|why| format!("--plugin {words}: {why}; say so in a --profile"))?;
        self.plugins.insert(behaviour, means);
        Ok(())
    }

    /// How `behaviour` is had, if it is.
    pub(crate) fn means(&self, behaviour: Behaviour) -> Option<&Means> {
        self.plugins.get(&behaviour)
    }
}

impl Means {
    fn check(&self, behaviour: Behaviour) -> Result<(), String> {
        if self.conf.is_empty() {
            return Err("`conf` names no plugin".to_owned());
        }
        let expected = self.expect.properties();
        let allowed = behaviour.expectations();
        if let Some(idle) = expected.iter().find(|name| !allowed.contains(name)) {
            return Err(format!(
                "`expect.{idle}` means nothing here; there are {allowed:?}"
            ));
        }
        let missing = behaviour
            .required()
            .iter()
            .find(|name| !expected.contains(name));
        missing.map_or(Ok(()), |name| Err(format!("`expect.{name}` is missing")))
    }

    pub(crate) fn conf(&self) -> Conf {
        self.conf.iter().map(PluginConf::as_sent).collect()
    }
}

impl PluginConf {
    fn as_sent(&self) -> (String, Option<String>) {
        let value = match &self.value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        };
        (self.name.clone(), value)
    }
}

impl Expect {
    /// The names of those that are there.
    fn properties(&self) -> Vec<&'static str> {
        let Self {
            status,
            path,
            headers,
            args,
            body,
            variables,
            length_in,
        } = self;
        [
            ("status", status.is_some()),
            ("path", path.is_some()),
            ("headers", headers.is_some()),
            ("args", args.is_some()),
            ("body", body.is_some()),
            ("variables", variables.is_some()),
            ("length_in", length_in.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect()
    }
}

/// The entries of a list as a message takes them.
pub(crate) fn entries(list: &[(String, Option<String>)]) -> Vec<Entry<'_>> {
    list.iter()
        .map(|(name, value)| Entry {
            name: name.as_bytes(),
            value: value.as_deref().map(str::as_bytes),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_yaml_or_json() {
        let yaml = "plugins:\n  stop:\n    conf: [{name: say, value: {body: hi}}]\n    expect: {body: hi}\n";
        let json = r#"{"plugins": {"stop": {"conf": [{"name": "say", "value": {"body": "hi"}}],
                       "expect": {"body": "hi"}}}}"#;
        for text in [yaml, json] {
            let profile = Profile::parse("p", text).unwrap();
            let stop = profile.means(Behaviour::Stop).unwrap();
            let conf = [("say".to_owned(), Some(r#"{"body":"hi"}"#.to_owned()))];
            assert_eq!(stop.conf(), conf);
            assert_eq!(stop.expect.body.as_deref(), Some("hi"));
            assert!(profile.means(Behaviour::Wait).is_none());
        }
    }

    #[test]
    fn a_value_that_is_text_stays_as_it_is() {
        let text = "plugins: {stop: {conf: [{name: a, value: 'x y'}, {name: b}]}}";
        let profile = Profile::parse("p", text).unwrap();
        let conf = profile.means(Behaviour::Stop).unwrap().conf();
        assert_eq!(
            conf,
            [
                ("a".to_owned(), Some("x y".to_owned())),
                ("b".to_owned(), None)
            ]
        );
    }

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let error = Profile::parse("p.yaml", text).unwrap_err().to_string();
        assert!(
            error.starts_with("p.yaml: ") && error.contains(why),
            "{error}"
        );
    }

    #[test]
    fn a_mistake_is_named() {
        refused("plugins: {sotp: {conf: [{name: a}]}}", "sotp");
        refused("plugin: {}", "plugin");
        refused(
            "plugins: {stop: {conf: []}}",
            "plugins.stop: `conf` names no plugin",
        );
        let path = "plugins: {stop: {conf: [{name: a}], expect: {path: /}}}";
        refused(path, "plugins.stop: `expect.path` means nothing here");
        let chain = "plugins: {chain: {conf: [{name: a}]}}";
        refused(chain, "plugins.chain: `expect.headers` is missing");
    }

    #[test]
    fn the_command_line_adds_a_plugin() {
        let mut profile = Profile::default();
        profile.add(r#"say={"body":"a:b"}:stop"#).unwrap();
        let conf = [("say".to_owned(), Some(r#"{"body":"a:b"}"#.to_owned()))];
        assert_eq!(profile.means(Behaviour::Stop).unwrap().conf(), conf);
        for (words, why) in [
            ("say", "NAME=CONF:BEHAVIOUR"),
            ("say={}", "NAME=CONF:BEHAVIOUR"),
            ("say={}:sotp", "no behaviour \"sotp\"; there are stop, "),
            (
                "a={}:chain",
                "`expect.headers` is missing; say so in a --profile",
            ),
        ] {
            let error = profile.add(words).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn behaviours_have_the_names_that_profiles_use() {
        for behaviour in Behaviour::ALL {
            let name = Value::String(behaviour.name().to_owned());
            assert_eq!(
                serde_json::from_value::<Behaviour>(name).unwrap(),
                behaviour
            );
        }
    }
}
