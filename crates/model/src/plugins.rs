//! The configurations of plugins, as they were written.

use std::fmt;

use serde_json::Value;

use crate::read::At;

/// The `plugins` of a resource: each plugin's configuration by its name, in the
/// order of the document. Every configuration is a JSON object; what it means is
/// for the plugin to say.
///
/// There are as many as there are routes, and each is looked at once, when it is
/// compiled: they are kept as text, which takes a tenth of the memory.
#[derive(Clone, Default, PartialEq)]
pub struct PluginConfs(Box<[(Box<str>, ConfText)]>);

/// A configuration as JSON text. Invariant: `serde_json` reads it.
#[derive(Clone, PartialEq)]
struct ConfText(Box<str>);

impl ConfText {
    /// None for a value that is nested more deeply than is read back.
    fn of(conf: &Value) -> Option<Self> {
        let text = conf.to_string().into_boxed_str();
        let reads = serde_json::from_str::<Value>(&text).is_ok();
        reads.then_some(Self(text))
    }

    fn value(&self) -> Value {
        serde_json::from_str(&self.0).expect("it was read once before")
    }
}

impl PluginConfs {
    /// The configuration of one plugin; always an object.
    pub fn get(&self, name: &str) -> Option<Value> {
        let mut all = self.0.iter();
        let (_, conf) = all.find(|(its, _)| **its == *name)?;
        Some(conf.value())
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Value)> {
        self.0.iter().map(|(name, conf)| (&**name, conf.value()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves out all but those that are `wanted`.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        let all = std::mem::take(&mut self.0).into_iter();
        self.0 = all.filter(|(name, _)| wanted(name)).collect();
    }

    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let object = at.object_or_empty_array()?;
        let read = |(name, conf): (&str, At<'_>)| {
            if !conf.value().is_object() {
                return conf.wrong_type("object");
            }
            let text = ConfText::of(conf.value());
            if text.is_none() {
                conf.fault("is nested too deeply");
            }
            Some((name.into(), text?))
        };
        let confs: Vec<_> = object.entries().map(read).collect();
        confs.into_iter().collect::<Option<_>>().map(Self)
    }
}

/// Shows names only: configurations hold secrets.
impl fmt::Debug for PluginConfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}
