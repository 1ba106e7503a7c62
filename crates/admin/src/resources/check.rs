//! Whether a resource may be kept: by its schema, what it names, its plugins,
//! and last by the model, which is what requests will run on.

use outrigger_config::references;
use outrigger_config::store::{Condition, Inventory, Key, ReaderEnv};
use outrigger_model::{
    Consumer, ConsumerGroup, Credential, Faults, GlobalRule, PluginConfig, PluginMetadata, Proto,
    Route, SecretManager, Service, Ssl, Upstream,
};
use serde_json::{Map, Value};

use super::plugins::check_vars;
use super::references as referred;
use super::secret_schemas::schema_of_manager;
use super::{Catalogue, Kind, PluginUse, certificates, schema_of, upstream};

/// Checks a resource that agrees with its schema ([`check_schema`]) and is to be
/// kept under `key`. Returns what has to stay so for this to be right.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub(crate) fn check(
    kind: Kind,
    key: &Key,
    conf: &Map<String, Value>,
    inventory: &Inventory,
    catalogue: &Catalogue,
    env: ReaderEnv,
) -> Result<Vec<Condition>, String> {
    if kind == Kind::Secret {
        check_manager(key, conf)?;
    }
    let own_upstream = match kind {
        Kind::Upstream => Some(conf),
        _ => conf.get("upstream").and_then(Value::as_object),
    };
    own_upstream.map_or(Ok(()), upstream::check)?;
    let mut conditions = referred::check(kind, conf, inventory)?;
    check_plugins(kind, key, conf, catalogue)?;
    if kind == Kind::GlobalRule {
        conditions.extend(check_global_rule(key, conf, inventory)?);
    }
    conf.get("vars").map_or(Ok(()), check_vars)?;
    let document = Value::Object(conf.clone());
    let said =
        |faults: Faults| format!("invalid configuration: {}", faults.into_first().in_words());
    let meant = references::resolve(kind.of_model(), &document, &env).map_err(said)?;
    if kind == Kind::Ssl {
        certificates::check(&meant)?;
    }
    check_model(kind, key, &meant).map_err(said)?;
    Ok(conditions)
}

/// Checks a document by the schema of its kind alone.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_schema(kind: Kind, document: &Value) -> Result<(), String> {
    let checked = schema_of(kind).check(document);
    checked.map_err(|fault| fault.in_words())
}

fn check_plugins(
    kind: Kind,
    key: &Key,
    conf: &Map<String, Value>,
    catalogue: &Catalogue,
) -> Result<(), String> {
    if kind == Kind::PluginMetadata {
        return catalogue.check_metadata(key.id(), &Value::Object(conf.clone()));
    }
    let Some(plugins) = conf.get("plugins") else {
        return Ok(());
    };
    if !matches!(kind, Kind::Consumer | Kind::Credential) {
        return catalogue.check_all(plugins, PluginUse::Requests, key);
    }
    catalogue
        .check_all(plugins, PluginUse::Consumer, key)
        .map_err(|why| format!("invalid plugins configuration: {why}"))?;
    let is_auth = |name: &String| catalogue.get(name).is_some_and(|plugin| plugin.is_auth);
    let mut names = plugins.as_object().into_iter().flat_map(Map::keys);
    if kind == Kind::Credential && !names.all(is_auth) {
        return Err("only supports auth type plugins in consumer credential".to_owned());
    }
    Ok(())
}

/// Which of two global rules a plugin would run for is nobody's guess.
fn check_global_rule(
    key: &Key,
    conf: &Map<String, Value>,
    inventory: &Inventory,
) -> Result<Vec<Condition>, String> {
    let collection = key.collection();
    let of = |plugins: Option<&Value>, name: &str| plugins.is_some_and(|it| it.get(name).is_some());
    for (other, entry) in inventory.collection(collection) {
        let plugins = conf.get("plugins").and_then(Value::as_object);
        let twice = plugins
            .into_iter()
            .flat_map(Map::keys)
            .find(|name| of(entry.value.get("plugins"), name));
        if let Some(name) = twice.filter(|_| other != key) {
            let id = other.id();
            return Err(format!(
                "plugin '{name}' already exists in global rule with id '{id}'"
            ));
        }
    }
    Ok(vec![Condition::NothingNewer(Key::prefix_of(collection))])
}

fn check_manager(key: &Key, conf: &Map<String, Value>) -> Result<(), String> {
    let manager = key.id().split('/').next().unwrap_or_default();
    let schema =
        schema_of_manager(manager).ok_or_else(|| format!("invalid secret manager: {manager}"))?;
    schema
        .check(&Value::Object(conf.clone()))
        .map_err(|why| format!("invalid configuration: {}", why.in_words()))
}

/// By the model, which is what requests run on.
fn check_model(kind: Kind, key: &Key, document: &Value) -> Result<(), Faults> {
    match kind {
        Kind::Route => Route::from_json(document).map(drop),
        Kind::Service => Service::from_json(document).map(drop),
        Kind::Upstream => Upstream::from_json(document).map(drop),
        Kind::Consumer => Consumer::from_json(document).map(drop),
        Kind::ConsumerGroup => ConsumerGroup::from_json(document).map(drop),
        Kind::PluginConfig => PluginConfig::from_json(document).map(drop),
        Kind::GlobalRule => GlobalRule::from_json(document).map(drop),
        Kind::Credential => {
            let below = Key::prefix_of(Kind::Consumer.collection());
            let key = key.as_str().strip_prefix(&below).unwrap_or_default();
            Credential::from_json(document, key).map(drop)
        }
        Kind::Ssl => Ssl::from_json(document).map(drop),
        Kind::PluginMetadata => PluginMetadata::from_json(document, key.id()).map(drop),
        Kind::Proto => Proto::from_json(document).map(drop),
        Kind::Secret => SecretManager::from_json(document, key.id()).map(drop),
    }
}
