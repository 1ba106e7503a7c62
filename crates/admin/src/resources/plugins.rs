//! Plugins' configurations: shown by their schemas, judged by the plugins, which go by
//! the same schemas.

use std::sync::Arc;

use outrigger_config::store::Key;
use outrigger_model::expr::Expr;
use outrigger_model::schema::{BadSchema, Schema};
use outrigger_model::{Fault, Segment};
use serde_json::{Map, Value, json};

/// What there is to know of a plugin.
#[derive(Debug, Clone)]
pub struct PluginInfo {
    /// Its name in `plugins`.
    pub name: String,
    /// Where it stands among others: higher runs earlier.
    pub priority: i32,
    /// Whether it tells who a consumer is: `auth`, as APISIX has it.
    pub is_auth: bool,
    /// The schema of its configuration.
    pub schema: Value,
    /// The schema of what it knows a consumer by; none: the other one.
    pub consumer_schema: Option<Value>,
    /// The schema of its metadata; none: it has none.
    pub metadata_schema: Option<Value>,
}

/// What a plugin is configured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginUse {
    /// To work on requests.
    Requests,
    /// To know a consumer.
    Consumer,
}

type Judge = Box<dyn Fn(&str, &Value, PluginUse, &Key) -> Result<(), Fault> + Send + Sync>;

/// All plugins that the gateway has.
pub struct Catalogue {
    plugins: Vec<Known>,
    judge: Judge,
}

struct Known {
    info: PluginInfo,
    metadata: Option<Schema>,
}

impl Catalogue {
    /// A catalogue of these plugins. `judge` has the last word on each
    /// configuration, of a plugin by its name, for a use, in the resource of a
    /// key: the plugin itself.
    ///
    /// # Errors
    /// A schema that cannot be read.
    pub fn new(
        plugins: Vec<PluginInfo>,
        judge: impl Fn(&str, &Value, PluginUse, &Key) -> Result<(), Fault> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, BadSchema> {
        let known = |info: PluginInfo| {
            let metadata = info.metadata_schema.clone().map(Schema::new).transpose()?;
            Ok(Known { metadata, info })
        };
        let mut plugins = plugins
            .into_iter()
            .map(known)
            .collect::<Result<Vec<_>, BadSchema>>()?;
        plugins.sort_by_key(|known| std::cmp::Reverse(known.info.priority));
        let judge = Box::new(judge);
        Ok(Arc::new(Self { plugins, judge }))
    }

    /// All of them, those that run first before the others.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PluginInfo> {
        self.plugins.iter().map(|known| &known.info)
    }

    /// One of them.
    pub(crate) fn get(&self, name: &str) -> Option<&PluginInfo> {
        self.find(name).map(|known| &known.info)
    }

    fn find(&self, name: &str) -> Option<&Known> {
        self.plugins.iter().find(|known| known.info.name == name)
    }

    /// Checks the `plugins` of a resource.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub(crate) fn check_all(
        &self,
        plugins: &Value,
        what_for: PluginUse,
        owner: &Key,
    ) -> Result<(), String> {
        let none = Map::new();
        // `[]` passes for an empty object.
        for (name, conf) in plugins.as_object().unwrap_or(&none) {
            self.check(name, conf, what_for, owner)?;
        }
        Ok(())
    }

    fn check(
        &self,
        name: &str,
        conf: &Value,
        what_for: PluginUse,
        owner: &Key,
    ) -> Result<(), String> {
        if !conf.is_object() && conf != &json!([]) {
            return Err(format!("invalid plugin conf {conf} for plugin [{name}]"));
        }
        if self.find(name).is_none() {
            return Err(format!("unknown plugin [{name}]"));
        }
        (self.judge)(name, conf, what_for, owner).map_err(|fault| {
            let in_filter = [Segment::Key("_meta".into()), Segment::Key("filter".into())];
            let filter = conf.get("_meta").and_then(|meta| meta.get("filter"));
            if fault.path.segments().starts_with(&in_filter)
                && let Some(Err(why)) = filter.filter(|it| it.is_array()).map(check_vars)
            {
                return why;
            }
            let why = fault.in_words();
            format!("failed to check the configuration of plugin {name} err: {why}")
        })
    }

    /// Checks a plugin's metadata.
    ///
    /// # Errors
    /// There is no such plugin, or the metadata is wrong.
    pub(crate) fn check_metadata(&self, name: &str, conf: &Value) -> Result<(), String> {
        let known = self.find(name).ok_or("invalid plugin name")?;
        match &known.metadata {
            Some(schema) => schema
                .check(conf)
                .map_err(|why| format!("invalid configuration: {}", why.in_words())),
            // As in APISIX, whatever a plugin without any is told is all right.
            None => Ok(()),
        }
    }
}

/// Checks an expression over variables.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_vars(vars: &Value) -> Result<(), String> {
    match Expr::from_json(vars) {
        Ok(_) => Ok(()),
        Err(fault) => Err(format!(
            "failed to validate the 'vars' expression: {}",
            fault.message
        )),
    }
}
